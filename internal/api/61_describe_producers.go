package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeProducers: v0
//
// Behavior: the producers that a partition remembers, with what they have open (KIP-664).
func (h *records) describeProducers(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.DescribeProducersRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
		for _, t := range req.Topics {
			out := kmsg.NewDescribeProducersResponseTopic()
			out.Topic = t.Topic
			for _, index := range t.Partitions {
				p := kmsg.NewDescribeProducersResponseTopicPartition()
				p.Partition = index
				part, err := h.find(ctx, t.Topic, [16]byte{}, index)
				if err != nil {
					p.ErrorCode, p.ErrorMessage = codeOf(err)
				} else {
					for _, known := range part.Producers() {
						a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
						a.ProducerID, a.ProducerEpoch = known.ID, int32(known.Epoch)
						a.LastSequence, a.LastTimestamp = known.LastSequence, known.LastTimestampMs
						a.CoordinatorEpoch, a.CurrentTxnStartOffset = known.CoordinatorEpoch, known.TxnStartOffset
						p.ActiveProducers = append(p.ActiveProducers, a)
					}
				}
				out.Partitions = append(out.Partitions, p)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil
	})
}

func refuseDescribeProducers(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	for _, t := range req.(*kmsg.DescribeProducersRequest).Topics {
		out := kmsg.NewDescribeProducersResponseTopic()
		out.Topic = t.Topic
		for _, index := range t.Partitions {
			p := kmsg.NewDescribeProducersResponseTopicPartition()
			p.Partition = index
			p.ErrorCode, p.ErrorMessage = codeOf(err)
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
