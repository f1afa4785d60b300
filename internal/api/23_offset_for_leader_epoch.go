package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// OffsetForLeaderEpoch: v0-4
//
// Behavior: the end offset of the asked leader epoch (KIP-101, KIP-320).
//
// Version notes: v1 answers the epoch found. v2 checks the leader epoch the client knows.
func (h *records) offsetForLeaderEpoch(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.OffsetForLeaderEpochRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, t := range req.Topics {
			out := kmsg.NewOffsetForLeaderEpochResponseTopic()
			out.Topic = t.Topic
			for _, p := range t.Partitions {
				answer := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				answer.Partition, answer.LeaderEpoch, answer.EndOffset = p.Partition, -1, -1
				part, err := h.find(ctx, t.Topic, [16]byte{}, p.Partition)
				if err == nil && req.Version >= 2 {
					err = checkEpoch(part, p.CurrentLeaderEpoch)
				}
				if err == nil {
					answer.LeaderEpoch, answer.EndOffset = part.EndOfEpoch(p.LeaderEpoch)
				}
				answer.ErrorCode, _ = codeOf(err)
				out.Partitions = append(out.Partitions, answer)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil
	})
}

func refuseOffsetForLeaderEpoch(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	code, _ := codeOf(err)
	for _, t := range req.(*kmsg.OffsetForLeaderEpochRequest).Topics {
		out := kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			answer.Partition, answer.ErrorCode, answer.LeaderEpoch, answer.EndOffset = p.Partition, code, -1, -1
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
