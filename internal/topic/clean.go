package topic

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// batches reads the stored batches of a range, each unfolded. What it yields is good until the next.
func (s *pass) batches(ctx context.Context, from, before int64) iter.Seq2[*batch.Unfolded, error] {
	return func(yield func(*batch.Unfolded, error) bool) {
		var u batch.Unfolded
		for from < before {
			span, err := s.p.log.Read(ctx, storage.ReadRange{From: from, Before: before, MaxBytes: cleanerReadBytes, AtLeastOne: true})
			if err != nil {
				yield(nil, err)
				return
			}
			next, goOn := s.unfold(ctx, &u, span, yield)
			span.Release()
			if !goOn || next == none {
				return
			}
			from = next
		}
	}
}

// unfold yields the batches of a span and gives the offset after them, none when there are none.
func (s *pass) unfold(
	ctx context.Context, u *batch.Unfolded, span storage.Span, yield func(*batch.Unfolded, error) bool,
) (next int64, goOn bool) {
	b, err := span.Bytes()
	if err == nil {
		err = s.limit.wait(ctx, len(b))
	}
	if err != nil {
		return none, yield(nil, err) && false
	}
	next = none
	for len(b) > 0 {
		if err := u.Read(b, batch.MaxUnfoldedBytes); err != nil {
			return next, yield(nil, fmt.Errorf("batch at offset %d: %w", u.BaseOffset, errors.Join(storage.ErrCorrupt, err))) && false
		}
		if !yield(u, nil) {
			return next, false
		}
		next = u.LastOffset() + 1
		b = b[u.TotalBytes():]
	}
	return next, true
}

// index notes the newest offset of each key that is not cleaned yet, as far as there is room.
func (s *pass) index(ctx context.Context) error {
	txns := newCleanedTxns(s.p.Aborted(s.from, s.until))
	s.end = s.from
	for u, err := range s.batches(ctx, s.from, s.until) {
		if err != nil {
			return err
		}
		s.stats.indexed += int64(u.TotalBytes())
		switch {
		case u.Control():
			txns.control(u.Header, markerOf(u))
		case !txns.data(u.Header):
			for i := range u.Records {
				e := &u.Records[i]
				if e.Key != nil && e.Offset >= s.from && !s.keys.put(e.Key, e.Offset) {
					return nil // the rest of the keys is left to the next pass
				}
			}
		}
		s.end = max(s.end, u.LastOffset()+1)
	}
	s.end = s.until
	return nil
}

// markerOf gives the marker of a control batch, nil when it is empty.
func markerOf(u *batch.Unfolded) *batch.Marker {
	for i := range u.Records {
		if m, ok := u.Marker(i); ok {
			return &m
		}
	}
	return nil
}

// rewrite replaces a group of segments by what is kept of them. A batch that reaches over the start of
// the log is left as it is, and with it the tombstones of its keys: a record that one of them deleted
// would come back.
func (s *pass) rewrite(ctx context.Context, g group) error {
	from := max(g.from, s.start)
	if g.to <= from {
		return nil
	}
	err := s.log.Replace(ctx, from, g.to, func(yield func(storage.Batch, error) bool) {
		for u, err := range s.batches(ctx, from, g.to) {
			var kept []byte
			if err == nil {
				kept, err = s.keep(u)
			}
			if err == nil && u.BaseOffset < from {
				s.pin(u)
			}
			if err == nil && kept != nil {
				err = s.limit.wait(ctx, len(kept))
			}
			if err != nil {
				yield(storage.Batch{}, err)
				return
			}
			if kept != nil && u.BaseOffset >= from && !yield(stowed(u.Header, kept), nil) {
				return
			}
		}
	})
	if err != nil {
		return fmt.Errorf("clean offsets %s: %w", g, err)
	}
	return nil
}

// stowed is what stays of a batch, as the store keeps it: it covers the offsets of the whole.
func stowed(h batch.Header, kept []byte) storage.Batch {
	after, err := batch.ReadHeader(kept)
	if err != nil {
		panic(fmt.Sprintf("topic: the cleaner made a batch that does not parse: %v", err))
	}
	largestMs := after.MaxTimestampMs
	if after.Count == 0 {
		largestMs = none
	}
	return storage.Batch{Base: h.BaseOffset, Count: h.LastOffsetDelta + 1, MaxTimestampMs: largestMs, Bytes: kept}
}

// keep decides what of a batch stays and gives its new bytes, nil for nothing (Kafka's
// Cleaner.cleanInto and MemoryRecords.filterTo).
func (s *pass) keep(u *batch.Unfolded) ([]byte, error) {
	horizonMs, hasHorizon := u.DeleteHorizon()
	records := len(u.Records)
	s.stats.read += int64(u.TotalBytes())
	s.stats.records += int64(records)
	var txnGone, drop bool
	if u.Control() {
		// A marker stays for a while after the last record of its transaction, like a tombstone.
		if m := markerOf(u); m != nil || records == 0 {
			var listed bool
			txnGone, listed = s.txns.control(u.Header, m)
			drop = txnGone && !listed && hasHorizon && horizonMs <= s.nowMs && u.BaseOffset < s.saved
		}
	} else {
		drop = s.txns.data(u.Header)
	}
	left, tombstones := 0, false
	for i := range u.Records {
		e := &u.Records[i]
		e.Drop = drop || !u.Control() && !s.wanted(e, !hasHorizon || s.nowMs < horizonMs)
		if !e.Drop {
			left++
			tombstones = tombstones || e.Tombstone
		}
	}
	s.stats.kept += int64(left)
	setHorizon := int64(none)
	if !hasHorizon && (tombstones || txnGone) {
		setHorizon = s.nowMs + s.p.deleteRetentionMs()
	}
	var kept []byte
	var err error
	switch last, alive := s.last[u.ProducerID]; {
	case left > 0 && left == records && setHorizon == none:
		kept = u.Bytes()
	case left > 0:
		kept, err = u.Pack(setHorizon)
	case u.ProducerID >= 0 && alive && last.is(u.Header):
		kept = u.Hollow()
		s.stats.batchesHollowed++
	}
	s.stats.written += int64(len(kept))
	return kept, err
}

// wanted says whether a record is the newest of its key, or not looked at yet.
func (s *pass) wanted(e *batch.Entry, keepTombstones bool) bool {
	if e.Offset >= s.end {
		return true
	}
	if e.Key == nil || e.Offset < s.keys.get(e.Key) {
		return false
	}
	if e.Tombstone && !keepTombstones && !s.pinned[string(e.Key)] {
		s.stats.tombstonesGone++
		return false
	}
	return true
}

// pin notes the keys of a batch that is left as it is.
func (s *pass) pin(u *batch.Unfolded) {
	s.pinned = make(map[string]bool, len(u.Records))
	for i := range u.Records {
		s.pinned[string(u.Records[i].Key)] = true
	}
}

func (p *Partition) deleteRetentionMs() int64 {
	if c := p.o.Config(); c != nil {
		return c.DeleteRetentionMs
	}
	return 0
}
