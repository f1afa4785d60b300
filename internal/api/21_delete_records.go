package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteRecords: v0-2
//
// Behavior: the log start offset is moved up durably; -1 is the high watermark.
func (h *records) deleteRecords(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.DeleteRecordsRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
		for _, t := range req.Topics {
			out := kmsg.NewDeleteRecordsResponseTopic()
			out.Topic = t.Topic
			for _, p := range t.Partitions {
				answer := kmsg.NewDeleteRecordsResponseTopicPartition()
				answer.Partition, answer.LowWatermark = p.Partition, -1
				part, err := h.find(ctx, t.Topic, [16]byte{}, p.Partition)
				if err == nil {
					answer.LowWatermark, err = part.DeleteRecords(ctx, p.Offset)
				}
				answer.ErrorCode, _ = codeOf(err)
				out.Partitions = append(out.Partitions, answer)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil
	})
}

func refuseDeleteRecords(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	code, _ := codeOf(err)
	for _, t := range req.(*kmsg.DeleteRecordsRequest).Topics {
		out := kmsg.NewDeleteRecordsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewDeleteRecordsResponseTopicPartition()
			answer.Partition, answer.LowWatermark, answer.ErrorCode = p.Partition, -1, code
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
