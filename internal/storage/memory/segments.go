package memory

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"

	"kelp/internal/storage"
)

// roll begins a segment with a batch where the settings say so. There is no clock here: a segment's
// age is the time between the timestamps of its first batch and of the next.
func (p *partition) roll(b storage.Batch) {
	if len(p.segments) == 0 {
		p.segments = []int64{b.Base}
		return
	}
	base := p.segments[len(p.segments)-1]
	size, firstMs := int64(0), b.MaxTimestampMs
	for i := len(p.batches) - 1; i >= 0 && p.batches[i].Base >= base; i-- {
		size += int64(len(p.batches[i].Bytes))
		firstMs = p.batches[i].MaxTimestampMs
	}
	full := p.settings.SegmentBytes > 0 && size > 0 && size+int64(len(b.Bytes)) > p.settings.SegmentBytes
	old := p.settings.SegmentMs > 0 && b.MaxTimestampMs-firstMs > p.settings.SegmentMs
	if full || old {
		p.segments = append(p.segments, b.Base)
	}
}

// shape lists the segments. A log without batches has none.
func (p *partition) shape() []storage.Segment {
	if len(p.batches) == 0 {
		return nil
	}
	all := make([]storage.Segment, len(p.segments))
	n := 0
	for i, base := range p.segments {
		all[i] = storage.Segment{Base: base, End: p.end, MaxTimestampMs: -1}
		if i+1 < len(p.segments) {
			all[i].End = p.segments[i+1]
		}
		for n < len(p.batches) && p.batches[n].Base < all[i].End {
			all[i].Bytes += int64(len(p.batches[n].Bytes))
			all[i].MaxTimestampMs = max(all[i].MaxTimestampMs, p.batches[n].MaxTimestampMs)
			n++
		}
	}
	return all
}

// Replace implements storage.Compactor.
func (l *log) Replace(_ context.Context, from, to int64, with iter.Seq2[storage.Batch, error]) error {
	var fresh []storage.Batch
	next := from
	for b, err := range with {
		if err != nil {
			return err
		}
		if b.Base < next || b.Count <= 0 || b.Base+int64(b.Count) > to {
			return fmt.Errorf("replace %d to %d with %d+%d: %w", from, to, b.Base, b.Count, storage.ErrOutOfRange)
		}
		next = b.Base + int64(b.Count)
		b.Bytes = bytes.Clone(b.Bytes)
		fresh = append(fresh, b)
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if err := l.gone(); err != nil {
		return err
	}
	if from > to || to > l.p.end {
		return fmt.Errorf("replace %d to %d, end is %d: %w", from, to, l.p.end, storage.ErrOutOfRange)
	}
	inside := func(b storage.Batch) bool { return b.Base >= from && b.Base < to }
	first := slices.IndexFunc(l.p.batches, func(b storage.Batch) bool { return b.Base >= from })
	if first < 0 {
		first = len(l.p.batches)
	}
	kept := slices.DeleteFunc(slices.Clone(l.p.batches), inside)
	fresh = slices.DeleteFunc(fresh, func(b storage.Batch) bool { return b.Base+int64(b.Count) <= l.p.start })
	l.p.batches = slices.Insert(kept, first, fresh...)
	l.p.segments = slices.DeleteFunc(l.p.segments, func(base int64) bool { return base > from && base < to })
	l.p.bytes = 0
	for _, b := range l.p.batches {
		l.p.bytes += int64(len(b.Bytes))
	}
	return nil
}
