// Package storagetest is the conformance suite of package storage: every backend runs it. Each
// case names one promise of the contract; a promise that a backend declares absent is tested as
// absent.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"kelp/internal/storage"
)

// Backend is what is tested.
type Backend struct {
	New func(t *testing.T) storage.Store
	// Restart ends the store in order and gives its successor on the same data. Nil where
	// Guarantees().Durable is false.
	Restart func(t *testing.T, old storage.Store) storage.Store
}

var part = storage.Partition{Topic: [16]byte{7}, Index: 3}

// Run runs every case on a fresh store.
func Run(t *testing.T, b Backend) {
	for name, test := range map[string]func(*testing.T, *fixture){
		"batches come back in order":               order,
		"reads are bounded":                        bounded,
		"offsets may skip, never go back":          skips,
		"reads outside are out of range":           outside,
		"trims move the start for good":            trims,
		"times are found":                          times,
		"a deleted partition is gone":              deletes,
		"a newer epoch fences the older":           fences,
		"a closed log takes nothing":               closes,
		"checkpoints are replaced whole":           checkpoints,
		"the owner is told that the end moved":     advances,
		"what is readable is what was appended":    readers,
		"sizes from one byte to large":             sizes,
		"a span leaves in every form":              spans,
		"partitions are listed":                    lists,
		"an ended context does not undo an append": contexts,
		"everything survives a restart":            restarts,
	} {
		b.run(t, name, test)
	}
}

// RunCompactor runs the cases of segments and of storage.Compactor, for backends that replace batches.
func RunCompactor(t *testing.T, b Backend) {
	for name, test := range map[string]func(*testing.T, *fixture){
		"segments begin where the settings say": segments,
		"a run is replaced by another":          replaces,
		"replaced batches stay replaced":        replacedForGood,
		"readers see the old run or the new":    replacedUnderReaders,
	} {
		b.run(t, name, test)
	}
}

// run runs one case on a fresh store.
func (b Backend) run(t *testing.T, name string, test func(*testing.T, *fixture)) {
	t.Run(name, func(t *testing.T) {
		f := &fixture{T: t, backend: b, store: b.New(t)}
		defer func() {
			if err := f.store.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}()
		f.must(f.store.Create(t.Context(), part))
		f.must(f.store.Create(t.Context(), part)) // again is fine
		f.log = f.open(storage.OpenOptions{})
		test(t, f)
	})
}

type fixture struct {
	*testing.T
	backend Backend
	store   storage.Store
	log     storage.Log
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) want(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Errorf("got %v, want %v", err, want)
	}
}

func (f *fixture) open(o storage.OpenOptions) storage.Log {
	f.Helper()
	l, err := f.store.Open(f.Context(), part, o)
	f.must(err)
	return l
}

// batch is the i-th of a run of batches of two offsets each.
func batch(i int64) storage.Batch {
	return storage.Batch{Base: i * 2, Count: 2, MaxTimestampMs: 1000 + i*10, Bytes: fmt.Appendf(nil, "batch %d;", i)}
}

func (f *fixture) fill(from, to int64) {
	f.Helper()
	var pending []storage.Pending
	for i := from; i < to; i++ {
		pending = append(pending, f.log.Append(batch(i)))
	}
	for _, p := range pending {
		f.must(p.Wait(f.Context()))
	}
}

func (f *fixture) read(r storage.ReadRange) string {
	f.Helper()
	s, err := f.log.Read(f.Context(), r)
	f.must(err)
	defer s.Release()
	var w bytes.Buffer
	n, err := s.WriteTo(&w)
	f.must(err)
	if int(n) != s.Len() || w.Len() != s.Len() {
		f.Errorf("span of %d bytes wrote %d", s.Len(), n)
	}
	return w.String()
}

func (f *fixture) all() string {
	f.Helper()
	start, _ := f.log.Bounds()
	return f.read(storage.ReadRange{From: start, MaxBytes: 1 << 30})
}

func run(from, to int64) string {
	var b bytes.Buffer
	for i := from; i < to; i++ {
		b.Write(batch(i).Bytes)
	}
	return b.String()
}

func (f *fixture) equal(got, want string) {
	f.Helper()
	if got != want {
		f.Errorf("got %q, want %q", got, want)
	}
}

func (f *fixture) bounds(start, end int64) {
	f.Helper()
	if s, e := f.log.Bounds(); s != start || e != end {
		f.Errorf("bounds are %d to %d, want %d to %d", s, e, start, end)
	}
}

func order(_ *testing.T, f *fixture) {
	f.bounds(0, 0)
	f.equal(f.all(), "")
	f.fill(0, 20)
	f.bounds(0, 40)
	f.equal(f.all(), run(0, 20))
	f.equal(f.read(storage.ReadRange{From: 7, MaxBytes: 1 << 20}), run(3, 20)) // 7 lies in batch 3
	f.equal(f.read(storage.ReadRange{From: 40, MaxBytes: 1 << 20}), "")
}

func bounded(_ *testing.T, f *fixture) {
	f.fill(0, 5)
	f.equal(f.read(storage.ReadRange{From: 0, MaxBytes: 16}), run(0, 2))
	f.equal(f.read(storage.ReadRange{From: 0, MaxBytes: 15}), run(0, 1))
	f.equal(f.read(storage.ReadRange{From: 0, MaxBytes: 1}), "")
	f.equal(f.read(storage.ReadRange{From: 0, MaxBytes: 1, AtLeastOne: true}), run(0, 1))
	f.equal(f.read(storage.ReadRange{From: 0, MaxBytes: 1 << 20, Before: 4}), run(0, 2))
	f.equal(f.read(storage.ReadRange{From: 0, MaxBytes: 1 << 20, Before: 5}), run(0, 3))
}

func skips(_ *testing.T, f *fixture) {
	f.fill(0, 1)
	late := batch(5)
	f.must(f.log.Append(late).Wait(f.Context()))
	f.bounds(0, 12)
	f.equal(f.read(storage.ReadRange{From: 3, MaxBytes: 1 << 20}), string(late.Bytes)) // 3 does not exist
	f.want(f.log.Append(batch(5)).Wait(f.Context()), storage.ErrOutOfRange)
}

func outside(_ *testing.T, f *fixture) {
	f.fill(0, 2)
	for _, from := range []int64{-1, 5} {
		_, err := f.log.Read(f.Context(), storage.ReadRange{From: from, MaxBytes: 1})
		f.want(err, storage.ErrOutOfRange)
	}
}

func trims(_ *testing.T, f *fixture) {
	f.fill(0, 4)
	f.must(f.log.TrimBefore(f.Context(), 3)) // inside batch 1, which stays
	f.bounds(3, 8)
	f.equal(f.read(storage.ReadRange{From: 3, MaxBytes: 1 << 20}), run(1, 4))
	f.must(f.log.TrimBefore(f.Context(), 1)) // never down
	f.bounds(3, 8)
	_, err := f.log.Read(f.Context(), storage.ReadRange{From: 2, MaxBytes: 1})
	f.want(err, storage.ErrOutOfRange)
	f.want(f.log.TrimBefore(f.Context(), 9), storage.ErrOutOfRange)
	f.must(f.log.TrimBefore(f.Context(), 8))
	f.bounds(8, 8)
	if sh := f.log.Shape(); sh.Bytes != 0 || sh.MaxTimestampMs != -1 {
		f.Errorf("an empty log has shape %+v", sh)
	}
	f.fill(4, 5)
	f.equal(f.all(), run(4, 5))
}

func times(_ *testing.T, f *fixture) {
	f.fill(0, 4)
	for _, c := range []struct{ ms, base int64 }{{0, 0}, {1000, 0}, {1001, 2}, {1010, 2}, {1030, 6}} {
		if base, err := f.log.FindTime(f.Context(), c.ms); err != nil || base != c.base {
			f.Errorf("time %d: %d, %v, want %d", c.ms, base, err, c.base)
		}
	}
	_, err := f.log.FindTime(f.Context(), 1031)
	f.want(err, storage.ErrNotFound)
	if sh := f.log.Shape(); sh.MaxTimestampMs != 1030 || sh.MaxTimestampBase != 6 {
		f.Errorf("largest timestamp %d at %d", sh.MaxTimestampMs, sh.MaxTimestampBase)
	}
}

func deletes(_ *testing.T, f *fixture) {
	f.fill(0, 2)
	f.must(f.store.Delete(f.Context(), part))
	f.must(f.store.Delete(f.Context(), part)) // again is fine
	f.want(f.log.Append(batch(2)).Wait(f.Context()), storage.ErrNotFound)
	_, err := f.log.Read(f.Context(), storage.ReadRange{MaxBytes: 1})
	f.want(err, storage.ErrNotFound)
	_, err = f.store.Open(f.Context(), part, storage.OpenOptions{})
	f.want(err, storage.ErrNotFound)
	f.must(f.store.Create(f.Context(), part))
	f.log = f.open(storage.OpenOptions{})
	f.bounds(0, 0)
}

func fences(_ *testing.T, f *fixture) {
	f.fill(0, 2)
	old := f.log
	f.log = f.open(storage.OpenOptions{Epoch: 5})
	f.want(old.Append(batch(2)).Wait(f.Context()), storage.ErrFenced)
	f.fill(2, 3)
	f.equal(f.all(), run(0, 3))
	_, err := f.store.Open(f.Context(), part, storage.OpenOptions{Epoch: 4})
	f.want(err, storage.ErrFenced)
	if got := f.log.Shape().Epochs; len(got) != 2 || got[1] != (storage.EpochStart{Epoch: 5, Start: 4}) {
		f.Errorf("epochs %v", got)
	}
}

func closes(_ *testing.T, f *fixture) {
	f.fill(0, 1)
	f.must(f.log.Close())
	f.want(f.log.Append(batch(1)).Wait(f.Context()), storage.ErrClosed)
	f.log = f.open(storage.OpenOptions{})
	f.fill(1, 2)
	f.equal(f.all(), run(0, 2))
}

func checkpoints(_ *testing.T, f *fixture) {
	_, _, err := f.log.Checkpoint(f.Context())
	f.want(err, storage.ErrNotFound)
	f.fill(0, 2)
	f.must(f.log.SaveCheckpoint(f.Context(), 2, []byte("first")))
	f.must(f.log.SaveCheckpoint(f.Context(), 4, []byte("second")))
	if at, blob, err := f.log.Checkpoint(f.Context()); err != nil || at != 4 || string(blob) != "second" {
		f.Errorf("%d %q %v", at, blob, err)
	}
}

func advances(_ *testing.T, f *fixture) {
	told := make(chan int64, 100)
	f.log = f.open(storage.OpenOptions{Advanced: func(end int64) { told <- end }})
	f.fill(0, 10)
	for last, end := int64(-1), int64(0); end < 20; last = end {
		select {
		case end = <-told:
		case <-time.After(time.Minute):
			f.Fatalf("told of %d, not of 20", last)
		}
		if end < last {
			f.Fatalf("told of %d after %d", end, last)
		}
	}
}

func readers(_ *testing.T, f *fixture) {
	const batches = 300
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for from := int64(0); from < 2*batches; {
				s, err := f.log.Read(f.Context(), storage.ReadRange{From: from, MaxBytes: 100})
				if err != nil {
					f.Errorf("read: %v", err)
					return
				}
				b, err := s.Bytes()
				want := run(from/2, from/2+int64(bytes.Count(b, []byte(";"))))
				if err != nil || string(b) != want {
					f.Errorf("at %d: %q, %v", from, b, err)
					s.Release()
					return
				}
				from += 2 * int64(bytes.Count(b, []byte(";")))
				s.Release()
			}
		})
	}
	for i := int64(0); i < batches; i += 10 {
		f.fill(i, i+10)
	}
	wg.Wait()
}

func sizes(_ *testing.T, f *fixture) {
	base := int64(0)
	random := rand.NewChaCha8([32]byte{1})
	for _, n := range []int{1, 2, 4095, 4096, 4097, 1 << 20, 9 << 20} {
		b := make([]byte, n)
		_, _ = random.Read(b)
		f.must(f.log.Append(storage.Batch{Base: base, Count: 1, Bytes: b}).Wait(f.Context()))
		if got := f.read(storage.ReadRange{From: base, AtLeastOne: true}); got != string(b) {
			f.Errorf("%d bytes came back as %d others", n, len(got))
		}
		base++
	}
}

func lists(_ *testing.T, f *fixture) {
	other := storage.Partition{Topic: [16]byte{8}}
	f.must(f.store.Create(f.Context(), other))
	seen := map[storage.Partition]bool{}
	for p, err := range f.store.Partitions(f.Context()) {
		f.must(err)
		seen[p] = true
	}
	if len(seen) != 2 || !seen[part] || !seen[other] {
		f.Errorf("listed %v", seen)
	}
	_, err := f.store.Open(f.Context(), storage.Partition{Topic: [16]byte{9}}, storage.OpenOptions{})
	f.want(err, storage.ErrNotFound)
}

func contexts(_ *testing.T, f *fixture) {
	ended, cancel := context.WithCancel(f.Context())
	cancel()
	p := f.log.Append(batch(0))
	if err := p.Wait(ended); err != nil {
		f.want(err, context.Canceled)
	}
	f.must(p.Wait(f.Context()))
	f.fill(1, 2)
	f.equal(f.all(), run(0, 2))
}

func restarts(_ *testing.T, f *fixture) {
	if durable := f.store.Guarantees().Durable; durable != (f.backend.Restart != nil) {
		f.Fatalf("durable is %v, but the suite was told how to restart: %v", durable, !durable)
	}
	if f.backend.Restart == nil {
		return
	}
	f.log = f.open(storage.OpenOptions{Epoch: 2})
	f.fill(0, 200)
	f.must(f.log.TrimBefore(f.Context(), 101))
	f.must(f.log.SaveCheckpoint(f.Context(), 300, []byte("derived")))
	for range 2 {
		f.store = f.backend.Restart(f.T, f.store)
		_, err := f.store.Open(f.Context(), part, storage.OpenOptions{Epoch: 1})
		f.want(err, storage.ErrFenced)
		f.log = f.open(storage.OpenOptions{Epoch: 2})
		f.bounds(101, 400)
		f.equal(f.all(), run(50, 200))
		if at, blob, err := f.log.Checkpoint(f.Context()); err != nil || at != 300 || string(blob) != "derived" {
			f.Errorf("checkpoint %d %q %v", at, blob, err)
		}
	}
	f.fill(200, 201)
	f.equal(f.read(storage.ReadRange{From: 398, MaxBytes: 1 << 20}), run(199, 201))
}
