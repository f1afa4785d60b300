package topic

import (
	"fmt"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// Import appends a batch that has its offsets already, in its header and its records, and no producer.
// They begin at or after End; what is skipped does not exist. The bytes must stay as they are until the
// Pending is done.
func (p *Partition) Import(b []byte) (storage.Pending, error) {
	h, err := batch.ReadHeader(b)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.BaseOffset < p.next {
		return nil, fmt.Errorf("import at %d, the next offset is %d: %w", h.BaseOffset, p.next, storage.ErrOutOfRange)
	}
	batch.SetLeaderEpoch(b, p.o.Epoch)
	p.next = h.LastOffset() + 1
	pending := p.log.Append(storage.Batch{
		Base: h.BaseOffset, Count: h.LastOffsetDelta + 1, MaxTimestampMs: h.MaxTimestampMs, Bytes: b,
	})
	p.track(h.BaseOffset, false, pending, len(b))
	return pending, nil
}

// End is the offset that the next record gets at the earliest.
func (p *Partition) End() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}
