package transfer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"kelp/internal/batch"
	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
	"kelp/internal/storage/memory"
)

func encode(base int64, records int, epoch int32) []byte {
	var all []batch.Record
	for i := range records {
		all = append(all, batch.Record{TimestampMs: 1000 + base + int64(i), Value: fmt.Appendf(nil, "value %d", base+int64(i))})
	}
	b := batch.Encode(all, batch.NoProducer())
	batch.SetBaseOffset(b, base)
	batch.SetLeaderEpoch(b, epoch)
	return b
}

// written is a store with what a copy may meet: several epochs, trimmed, compacted, emptied and never written partitions.
func written(t *testing.T, random *rand.Rand, s storage.Store) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	for i := range int32(12) {
		id := storage.Partition{Topic: [16]byte{byte(random.IntN(3))}, Index: i}
		must(s.Create(ctx, id))
		if i == 0 { // never opened
			continue
		}
		at, low := int64(0), int64(0)
		var l storage.Log
		var err error
		for epoch := range int32(1 + random.IntN(4)) {
			l, err = s.Open(ctx, id, storage.OpenOptions{Epoch: epoch * 2})
			must(err)
			var pending []storage.Pending
			for range random.IntN(40) {
				n := 1 + random.IntN(5)
				pending = append(pending, l.Append(storage.Batch{
					Base: at, Count: int32(n), MaxTimestampMs: 1000 + at + int64(n) - 1, Bytes: encode(at, n, epoch*2),
				}))
				at += int64(n)
			}
			for _, p := range pending {
				must(p.Wait(ctx))
			}
			switch random.IntN(4) {
			case 0:
				low += random.Int64N(at - low + 1)
				must(l.TrimBefore(ctx, low))
			case 1: // all that was compacted away
				if low < at {
					from := low + random.Int64N(at-low)
					must(l.(storage.Compactor).Replace(ctx, from, at, func(func(storage.Batch, error) bool) {}))
				}
			}
		}
		if at > 0 && random.IntN(2) == 0 {
			must(l.SaveCheckpoint(ctx, at, []byte("derived")))
		}
		if random.IntN(4) == 0 {
			must(l.TrimBefore(ctx, at))
		}
		must(l.Close())
	}
}

// TestCopyIsTheSame copies stores of every shape, cut short again and again on the way, and compares.
func TestCopyIsTheSame(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			from := memory.New()
			written(t, random, from)
			dir := t.TempDir()
			for range random.IntN(4) {
				to, err := embedded.Open(dir, embedded.Options{})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				left := random.IntN(40)
				err = Copy(ctx, from, to, "the source", func(Progress) {
					if left--; left < 0 {
						cancel()
					}
				})
				cancel()
				if err != nil && !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				if source, unfinished, err := Unfinished(t.Context(), to); !unfinished || err != nil || source != "the source" {
					t.Fatalf("marked as a copy of %q: %v, %v", source, unfinished, err)
				}
				if err := Copy(t.Context(), from, to, "another", nil); !errors.Is(err, ErrOther) {
					t.Fatalf("a copy of another store went on: %v", err)
				}
				if err := to.Close(); err != nil {
					t.Fatal(err)
				}
			}
			to, err := embedded.Open(dir, embedded.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer to.Close()
			if err := Copy(t.Context(), from, to, "the source", nil); err != nil {
				t.Fatal(err)
			}
			totals, err := Verify(t.Context(), from, to, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Log(totals)
			if err := Finish(t.Context(), to); err != nil {
				t.Fatal(err)
			}
			if _, unfinished, err := Unfinished(t.Context(), to); unfinished || err != nil {
				t.Fatal("still marked", err)
			}
			if err := Copy(t.Context(), from, to, "the source", nil); !errors.Is(err, ErrNotEmpty) {
				t.Fatalf("a copy to what is not empty: %v", err)
			}
		})
	}
}

// TestVerifySeesWhatDiffers changes one thing at a time.
func TestVerifySeesWhatDiffers(t *testing.T) {
	id := storage.Partition{Topic: [16]byte{1}}
	for name, change := range map[string]func(context.Context, storage.Store, storage.Log) error{
		"a partition more": func(ctx context.Context, s storage.Store, _ storage.Log) error {
			return s.Create(ctx, storage.Partition{Topic: [16]byte{2}})
		},
		"a batch more": func(ctx context.Context, _ storage.Store, l storage.Log) error {
			return l.Append(storage.Batch{Base: 10, Count: 1, Bytes: encode(10, 1, 0)}).Wait(ctx)
		},
		"a start": func(ctx context.Context, _ storage.Store, l storage.Log) error { return l.TrimBefore(ctx, 5) },
		"bytes": func(ctx context.Context, _ storage.Store, l storage.Log) error {
			return l.(storage.Compactor).Replace(ctx, 5, 10, func(yield func(storage.Batch, error) bool) {
				b := encode(5, 5, 0)
				batch.SetLeaderEpoch(b, 7) // not covered by its checksum
				yield(storage.Batch{Base: 5, Count: 5, MaxTimestampMs: 1009, Bytes: b}, nil)
			})
		},
		"a batch less": func(ctx context.Context, _ storage.Store, l storage.Log) error {
			return l.(storage.Compactor).Replace(ctx, 5, 10, func(func(storage.Batch, error) bool) {})
		},
		"an epoch": func(ctx context.Context, s storage.Store, _ storage.Log) error {
			err := errors.Join(s.Delete(ctx, id), s.Create(ctx, id))
			for i := range int64(2) { // the same batches, by two owners
				l, openErr := s.Open(ctx, id, storage.OpenOptions{Epoch: int32(i)})
				if openErr != nil {
					return openErr
				}
				err = errors.Join(err, l.Append(storage.Batch{Base: 5 * i, Count: 5, MaxTimestampMs: 1004 + 5*i, Bytes: encode(5*i, 5, 0)}).Wait(ctx))
			}
			return err
		},
		"a checkpoint": func(ctx context.Context, _ storage.Store, l storage.Log) error {
			return l.SaveCheckpoint(ctx, 10, []byte("other"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := memory.New(), memory.New()
			var copied storage.Log
			for _, s := range []storage.Store{from, to} {
				if err := s.Create(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				l, err := s.Open(t.Context(), id, storage.OpenOptions{})
				if err != nil {
					t.Fatal(err)
				}
				for base := int64(0); base < 10; base += 5 {
					b := storage.Batch{Base: base, Count: 5, MaxTimestampMs: 1004 + base, Bytes: encode(base, 5, 0)}
					if err := l.Append(b).Wait(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				copied = l
			}
			if _, err := Verify(t.Context(), from, to, nil); err != nil {
				t.Fatal(err)
			}
			l, err := openNewest(t.Context(), to, id)
			if err != nil {
				t.Fatal(err)
			}
			_ = copied.Close()
			if err := change(t.Context(), to, l); err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(t.Context(), from, to, nil); !errors.Is(err, ErrDiffers) {
				t.Fatalf("not seen: %v", err)
			}
		})
	}
}
