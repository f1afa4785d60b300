package topic

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// keptBatches is how many batches of a producer are remembered, Kafka's most in flight.
const keptBatches = 5

// none is the value of an epoch, sequence or offset that there is not.
const none = -1

// producer is what is known of one producer that numbers its batches (Kafka's ProducerStateEntry).
type producer struct {
	epoch            int16
	coordinatorEpoch int32  // of its newest marker
	txnStart         int64  // first offset of its open transaction, or none
	batches          []sent // of this epoch, oldest first
	// bare says that only a marker is known of it, not its batches, as they were deleted: any sequence
	// may come next. Kafka takes only 0 then and lets the producer begin a new epoch.
	bare     bool
	latestMs int64 // timestamp of its newest batch or marker
	seenMs   int64 // when it last appended, or was restored
}

// sent is one batch of a producer.
type sent struct {
	first, last int32 // sequences
	offset      int64
	latestMs    int64 // largest timestamp, which a repeat is answered with as Kafka does
}

// placed is a batch that was appended and may not be durable yet.
type placed struct {
	offset  int64
	pending storage.Pending
}

// sequence adds to a sequence number, which wraps to 0 after the largest int32.
func sequence(first, add int32) int32 { return int32((int64(first) + int64(add)) & 0x7fffffff) }

// lastSequence is that of the newest batch, none when the epoch has none.
func (s *producer) lastSequence() int32 {
	if len(s.batches) == 0 {
		return none
	}
	return s.batches[len(s.batches)-1].last
}

// advance takes a new epoch, which begins with sequence 0.
func (s *producer) advance(epoch int16) {
	if s.epoch != epoch {
		s.epoch, s.batches, s.bare = epoch, s.batches[:0], false
	}
}

func (s *producer) keep(b sent) {
	switch n := len(s.batches); {
	case n == keptBatches:
		copy(s.batches, s.batches[1:])
		s.batches[n-1] = b
	case n == cap(s.batches) && n > 0:
		s.batches = append(append(make([]sent, 0, keptBatches), s.batches...), b)
	default: // many producers send one batch only
		s.batches = append(s.batches, b)
	}
}

// find gives what is known of a producer, nil for one that was silent for too long. The
// partition's lock is held.
func (p *Partition) find(id int64) *producer {
	known := p.producers[id]
	if known != nil && p.expired(known, p.o.Now().UnixMilli()) {
		delete(p.producers, id)
		return nil
	}
	return known
}

// expired spares producers with an open transaction, as Kafka does.
func (p *Partition) expired(s *producer, nowMs int64) bool {
	return s.txnStart == none && nowMs-s.seenMs >= p.o.ProducerExpirationMs
}

// admit says whether a batch is the next of its producer, or gives the batch that it repeats.
func (p *Partition) admit(h batch.Header) (repeat *sent, err error) {
	known := p.find(h.ProducerID)
	if known == nil {
		// Kafka takes any first sequence of a producer that it does not know (KIP-360).
		return nil, nil
	}
	switch newest := known.lastSequence(); {
	case h.ProducerEpoch < known.epoch:
		return nil, reject(kerr.InvalidProducerEpoch, "epoch %d, the newest is %d", h.ProducerEpoch, known.epoch)
	case h.ProducerEpoch > known.epoch:
		if h.BaseSequence != 0 {
			return nil, reject(kerr.OutOfOrderSequenceNumber, "sequence %d at the start of epoch %d", h.BaseSequence, h.ProducerEpoch)
		}
	default:
		if repeat = known.repeated(h); repeat != nil {
			return repeat, nil
		}
		if newest == none && h.BaseSequence != 0 && !known.bare || newest != none && h.BaseSequence != sequence(newest, 1) {
			return nil, reject(kerr.OutOfOrderSequenceNumber, "sequence %d after %d", h.BaseSequence, newest)
		}
	}
	if known.txnStart != none && !h.Transactional() {
		return nil, reject(kerr.InvalidTxnState, "the producer has a transaction open here, which this batch is not part of")
	}
	return nil, nil
}

// repeated finds the batch that has the same sequences.
func (s *producer) repeated(h batch.Header) *sent {
	last := sequence(h.BaseSequence, h.LastOffsetDelta)
	for i := range s.batches {
		if s.batches[i].first == h.BaseSequence && s.batches[i].last == last {
			return &s.batches[i]
		}
	}
	return nil
}

// remember notes a data batch that lies at an offset, live and on restore.
func (p *Partition) remember(h batch.Header, offset, nowMs int64) {
	if h.ProducerID < 0 {
		return
	}
	known := p.entry(h.ProducerID, h.ProducerEpoch)
	known.advance(h.ProducerEpoch)
	known.latestMs, known.seenMs = h.MaxTimestampMs, nowMs
	known.keep(sent{
		first: h.BaseSequence, last: sequence(h.BaseSequence, h.LastOffsetDelta), offset: offset, latestMs: h.MaxTimestampMs,
	})
	if h.Transactional() && known.txnStart == none {
		known.txnStart = offset
		p.txns.begin(h.ProducerID, offset)
	}
}

// rememberMarker notes a marker and its batch, live and on restore.
func (p *Partition) rememberMarker(h batch.Header, m batch.Marker, nowMs int64) {
	_, before := p.producers[h.ProducerID]
	known := p.entry(h.ProducerID, h.ProducerEpoch)
	known.advance(h.ProducerEpoch)
	known.bare = known.bare || !before
	known.coordinatorEpoch, known.latestMs, known.seenMs = m.CoordinatorEpoch, h.MaxTimestampMs, nowMs
	if known.txnStart != none {
		p.txns.end(h.ProducerID, known.txnStart, h.BaseOffset, m.Commit)
		known.txnStart = none
	}
}

func (p *Partition) entry(id int64, epoch int16) *producer {
	known := p.producers[id]
	if known == nil {
		if len(p.producers) >= p.o.MaxProducers {
			p.evict()
		}
		known = &producer{epoch: epoch, coordinatorEpoch: none, txnStart: none}
		p.producers[id] = known
	}
	return known
}

// evict makes room by forgetting the tenth of the producers that is silent for longest. One with an
// open transaction stays.
func (p *Partition) evict() {
	seen := make([]int64, 0, len(p.producers))
	for _, s := range p.producers {
		seen = append(seen, s.seenMs)
	}
	slices.Sort(seen)
	until, left := seen[len(seen)/10], len(seen)/10+1
	for id, s := range p.producers {
		if s.seenMs <= until && s.txnStart == none && left > 0 {
			delete(p.producers, id)
			left--
		}
	}
}

// underway gives what to wait for until the batch at an offset is durable, nil when it is.
func (p *Partition) underway(offset int64) storage.Pending {
	i := slices.IndexFunc(p.inflight, func(b placed) bool { return b.offset == offset })
	if i < 0 || offset < p.HighWatermark() {
		return nil
	}
	return p.inflight[i].pending
}

// track remembers an append until it is durable, and one of a producer for repeats that come before.
// The partition's lock is held.
func (p *Partition) track(offset int64, repeatable bool, pending storage.Pending, bytes int) {
	p.appended += int64(bytes)
	p.newest = pending
	if repeatable {
		p.untrack()
		p.inflight = append(p.inflight, placed{offset, pending})
	}
}

// untrack forgets appends that are durable. The partition's lock is held.
func (p *Partition) untrack() {
	durable, done := p.HighWatermark(), 0
	for done < len(p.inflight) && p.inflight[done].offset < durable {
		done++
	}
	p.inflight = slices.Delete(p.inflight, 0, done)
	if durable == p.next {
		p.newest = nil
	}
}

// failed reports that an append failed, after which the log takes no more until it is opened again.
// The partition's lock is held.
func (p *Partition) failed() bool {
	if p.newest == nil {
		return false
	}
	select {
	case <-p.newest.Done():
		return p.newest.Wait(context.Background()) != nil
	default:
		return false
	}
}

// Producer is one producer as it is shown.
type Producer struct {
	ID               int64
	Epoch            int16
	LastSequence     int32 // -1 when its newest entry is a marker of a new epoch
	LastTimestampMs  int64
	CoordinatorEpoch int32 // -1 when no transaction has ended here
	TxnStartOffset   int64 // -1 when it has none open here
}

// Producers lists the producers that are remembered.
func (p *Partition) Producers() []Producer {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Producer, 0, len(p.producers))
	for id, known := range p.producers {
		all = append(all, Producer{
			ID: id, Epoch: known.epoch, LastSequence: known.lastSequence(), LastTimestampMs: known.latestMs,
			CoordinatorEpoch: known.coordinatorEpoch, TxnStartOffset: known.txnStart,
		})
	}
	return all
}

// expireProducers forgets producers that have been silent for too long, and verifications.
func (p *Partition) expireProducers(nowMs int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, known := range p.producers {
		if p.expired(known, nowMs) {
			delete(p.producers, id)
		}
	}
	for id, v := range p.verifying {
		if len(v.queue) == 0 && nowMs-v.sinceMs >= p.o.ProducerExpirationMs {
			delete(p.verifying, id)
		}
	}
}
