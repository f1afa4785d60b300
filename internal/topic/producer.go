package topic

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// keptBatches is how many batches of a producer are remembered, Kafka's most in flight.
const keptBatches = 5

// producer is what is known of one idempotent producer (Kafka's ProducerStateEntry).
type producer struct {
	epoch    int16
	batches  []sent // oldest first
	latestMs int64  // largest timestamp of its newest batch
	seenMs   int64  // when it last appended, or was restored
}

// sent is one batch of a producer.
type sent struct {
	first, last int32 // sequences
	offset      int64
	latestMs    int64           // largest timestamp, which a repeat is answered with as Kafka does
	pending     storage.Pending // nil once restored from the log
}

// sequence adds to a sequence number, which wraps to 0 after the largest int32.
func sequence(first, add int32) int32 { return int32((int64(first) + int64(add)) & 0x7fffffff) }

// admit says whether a batch is the next of its producer, or gives the batch that it repeats.
func (p *Partition) admit(h batch.Header) (repeat *sent, err error) {
	if h.ProducerID < 0 {
		return nil, nil
	}
	known := p.producers[h.ProducerID]
	if known != nil && p.o.Now().UnixMilli()-known.seenMs >= p.o.ProducerExpirationMs {
		delete(p.producers, h.ProducerID)
		known = nil
	}
	last := sequence(h.BaseSequence, h.LastOffsetDelta)
	switch {
	case known == nil:
		// Kafka takes any first sequence of a producer that it does not know (KIP-360).
		return nil, nil
	case h.ProducerEpoch < known.epoch:
		return nil, reject(kerr.InvalidProducerEpoch, "epoch %d, the newest is %d", h.ProducerEpoch, known.epoch)
	case h.ProducerEpoch > known.epoch:
		if h.BaseSequence != 0 {
			return nil, reject(kerr.OutOfOrderSequenceNumber, "sequence %d at the start of epoch %d", h.BaseSequence, h.ProducerEpoch)
		}
		return nil, nil
	}
	for i := range known.batches {
		if known.batches[i].first == h.BaseSequence && known.batches[i].last == last {
			return &known.batches[i], nil
		}
	}
	newest := known.batches[len(known.batches)-1].last
	if h.BaseSequence != sequence(newest, 1) {
		return nil, reject(kerr.OutOfOrderSequenceNumber, "sequence %d after %d", h.BaseSequence, newest)
	}
	return nil, nil
}

// remember notes a batch of a producer, live and on restore.
func (p *Partition) remember(h batch.Header, offset int64, pending storage.Pending, nowMs int64) {
	if h.ProducerID < 0 || h.Control() {
		return
	}
	known := p.producers[h.ProducerID]
	if known == nil || known.epoch != h.ProducerEpoch {
		known = &producer{epoch: h.ProducerEpoch}
		p.producers[h.ProducerID] = known
	}
	known.latestMs, known.seenMs = h.MaxTimestampMs, nowMs
	if len(known.batches) == keptBatches {
		known.batches = append(known.batches[:0], known.batches[1:]...)
	}
	known.batches = append(known.batches, sent{
		first: h.BaseSequence, last: sequence(h.BaseSequence, h.LastOffsetDelta), offset: offset,
		latestMs: h.MaxTimestampMs, pending: pending,
	})
}

// Producer is one idempotent producer as it is shown.
type Producer struct {
	ID              int64
	Epoch           int16
	LastSequence    int32
	LastTimestampMs int64
}

// Producers lists the producers that are remembered.
func (p *Partition) Producers() []Producer {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Producer, 0, len(p.producers))
	for id, known := range p.producers {
		last := known.batches[len(known.batches)-1].last
		all = append(all, Producer{ID: id, Epoch: known.epoch, LastSequence: last, LastTimestampMs: known.latestMs})
	}
	return all
}

// expireProducers forgets producers that have been silent for too long.
func (p *Partition) expireProducers(nowMs int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, known := range p.producers {
		if nowMs-known.seenMs >= p.o.ProducerExpirationMs {
			delete(p.producers, id)
		}
	}
}
