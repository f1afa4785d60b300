package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"kelp/internal/storage"
)

// Verify reads both stores and compares partition by partition: bounds, leader epochs, checkpoints, the number of batches
// and records, and a checksum of all bytes. What differs is ErrDiffers and is named.
func Verify(ctx context.Context, from, to storage.Store, tell func(Progress)) (Totals, error) {
	ids, err := partitions(ctx, from)
	if err != nil {
		return Totals{}, err
	}
	copies, err := partitions(ctx, to)
	if err != nil {
		return Totals{}, err
	}
	if !slices.Equal(ids, copies) {
		return Totals{}, fmt.Errorf("%w: %d partitions in the source, %d in the copy, or others", ErrDiffers, len(ids), len(copies))
	}
	theirs, bytes, err := openAll(ctx, from, ids)
	if err != nil {
		return Totals{}, err
	}
	ours, more, err := openAll(ctx, to, ids)
	if err != nil {
		return Totals{}, err
	}
	t := &tracker{tell: tell, p: Progress{Phase: Verifying, OfBytes: bytes + more, OfPartitions: len(ids)}}
	total := Totals{Partitions: len(ids)}
	var mu sync.Mutex // guards total and differing
	var differing []error
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(partitionsAtOnce)
	for i, id := range ids {
		g.Go(func() error {
			a, err := summarize(ctx, theirs[i], t)
			if err != nil {
				return fmt.Errorf("read partition %s of the source: %w", id, err)
			}
			b, err := summarize(ctx, ours[i], t)
			if err != nil {
				return fmt.Errorf("read partition %s of the copy: %w", id, err)
			}
			t.add(0, 1)
			mu.Lock()
			defer mu.Unlock()
			if what := a.differs(b); what != "" {
				differing = append(differing, fmt.Errorf("%w: partition %s: %s", ErrDiffers, id, what))
			}
			total.Batches, total.Records, total.Bytes = total.Batches+a.batches, total.Records+a.records, total.Bytes+a.bytes
			return nil
		})
	}
	err = g.Wait()
	for _, l := range append(theirs, ours...) {
		err = errors.Join(err, l.Close())
	}
	return total, errors.Join(append(differing, err)...)
}

// summary is what two copies of a partition have in common.
type summary struct {
	start, end              int64
	batches, records, bytes int64
	crc                     uint32
	checkpointAt            int64
	checkpointCRC           uint32
	epochs                  []storage.EpochStart
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func summarize(ctx context.Context, l storage.Log, t *tracker) (s summary, err error) {
	s.start, s.end = l.Bounds()
	s.epochs = reachable(l.Shape().Epochs, s.start, s.end)
	s.checkpointAt = -1
	if at, blob, err := l.Checkpoint(ctx); err == nil {
		s.checkpointAt, s.checkpointCRC = at, crc32.Checksum(blob, castagnoli)
	} else if !errors.Is(err, storage.ErrNotFound) {
		return s, err
	}
	for at := s.start; at < s.end; {
		span, err := l.Read(ctx, storage.ReadRange{From: at, MaxBytes: readBytes, AtLeastOne: true})
		if err != nil {
			return s, err
		}
		if span.Len() == 0 {
			span.Release()
			break
		}
		b, err := span.Bytes()
		if err == nil {
			at, err = s.add(b)
		}
		t.add(int64(len(b)), 0)
		span.Release()
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// add takes the batches of a read in and gives the offset after them.
func (s *summary) add(b []byte) (next int64, err error) {
	for one, err := range walk(b) {
		if err != nil {
			return 0, err
		}
		s.batches, s.records = s.batches+1, s.records+one.records
		next = one.Base + int64(one.Count)
	}
	s.bytes += int64(len(b))
	s.crc = crc32.Update(s.crc, castagnoli, b)
	return next, nil
}

// reachable are the epochs that have an offset in the log: those before the start count from it, and of several that start at
// one offset only the last has any. Stores keep or forget an epoch without records as they like.
func reachable(all []storage.EpochStart, start, end int64) (out []storage.EpochStart) {
	for _, e := range all {
		e.Start = max(e.Start, start)
		if n := len(out); n > 0 && out[n-1].Start == e.Start {
			out = out[:n-1]
		}
		if e.Start < end {
			out = append(out, e)
		}
	}
	return out
}

func (s summary) differs(o summary) string {
	for _, d := range []struct {
		what string
		a, b any
	}{
		{"first offset", s.start, o.start},
		{"end", s.end, o.end},
		{"batches", s.batches, o.batches},
		{"records", s.records, o.records},
		{"bytes", s.bytes, o.bytes},
		{"checksum of all bytes", s.crc, o.crc},
		{"checkpoint", [2]any{s.checkpointAt, s.checkpointCRC}, [2]any{o.checkpointAt, o.checkpointCRC}},
	} {
		if d.a != d.b {
			return fmt.Sprintf("%s: %v in the source, %v in the copy", d.what, d.a, d.b)
		}
	}
	if !slices.Equal(s.epochs, o.epochs) {
		return fmt.Sprintf("leader epochs: %v in the source, %v in the copy", s.epochs, o.epochs)
	}
	return ""
}
