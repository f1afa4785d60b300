package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/topic"
)

// WriteTxnMarkers: v1-2
//
// Behavior: writes markers into partitions, whatever the coordinator knows of them: how an operator
// ends a hanging transaction (KIP-664). Epochs are checked by each partition.
//
// Version notes: v2 the transaction.version of the transaction, by which the epoch is checked (KIP-1228).
func (t *transactions) writeTxnMarkers(ctx context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.WriteTxnMarkersRequest)
	var waits []func(context.Context) error
	for _, m := range req.Markers {
		for _, name := range m.Topics {
			for _, index := range name.Partitions {
				waits = append(waits, t.markers.Write(ctx, TopicPartition{name.Topic, index}, topic.Marker{
					ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch, CoordinatorEpoch: m.CoordinatorEpoch,
					Commit: m.Committed, TransactionVersion: int16(m.TransactionVersion),
				}))
			}
		}
	}
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		return markersAnswer(req, func(i int) error { return waits[i](ctx) }), nil
	})
}

// markersAnswer asks for the outcome of each marker and partition, in the order of the request.
func markersAnswer(req *kmsg.WriteTxnMarkersRequest, outcome func(int) error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	next := 0
	for _, m := range req.Markers {
		out := kmsg.NewWriteTxnMarkersResponseMarker()
		out.ProducerID = m.ProducerID
		for _, name := range m.Topics {
			to := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			to.Topic = name.Topic
			for _, index := range name.Partitions {
				p := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				p.Partition = index
				p.ErrorCode, _ = codeOf(outcome(next))
				next++
				to.Partitions = append(to.Partitions, p)
			}
			out.Topics = append(out.Topics, to)
		}
		resp.Markers = append(resp.Markers, out)
	}
	return resp
}

func refuseWriteTxnMarkers(req kmsg.Request, err error) kmsg.Response {
	return markersAnswer(req.(*kmsg.WriteTxnMarkersRequest), func(int) error { return err })
}
