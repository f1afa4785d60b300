package topic

import (
	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// epochBump is the transaction.version from which on every transaction ends with a new producer
// epoch (KIP-890).
const epochBump = 2

// Marker ends the transaction that a producer has open in a partition.
type Marker struct {
	ProducerID       int64
	ProducerEpoch    int16
	CoordinatorEpoch int32
	Commit           bool
	// TransactionVersion is the feature level under which the transaction ends. From 2 on the
	// marker's epoch must be above that of the transaction's batches, so that a late marker can
	// never end the producer's next transaction; below, it must not be lower.
	TransactionVersion int16
}

// WriteMarker appends a marker, also where the producer has nothing open: the coordinator repeats
// markers whose answer it has not seen, and a marker carries the producer's new epoch.
//
// INVALID_PRODUCER_EPOCH and TRANSACTION_COORDINATOR_FENCED refuse zombies, as Kafka's
// ProducerAppendInfo does.
func (p *Partition) WriteMarker(m Marker) (Appended, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admitMarker(m); err != nil {
		return Appended{}, err
	}
	nowMs := p.o.Now().UnixMilli()
	marker := batch.Marker{CoordinatorEpoch: m.CoordinatorEpoch, Commit: m.Commit}
	b := batch.EncodeMarker(marker, nowMs, batch.Options{
		BaseOffset: p.next, LeaderEpoch: p.o.Epoch, ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch,
	})
	h, err := batch.ReadHeader(b)
	if err != nil {
		return Appended{}, err
	}
	base := p.next
	p.rememberMarker(h, marker, nowMs)
	// A verification under way was asked about the transaction that ends here, unless it has the epoch that only
	// the next one has (KIP-890): that one may come before this marker and wait for it.
	if v := p.verifying[m.ProducerID]; v != nil && (v.epoch < m.ProducerEpoch || m.TransactionVersion < epochBump) {
		p.drop(m.ProducerID, reject(kerr.InvalidTxnState, "the transaction ended before the batch was part of it"))
	}
	p.next++
	pending := p.log.Append(storage.Batch{Base: base, Count: 1, MaxTimestampMs: nowMs, Bytes: b})
	p.track(base, false, pending, len(b))
	start, _ := p.log.Bounds()
	return Appended{BaseOffset: base, LogAppendTimeMs: -1, LogStartOffset: start, Pending: pending}, nil
}

func (p *Partition) admitMarker(m Marker) error {
	known := p.producers[m.ProducerID]
	switch {
	case known == nil:
		return nil
	case m.ProducerEpoch < known.epoch:
		return reject(kerr.InvalidProducerEpoch, "the marker has epoch %d, the newest is %d", m.ProducerEpoch, known.epoch)
	case m.TransactionVersion >= epochBump && m.ProducerEpoch == known.epoch && known.txnStart != none:
		return reject(kerr.InvalidProducerEpoch, "the marker has epoch %d, which the open transaction has too", m.ProducerEpoch)
	case m.CoordinatorEpoch < known.coordinatorEpoch:
		return reject(kerr.TransactionCoordinatorFenced,
			"the coordinator has epoch %d, the newest is %d", m.CoordinatorEpoch, known.coordinatorEpoch)
	}
	return nil
}

// LastStableOffset is the first offset that is not decided: below it lie whole transactions and
// records of none. read_committed readers stop there.
func (p *Partition) LastStableOffset() int64 {
	// The high watermark comes first: a transaction that begins between the two lies above it.
	highWatermark := p.HighWatermark()
	return max(min(highWatermark, p.txns.unstable.Load()), min(highWatermark, p.LogStartOffset()))
}

// Aborted lists the aborted transactions that have records in [from, to), in the order of their
// markers, for Fetch from version 4 on.
func (p *Partition) Aborted(from, to int64) []Aborted { return p.txns.between(from, to) }
