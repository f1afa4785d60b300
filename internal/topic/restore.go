package topic

import (
	"context"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// restoreBytes is how much is read at a time when producer state is rebuilt.
const restoreBytes = 4 << 20

// maxControlBytes bounds what a control batch may unfold to.
const maxControlBytes = 1 << 20

// replay takes stored batches into the books.
func (p *Partition) replay(ctx context.Context, from, end int64) error {
	for from < end {
		span, err := p.log.Read(ctx, storage.ReadRange{From: from, MaxBytes: restoreBytes, AtLeastOne: true})
		if err != nil {
			return err
		}
		b, err := span.Bytes()
		for err == nil && len(b) > 0 {
			var h batch.Header
			if h, err = batch.ReadHeader(b); err == nil && h.TotalBytes() > len(b) {
				err = storage.ErrCorrupt
			}
			if err == nil {
				err = p.note(h, b[:h.TotalBytes()])
			}
			if err != nil {
				break
			}
			from = h.LastOffset() + 1
			p.appended += int64(h.TotalBytes())
			b = b[h.TotalBytes():]
		}
		empty := span.Len() == 0
		span.Release()
		if err != nil || empty {
			return err
		}
	}
	p.txns.durable(end)
	return nil
}

// note takes a batch into the books that is stored, or was made by the owner of a state partition.
func (p *Partition) note(h batch.Header, b []byte) error {
	nowMs := p.o.Now().UnixMilli()
	if !h.Control() {
		p.remember(h, h.BaseOffset, nowMs)
		return nil
	}
	if h.Count == 0 && h.ProducerID >= 0 {
		// The cleaner has emptied it and left it for its epoch.
		if known := p.entry(h.ProducerID, h.ProducerEpoch); h.ProducerEpoch > known.epoch {
			known.advance(h.ProducerEpoch)
		}
	}
	for r, err := range batch.Records(b, maxControlBytes) {
		if err != nil {
			return err
		}
		if m, ok := batch.ReadMarker(r); ok {
			p.rememberMarker(h, m, nowMs)
		}
	}
	return nil
}
