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
// time. Nothing is tiered, so earliest local is earliest and latest tiered is none. With
// read_committed nothing at or after the last stable offset is found, and that is the latest.
//
// Version notes: v0 lists where segments begin that are not newer than the time, newest first.
// v2 isolation level. v4 leader epochs. v7 max timestamp. v8 earliest local, v9 latest tiered.
func (h *records) listOffsets(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.ListOffsetsRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, t := range req.Topics {
			out := kmsg.NewListOffsetsResponseTopic()
			out.Topic = t.Topic
			for _, p := range t.Partitions {
				out.Partitions = append(out.Partitions, h.listOne(ctx, req, t.Topic, p))
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil
	})
}

func (h *records) listOne(
	ctx context.Context, req *kmsg.ListOffsetsRequest, name string, p kmsg.ListOffsetsRequestTopicPartition,
) kmsg.ListOffsetsResponseTopicPartition {
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition, out.Offset, out.Timestamp, out.LeaderEpoch = p.Partition, -1, -1, -1
	part, err := h.find(ctx, name, [16]byte{}, p.Partition)
	if err == nil {
		err = checkEpoch(part, p.CurrentLeaderEpoch)
	}
	if err == nil && req.Version == 0 {
		out.OldStyleOffsets = part.SegmentsBefore(p.Timestamp, int(p.MaxNumOffsets))
		return out
	}
	if err == nil {
		end := part.HighWatermark()
		if req.IsolationLevel == readCommitted {
			end = part.LastStableOffset()
		}
		out.Offset, out.Timestamp, err = offsetFor(ctx, part, req.Version, p.Timestamp, end)
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

// offsetFor finds an offset before end, or end itself.
func offsetFor(
	ctx context.Context, part *topic.Partition, version int16, timestampMs, end int64,
) (offset, foundMs int64, err error) {
	if since, special := sinceVersion[timestampMs]; special && version < since {
		return -1, -1, kerr.UnsupportedVersion
	}
	switch timestampMs {
	case latestTimestamp:
		return end, -1, nil
	case earliestTimestamp, earliestLocalTimestamp:
		return part.LogStartOffset(), -1, nil
	case latestTieredTimestamp:
		return -1, -1, nil
	case maxTimestamp:
		offset, foundMs, err = part.MaxTimestamp(ctx)
	default:
		if timestampMs < 0 {
			return -1, -1, kerr.UnsupportedVersion
		}
		offset, foundMs, err = part.FindTime(ctx, timestampMs)
	}
	if err != nil || offset >= end {
		return -1, -1, err
	}
	return offset, foundMs, nil
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
