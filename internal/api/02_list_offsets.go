package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/topic"
)

// The special timestamps of ListOffsets (org.apache.kafka.common.requests.ListOffsetsRequest).
const (
	latestTimestamp        = -1
	earliestTimestamp      = -2
	maxTimestamp           = -3 // KIP-734
	earliestLocalTimestamp = -4 // KIP-405
	latestTieredTimestamp  = -5 // KIP-1005
)

// sinceVersion is the first version that may ask for a special timestamp.
var sinceVersion = map[int64]int16{maxTimestamp: 7, earliestLocalTimestamp: 8, latestTieredTimestamp: 9}

// ListOffsets: v0-11
//
// Behavior: earliest, latest, the record with the largest timestamp, or the first at or after a
// time. Nothing is tiered, so earliest local is earliest and latest tiered is none.
//
// Version notes: v0 lists where segments begin that are not newer than the time, newest first.
// v4 leader epochs. v7 max timestamp. v8 earliest local, v9 latest tiered.
func (h *records) listOffsets(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.ListOffsetsRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, t := range req.Topics {
			out := kmsg.NewListOffsetsResponseTopic()
			out.Topic = t.Topic
			for _, p := range t.Partitions {
				out.Partitions = append(out.Partitions, h.listOne(ctx, req.Version, t.Topic, p))
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil
	})
}

func (h *records) listOne(
	ctx context.Context, version int16, name string, p kmsg.ListOffsetsRequestTopicPartition,
) kmsg.ListOffsetsResponseTopicPartition {
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition, out.Offset, out.Timestamp, out.LeaderEpoch = p.Partition, -1, -1, -1
	part, err := h.find(ctx, name, [16]byte{}, p.Partition)
	if err == nil {
		err = checkEpoch(part, p.CurrentLeaderEpoch)
	}
	if err == nil && version == 0 {
		out.OldStyleOffsets = part.SegmentsBefore(p.Timestamp, int(p.MaxNumOffsets))
		return out
	}
	if err == nil {
		out.Offset, out.Timestamp, err = offsetFor(ctx, part, version, p.Timestamp)
	}
	if err != nil {
		out.Offset, out.Timestamp = -1, -1
		out.ErrorCode, _ = codeOf(err)
		return out
	}
	if out.Offset >= 0 {
		out.LeaderEpoch = part.LeaderEpoch()
	}
	return out
}

func offsetFor(ctx context.Context, part *topic.Partition, version int16, timestampMs int64) (offset, foundMs int64, err error) {
	if since, special := sinceVersion[timestampMs]; special && version < since {
		return -1, -1, kerr.UnsupportedVersion
	}
	switch timestampMs {
	case latestTimestamp:
		return part.HighWatermark(), -1, nil
	case earliestTimestamp, earliestLocalTimestamp:
		return part.LogStartOffset(), -1, nil
	case latestTieredTimestamp:
		return -1, -1, nil
	case maxTimestamp:
		return part.MaxTimestamp(ctx)
	}
	if timestampMs < 0 {
		return -1, -1, kerr.UnsupportedVersion
	}
	return part.FindTime(ctx, timestampMs)
}

func refuseListOffsets(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	code, _ := codeOf(err)
	for _, t := range req.(*kmsg.ListOffsetsRequest).Topics {
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewListOffsetsResponseTopicPartition()
			answer.Partition, answer.ErrorCode = p.Partition, code
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
