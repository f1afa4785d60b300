package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/topic"
)

// Verifier is the transaction coordinator as Produce sees it (KIP-890).
type Verifier interface {
	// Verify asks whether partitions are part of the transaction that a producer has ongoing. It
	// must not block. done is called once, from anywhere, with one answer per partition in the
	// order asked: nil for yes, else the error that Produce gives for it.
	Verify(q TxnQuestion, done func(answers []error))
}

// TxnQuestion is about the first batches of a producer in some partitions.
type TxnQuestion struct {
	TransactionalID string
	ProducerID      int64
	ProducerEpoch   int16
	// Version is that of the Produce request, which says what errors its client knows.
	Version int16
	// Add makes the partitions part of the transaction, and begins it where none is ongoing: the
	// client speaks transactions V2, where Produce does what AddPartitionsToTxn did.
	Add        bool
	Partitions []TopicPartition
}

// TopicPartition names a partition as clients do.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// addsPartitions is the Produce version from which on partitions join their transaction implicitly.
const addsPartitions = 12

// verifications are the questions that one Produce request raises, sent to the coordinator as one.
type verifications struct {
	partitions []TopicPartition
	open       []*topic.Verification
}

func (v *verifications) add(name string, partition int32, open *topic.Verification) {
	if len(v.open) > 0 && (open.ProducerID != v.open[0].ProducerID || open.ProducerEpoch != v.open[0].ProducerEpoch) {
		open.Done(kerr.InvalidProducerIDMapping) // one request speaks for one producer
		return
	}
	v.partitions, v.open = append(v.partitions, TopicPartition{name, partition}), append(v.open, open)
}

func (v *verifications) send(to Verifier, req *kmsg.ProduceRequest) {
	if len(v.open) == 0 {
		return
	}
	if to == nil {
		for _, open := range v.open {
			open.Done(kerr.InvalidTxnState)
		}
		return
	}
	q := TxnQuestion{
		TransactionalID: *req.TransactionID, ProducerID: v.open[0].ProducerID, ProducerEpoch: v.open[0].ProducerEpoch,
		Version: req.Version, Add: req.Version >= addsPartitions, Partitions: v.partitions,
	}
	open := v.open
	to.Verify(q, func(answers []error) {
		for i, o := range open {
			o.Done(answers[i])
		}
	})
}
