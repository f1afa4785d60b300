package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/statelog"
	"kelp/internal/txn"
)

// NewVerifier lets Produce ask the coordinator.
func NewVerifier(c TransactionCoordinator) Verifier {
	return verifier{c}
}

type verifier struct {
	coordinator TransactionCoordinator
}

// The Produce versions that know more of KIP-890's errors.
const abortableSince = 11

// Verify implements Verifier.
func (v verifier) Verify(q TxnQuestion, done func([]error)) {
	by := txn.Producer{TransactionalID: q.TransactionalID, ID: q.ProducerID, Epoch: q.ProducerEpoch}
	partitions := make([]txn.Partition, 0, len(q.Partitions))
	for _, p := range q.Partitions {
		partitions = append(partitions, txn.Partition{Topic: p.Topic, Index: p.Partition})
	}
	answer := v.coordinator.Submit(func(m *txn.Machine, in statelog.Input) statelog.Effects {
		if q.Add {
			return m.Join(in, by, partitions...)
		}
		return m.Verify(in, by, partitions...)
	})
	go func() { // ends with the answer, which a closed runner gives too
		resp, err := waitFor(context.Background(), answer)
		answers := make([]error, len(partitions))
		members, checked := resp.([]bool)
		for i := range answers {
			if err != nil {
				answers[i] = produceError(q, err)
			} else if checked && !members[i] {
				answers[i] = produceError(q, kerr.TransactionAbortable)
			}
		}
		done(answers)
	}()
}

// produceError says what the coordinator answered as Produce says it: old clients retry only what
// they know (ReplicaManager.handleProduceAppend).
func produceError(q TxnQuestion, err error) error {
	switch {
	case errors.Is(err, kerr.ProducerFenced):
		return kerr.InvalidProducerEpoch
	case errors.Is(err, kerr.TransactionAbortable) && q.Version < abortableSince:
		return refuse(kerr.InvalidTxnState, "Partition was not added to the transaction")
	case errors.Is(err, kerr.ConcurrentTransactions) && q.Add:
		return err
	case errors.Is(err, kerr.ConcurrentTransactions), errors.Is(err, kerr.NotCoordinator):
		return refuse(kerr.NotEnoughReplicas,
			"Unable to verify the partition has been added to the transaction. Underlying error: %v", err)
	}
	return err
}
