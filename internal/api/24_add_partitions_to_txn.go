package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
	"kelp/internal/statelog"
	"kelp/internal/txn"
)

// AddPartitionsToTxn: v0-5
//
// Behavior: partitions become part of a transaction, durably. One that does not exist fails its
// whole transaction: the others are OPERATION_NOT_ATTEMPTED. While the markers of the transaction
// before are on their way the answer of v0-3 waits a moment for them.
//
// Version notes: v2 PRODUCER_FENCED. v4 several transactions, and to ask without adding: the form that brokers use.
func (t *transactions) addPartitionsToTxn(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.AddPartitionsToTxnRequest)
	img := t.catalog.Image()
	if req.Version < 4 {
		for _, topic := range req.Topics {
			if !allExist(img, topic.Topic, topic.Partitions) {
				return Now(refusedAddition(img, req))
			}
		}
		return t.submit(func(m *txn.Machine, in statelog.Input) statelog.Effects { return m.AddPartitions(in, req) })
	}
	return t.addBatched(img, req)
}

// addBatched gives the machine the transactions whose partitions all exist.
func (t *transactions) addBatched(img *cluster.Image, req *kmsg.AddPartitionsToTxnRequest) Reply {
	refused := make([]*kmsg.AddPartitionsToTxnResponseTransaction, len(req.Transactions))
	passed := *req
	passed.Transactions = nil
	for i, each := range req.Transactions {
		if refused[i] = refusedTransaction(img, each); refused[i] == nil {
			passed.Transactions = append(passed.Transactions, each)
		}
	}
	answer := t.coordinator.Submit(func(m *txn.Machine, in statelog.Input) statelog.Effects { return m.AddPartitions(in, &passed) })
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		got, err := waitFor(ctx, answer)
		if err != nil {
			return nil, err
		}
		added := got.(*kmsg.AddPartitionsToTxnResponse).Transactions
		resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
		for _, r := range refused {
			if r == nil {
				r, added = &added[0], added[1:]
			}
			resp.Transactions = append(resp.Transactions, *r)
		}
		return resp, nil
	})
}

// exists reports a partition; the one of the groups' offsets is there before it is shown.
func exists(img *cluster.Image, name string, index int32) bool {
	topic, known := img.ByName[name]
	return known && index >= 0 && index < topic.Partitions || name == groupOffsets.Topic && index == groupOffsets.Index
}

func allExist(img *cluster.Image, name string, indexes []int32) bool {
	for _, index := range indexes {
		if !exists(img, name, index) {
			return false
		}
	}
	return true
}

func additionCode(img *cluster.Image, name string, index int32) int16 {
	if exists(img, name, index) {
		return kerr.OperationNotAttempted.Code
	}
	return kerr.UnknownTopicOrPartition.Code
}

func refusedAddition(img *cluster.Image, req *kmsg.AddPartitionsToTxnRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	for _, topic := range req.Topics {
		out := kmsg.NewAddPartitionsToTxnResponseTopic()
		out.Topic = topic.Topic
		for _, index := range topic.Partitions {
			p := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			p.Partition, p.ErrorCode = index, additionCode(img, topic.Topic, index)
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// refusedTransaction is nil when all partitions exist.
func refusedTransaction(img *cluster.Image, t kmsg.AddPartitionsToTxnRequestTransaction) *kmsg.AddPartitionsToTxnResponseTransaction {
	refused := false
	resp := kmsg.NewAddPartitionsToTxnResponseTransaction()
	resp.TransactionalID = t.TransactionalID
	for _, topic := range t.Topics {
		refused = refused || !allExist(img, topic.Topic, topic.Partitions)
		out := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		out.Topic = topic.Topic
		for _, index := range topic.Partitions {
			p := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			p.Partition, p.ErrorCode = index, additionCode(img, topic.Topic, index)
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if !refused {
		return nil
	}
	return &resp
}

func refuseAddPartitionsToTxn(r kmsg.Request, err error) kmsg.Response {
	req := r.(*kmsg.AddPartitionsToTxnRequest)
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	code, _ := codeOf(err)
	resp.ErrorCode = code
	for _, topic := range req.Topics {
		out := kmsg.NewAddPartitionsToTxnResponseTopic()
		out.Topic = topic.Topic
		for _, index := range topic.Partitions {
			p := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			p.Partition, p.ErrorCode = index, code
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
