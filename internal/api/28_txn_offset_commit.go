package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
	"kelp/internal/txn"
)

// The versions of TxnOffsetCommit that do more.
const (
	offsetsAbortableSince = 4 // knows TRANSACTION_ABORTABLE
	offsetsJoinSince      = 5 // is part of the transaction by itself
)

// TxnOffsetCommit: v0-5
//
// Behavior: offsets that count once the transaction is committed. The transaction is asked for with
// its coordinator before the first of it; member and generation are the group's to check.
//
// Version notes: v2 leader epochs. v3 member, instance and generation (KIP-447). v4 TRANSACTION_ABORTABLE. v5 adds
// the offsets to the transaction, as AddOffsetsToTxn does (KIP-890).
func (t *transactions) txnOffsetCommit(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.TxnOffsetCommitRequest)
	known, refused := t.splitOffsets(req)
	if len(known.Topics) == 0 {
		return Now(mergeOffsets(req, nil, refused))
	}
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		guard, err := t.verifyOffsets(ctx, known)
		if err != nil {
			code, _ := codeOf(err)
			return offsetsAnswer(req, func(p TopicPartition) int16 {
				if refused[p] {
					return kerr.UnknownTopicOrPartition.Code
				}
				return code
			}), nil
		}
		answer := t.groups.Submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.TxnOffsetCommit(in, known, guard) })
		committed, err := waitFor(ctx, answer)
		if err != nil {
			return nil, err
		}
		return mergeOffsets(req, committed.(*kmsg.TxnOffsetCommitResponse), refused), nil
	})
}

// verifyOffsets asks the coordinator whether the offsets are part of the producer's transaction, and
// gives what shows that no marker came in between.
func (t *transactions) verifyOffsets(ctx context.Context, req *kmsg.TxnOffsetCommitRequest) (group.Guard, error) {
	got, err := waitFor(ctx, t.groups.Submit(func(m *group.Machine, in statelog.Input) statelog.Effects {
		return m.TxnGuard(in, req.ProducerID, req.ProducerEpoch)
	}))
	if err != nil {
		return group.Guard{}, err
	}
	guard := got.(group.Guard)
	if guard.Open {
		return guard, nil
	}
	by := txn.Producer{TransactionalID: req.TransactionalID, ID: req.ProducerID, Epoch: req.ProducerEpoch}
	got, err = waitFor(ctx, t.coordinator.Submit(func(m *txn.Machine, in statelog.Input) statelog.Effects {
		if req.Version >= offsetsJoinSince {
			return m.Join(in, by, groupOffsets)
		}
		return m.Verify(in, by, groupOffsets)
	}))
	if members, checked := got.([]bool); err == nil && checked && !members[0] {
		err = kerr.TransactionAbortable
	}
	switch {
	case errors.Is(err, kerr.ProducerFenced):
		err = kerr.InvalidProducerEpoch
	case errors.Is(err, kerr.TransactionAbortable) && req.Version < offsetsAbortableSince:
		err = kerr.InvalidTxnState
	}
	return guard, err
}

// splitOffsets parts what can be committed from partitions that do not exist.
func (t *transactions) splitOffsets(
	req *kmsg.TxnOffsetCommitRequest,
) (known *kmsg.TxnOffsetCommitRequest, refused map[TopicPartition]bool) {
	img := t.catalog.Image()
	part := *req
	part.Topics, refused = nil, map[TopicPartition]bool{}
	for _, each := range req.Topics {
		kept := each
		kept.Partitions = nil
		for _, p := range each.Partitions {
			if exists(img, each.Topic, p.Partition) {
				kept.Partitions = append(kept.Partitions, p)
			} else {
				refused[TopicPartition{each.Topic, p.Partition}] = true
			}
		}
		if len(kept.Partitions) > 0 {
			part.Topics = append(part.Topics, kept)
		}
	}
	return &part, refused
}

// mergeOffsets answers in the order of the request.
func mergeOffsets(
	req *kmsg.TxnOffsetCommitRequest, committed *kmsg.TxnOffsetCommitResponse, refused map[TopicPartition]bool,
) kmsg.Response {
	var codes []int16
	if committed != nil {
		for _, each := range committed.Topics {
			for _, p := range each.Partitions {
				codes = append(codes, p.ErrorCode)
			}
		}
	}
	return offsetsAnswer(req, func(p TopicPartition) int16 {
		if refused[p] {
			return kerr.UnknownTopicOrPartition.Code
		}
		code := codes[0]
		codes = codes[1:]
		return code
	})
}

func offsetsAnswer(req *kmsg.TxnOffsetCommitRequest, code func(TopicPartition) int16) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	for _, each := range req.Topics {
		out := kmsg.NewTxnOffsetCommitResponseTopic()
		out.Topic = each.Topic
		for _, asked := range each.Partitions {
			p := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			p.Partition, p.ErrorCode = asked.Partition, code(TopicPartition{each.Topic, asked.Partition})
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func refuseTxnOffsetCommit(req kmsg.Request, err error) kmsg.Response {
	code, _ := codeOf(err)
	return offsetsAnswer(req.(*kmsg.TxnOffsetCommitRequest), func(TopicPartition) int16 { return code })
}
