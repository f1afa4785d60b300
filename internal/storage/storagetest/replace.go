package storagetest

import (
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"kelp/internal/storage"
)

func these(batches ...storage.Batch) iter.Seq2[storage.Batch, error] {
	return func(yield func(storage.Batch, error) bool) {
		for _, b := range batches {
			if !yield(b, nil) {
				return
			}
		}
	}
}

// compactor is the log as one that replaces.
func (f *fixture) compactor() storage.Compactor {
	f.Helper()
	c, ok := f.log.(storage.Compactor)
	if !ok {
		f.Fatal("the log does not implement storage.Compactor")
	}
	return c
}

func segments(_ *testing.T, f *fixture) {
	f.log.Configure(storage.Settings{SegmentBytes: int64(len(batch(0).Bytes) * 2)})
	f.fill(0, 6)
	f.log.Configure(storage.Settings{SegmentMs: 15})
	f.fill(6, 10) // ten milliseconds apart
	sh := f.log.Shape()
	total := int64(0)
	for i, g := range sh.Segments {
		total += g.Bytes
		if i > 0 && sh.Segments[i-1].End != g.Base {
			f.Errorf("segment %d begins at %d, the one before ends at %d", i, g.Base, sh.Segments[i-1].End)
		}
	}
	if total != sh.Bytes || len(sh.Segments) < 5 {
		f.Errorf("%d bytes in %d segments of %d bytes: %+v", sh.Bytes, len(sh.Segments), total, sh.Segments)
	}
}

func replaces(_ *testing.T, f *fixture) {
	c := f.compactor()
	f.fill(0, 10)
	f.must(c.Replace(f.Context(), 4, 14, these(batch(3), batch(6)))) // 2 to 6 become 3 and 6
	f.bounds(0, 20)
	want := run(0, 2) + run(3, 4) + run(6, 10)
	f.equal(f.all(), want)
	f.equal(f.read(storage.ReadRange{From: 4, MaxBytes: 1 << 20}), run(3, 4)+run(6, 10)) // 4 does not exist any more
	if sh := f.log.Shape(); sh.Bytes != int64(len(want)) || sh.MaxTimestampBase != 18 {
		f.Errorf("shape %+v", sh)
	}
	if base, err := f.log.FindTime(f.Context(), batch(4).MaxTimestampMs); err != nil || base != 12 {
		f.Errorf("found %d, %v", base, err)
	}
	f.fill(10, 12) // appending goes on
	f.equal(f.all(), want+run(10, 12))
	f.must(c.Replace(f.Context(), 0, 24, these())) // everything
	f.equal(f.all(), "")
	f.bounds(0, 24)
	f.fill(12, 13)
	f.equal(f.all(), run(12, 13))
	for name, bad := range map[string]error{
		"past the end": c.Replace(f.Context(), 0, 100, these()),
		"outside":      c.Replace(f.Context(), 24, 26, these(batch(3))),
		"backwards":    c.Replace(f.Context(), 24, 26, these(batch(12), batch(12))),
	} {
		if bad == nil {
			f.Errorf("%s: no error", name)
		}
	}
	f.equal(f.all(), run(12, 13))
}

func replacedForGood(_ *testing.T, f *fixture) {
	c := f.compactor()
	f.fill(0, 30)
	f.must(c.Replace(f.Context(), 10, 40, these(batch(7), batch(19))))
	f.must(f.log.TrimBefore(f.Context(), 12))
	want := run(7, 8) + run(19, 30)
	if f.backend.Restart == nil {
		f.equal(f.all(), want)
		return
	}
	for range 2 {
		f.store = f.backend.Restart(f.T, f.store)
		f.log = f.open(storage.OpenOptions{})
		f.bounds(12, 60)
		f.equal(f.all(), want)
	}
}

// replacedUnderReaders reads while a run becomes shorter and shorter.
func replacedUnderReaders(_ *testing.T, f *fixture) {
	c := f.compactor()
	const batches = 40
	f.fill(0, batches)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				s, err := f.log.Read(f.Context(), storage.ReadRange{MaxBytes: 1 << 20})
				if err != nil {
					f.Errorf("read: %v", err)
					return
				}
				b, err := s.Bytes()
				parts := strings.SplitAfter(string(b), ";")
				if err != nil || parts[0] != "batch 0;" || !slices.Contains(parts, "batch 39;") {
					f.Errorf("read %q, %v", b, err)
				}
				s.Release()
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for n := int64(1); n < batches-1; n += 3 {
		f.must(c.Replace(f.Context(), 0, 2*(n+1), these(batch(0))))
	}
	close(done)
	wg.Wait()
	f.equal(f.all(), run(0, 1)+run(38, 40))
}
