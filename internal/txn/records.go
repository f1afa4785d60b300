package txn

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// keyVersion is the one version of keys of __transaction_state; values are written as version 0
// while transaction.version is 0 and as version 1, which is flexible, from then on (KIP-915).
const keyVersion = 0

func keyOf(id string) []byte {
	key := kmsg.NewTxnMetadataKey()
	key.Version, key.TransactionalID = keyVersion, id
	return key.AppendTo(nil)
}

// record is a transaction as __transaction_state keeps it; partitions are null in an empty one.
func (t transaction) record(level int16) statelog.Record {
	v := kmsg.NewTxnMetadataValue()
	if level >= recordsFlexible {
		v.Version = 1
	}
	v.ProducerID, v.PreviousProducerID, v.NextProducerID, v.ProducerEpoch = t.producerID, t.previousID, t.nextID, t.epoch
	v.TimeoutMillis, v.State, v.LastUpdateTimestamp, v.StartTimestamp = t.timeoutMs, kmsg.TransactionState(t.state), t.updatedMs, t.startedMs
	v.ClientTransactionVersion = t.version
	if t.state != Empty {
		v.Topics = []kmsg.TxnMetadataValueTopic{}
	}
	for _, p := range t.partitions {
		if n := len(v.Topics); n == 0 || v.Topics[n-1].Topic != p.Topic {
			topic := kmsg.NewTxnMetadataValueTopic()
			topic.Topic = p.Topic
			v.Topics = append(v.Topics, topic)
		}
		last := &v.Topics[len(v.Topics)-1]
		last.Partitions = append(last.Partitions, p.Index)
	}
	return statelog.Record{Key: keyOf(t.id), Value: v.AppendTo(nil)}
}

// Apply implements statelog.Machine.
func (m *Machine) Apply(r statelog.Record) error {
	b := kbin.Reader{Src: r.Key}
	if version := b.Int16(); version != keyVersion {
		return fmt.Errorf("transaction record: key version %d is not known", version)
	}
	key := kmsg.NewTxnMetadataKey()
	if err := key.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("transaction key: %w", err)
	}
	if r.Value == nil {
		delete(m.byID, key.TransactionalID)
		delete(m.soft, key.TransactionalID)
		return nil
	}
	v := kmsg.NewTxnMetadataValue()
	if err := v.ReadFrom(r.Value); err != nil {
		return fmt.Errorf("transaction value: %w", err)
	}
	if v.State < 0 || int(v.State) >= len(stateNames) {
		return fmt.Errorf("transaction value: state %d is not known", v.State)
	}
	t := transaction{
		id: key.TransactionalID, producerID: v.ProducerID, previousID: v.PreviousProducerID, nextID: v.NextProducerID,
		epoch: v.ProducerEpoch, timeoutMs: v.TimeoutMillis, state: State(v.State), startedMs: v.StartTimestamp,
		updatedMs: v.LastUpdateTimestamp, version: v.ClientTransactionVersion,
	}
	for _, topic := range v.Topics {
		for _, index := range topic.Partitions {
			t.partitions = append(t.partitions, Partition{topic.Topic, index})
		}
	}
	slices.SortFunc(t.partitions, comparePartitions)
	m.byID[t.id] = t
	return nil
}
