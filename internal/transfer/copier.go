package transfer

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// filler is what is appended, and taken out again at once, to move an end over offsets that hold nothing: no batch is this short.
var filler = []byte{0}

// copier copies one partition.
type copier struct {
	id    storage.Partition
	from  storage.Log
	store storage.Store
	tell  *tracker

	to  storage.Log // the ownership of the epoch that is being copied
	end int64       // of the destination, with what is on its way
}

// run copies what the destination does not have yet.
func (c *copier) run(ctx context.Context) error {
	if err := c.store.Create(ctx, c.id); err != nil {
		return err
	}
	shape := c.from.Shape()
	start, end := c.from.Bounds()
	epochs := shape.Epochs
	if len(epochs) == 0 {
		epochs = []storage.EpochStart{{}}
	}
	if err := c.resume(ctx, epochs, end); err != nil {
		return err
	}
	for i, e := range epochs {
		next := end
		if i+1 < len(epochs) {
			next = max(e.Start, min(epochs[i+1].Start, end))
		}
		if err := c.advance(ctx, min(e.Start, end), start); err != nil {
			return err
		}
		if err := c.own(ctx, e.Epoch); err != nil {
			return err
		}
		if err := c.batches(ctx, max(c.end, start), next); err != nil {
			return err
		}
	}
	if err := c.advance(ctx, end, start); err != nil {
		return err
	}
	if err := c.to.TrimBefore(ctx, start); err != nil {
		return err
	}
	if at, blob, err := c.from.Checkpoint(ctx); err == nil {
		err = c.to.SaveCheckpoint(ctx, at, blob)
		if err != nil {
			return err
		}
	} else if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return c.to.Close()
}

// resume opens the destination as an earlier run left it.
func (c *copier) resume(ctx context.Context, epochs []storage.EpochStart, most int64) (err error) {
	// An empty one is opened at the first epoch. Opening another at an epoch that it has passed is refused.
	for _, e := range epochs {
		c.to, err = c.store.Open(ctx, c.id, storage.OpenOptions{Epoch: e.Epoch})
		if !errors.Is(err, storage.ErrFenced) {
			break
		}
	}
	if err != nil {
		return err
	}
	var start int64
	if start, c.end = c.to.Bounds(); c.end > most {
		return fmt.Errorf("%w: the destination ends at %d, the source at %d", ErrDiffers, c.end, most)
	}
	c.tell.add(c.to.Shape().Bytes, 0)
	if start == c.end {
		return nil
	}
	last, err := lastBytes(ctx, c.to, c.end)
	if err == nil && len(last) == len(filler) { // the run before ended when it was about to take it out
		c.tell.add(-int64(len(last)), 0)
		return c.takeOut(ctx)
	}
	return err
}

// own goes on at an epoch, unless the destination is past it.
func (c *copier) own(ctx context.Context, epoch int32) error {
	if known := c.to.Shape().Epochs; len(known) > 0 && known[len(known)-1].Epoch >= epoch {
		return nil
	}
	if err := c.to.Close(); err != nil {
		return err
	}
	l, err := c.store.Open(ctx, c.id, storage.OpenOptions{Epoch: epoch})
	if err != nil {
		return err
	}
	c.to = l
	return nil
}

// advance moves the end of the destination up to offset, over what was compacted or deleted in the source.
func (c *copier) advance(ctx context.Context, offset, start int64) error {
	if c.end >= offset {
		return nil
	}
	p := c.to.Append(storage.Batch{Base: offset - 1, Count: 1, MaxTimestampMs: -1, Bytes: filler})
	if err := p.Wait(ctx); err != nil {
		return err
	}
	c.end = offset
	if offset <= start {
		return c.to.TrimBefore(ctx, offset)
	}
	return c.takeOut(ctx)
}

// takeOut removes the filler at the end.
func (c *copier) takeOut(ctx context.Context) error {
	compactor, ok := c.to.(storage.Compactor)
	if !ok {
		return errors.New("the destination cannot hold a log with holes")
	}
	return compactor.Replace(ctx, c.end-1, c.end, func(func(storage.Batch, error) bool) {})
}

// flight is a span whose batches are being made durable.
type flight struct {
	span    storage.Span
	pending []storage.Pending
	bytes   int64
}

// wait returns when nothing reads the span any more, however early the copy is told to end: the store's own patience bounds that.
func (f *flight) wait(ctx context.Context) error {
	var failed error
	for _, p := range f.pending {
		failed = errors.Join(failed, p.Wait(context.WithoutCancel(ctx)))
	}
	f.span.Release()
	return failed
}

// batches copies the batches from an offset on that begin before another.
func (c *copier) batches(ctx context.Context, at, before int64) (err error) {
	var under []*flight
	settle := func(most int) error {
		for len(under) > most {
			f := under[0]
			under = under[1:]
			if err := f.wait(ctx); err != nil {
				return err
			}
			c.tell.add(f.bytes, 0)
		}
		return nil
	}
	for at < before && err == nil {
		if err = ctx.Err(); err != nil {
			break
		}
		var f *flight
		if f, err = c.read(ctx, &at, before); err != nil || f == nil {
			break
		}
		under = append(under, f)
		err = settle(spansInFlight)
	}
	return errors.Join(err, settle(0))
}

// read appends what one read of the source gives; nil at the end.
func (c *copier) read(ctx context.Context, at *int64, before int64) (*flight, error) {
	span, err := c.from.Read(ctx, storage.ReadRange{From: *at, Before: before, MaxBytes: readBytes, AtLeastOne: true})
	if err != nil {
		return nil, err
	}
	if span.Len() == 0 {
		span.Release()
		return nil, nil
	}
	b, err := span.Bytes()
	if err != nil {
		span.Release()
		return nil, err
	}
	f := &flight{span: span, bytes: int64(len(b))}
	for one, err := range walk(b) {
		if err != nil {
			return f, errors.Join(err, f.wait(ctx))
		}
		*at = one.Base + int64(one.Count)
		if one.Base < c.end {
			// A batch that begins before what the destination has reached can only be there already.
			f.bytes -= int64(len(one.Bytes))
			continue
		}
		f.pending = append(f.pending, c.to.Append(one.Batch))
		c.end = *at
	}
	return f, nil
}

// stored is a batch as it lies in a store, with the records it has.
type stored struct {
	storage.Batch
	records int64
}

// walk splits the bytes of a span into batches. Their checksums are compared.
func walk(b []byte) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		for len(b) > 0 {
			h, err := batch.ReadHeader(b)
			if err == nil && h.TotalBytes() > len(b) {
				err = batch.ErrCorrupt
			}
			if err == nil {
				err = h.VerifyCRC(b[:h.TotalBytes()])
			}
			if err != nil {
				yield(stored{}, fmt.Errorf("%w: what is stored at %d is not a record batch that checks: %w", storage.ErrCorrupt, h.BaseOffset, err))
				return
			}
			one := stored{records: int64(h.Count), Batch: storage.Batch{
				Base: h.BaseOffset, Count: h.LastOffsetDelta + 1, MaxTimestampMs: h.MaxTimestampMs, Bytes: b[:h.TotalBytes():h.TotalBytes()],
			}}
			if h.Count == 0 { // what compaction leaves to keep a producer's place
				one.MaxTimestampMs = -1
			}
			b = b[h.TotalBytes():]
			if !yield(one, nil) {
				return
			}
		}
	}
}
