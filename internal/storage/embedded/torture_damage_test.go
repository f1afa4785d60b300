package embedded

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// flipsOfLife is how many single bits are flipped in what each crash left, one at a time.
const flipsOfLife = 3

// everyCallSeeds is how many seeds a plain test run takes through errors at every call.
const everyCallSeeds = 1

// everyCallWorkers is how many runs of a seed go on at a time: what fails is tried again after a while.
const everyCallWorkers = 8

// flip flips a bit somewhere in what a crash left. Whatever the start before found must be there or be
// reported as damaged at its offset: nothing is lost without a word, and one bit costs one batch at most.
func (d *driver) flip(disk *vfs.Mem, random *rand.Rand, life int) {
	names, err := disk.List("log")
	if err != nil || len(names) == 0 {
		return
	}
	name := names[random.IntN(len(names))]
	f, err := disk.Open("log/" + name)
	if err != nil {
		d.fatal("life %d: %v", life, err)
		return
	}
	size, _ := f.Size()
	if size == 0 {
		return
	}
	pos, b := random.Int64N(size), []byte{0}
	if _, err := f.ReadAt(b, pos); err != nil {
		d.fatal("life %d: %v", life, err)
		return
	}
	b[0] ^= 1 << random.IntN(8)
	if _, err := f.WriteAt(b, pos); err != nil {
		d.fatal("life %d: %v", life, err)
		return
	}
	var lines bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := Open("log", Options{Sync: d.sync, FileBytes: 4096, FS: disk, MemoryBytes: 1, Logger: logger})
	if err != nil {
		d.fatal("life %d: a bit at %d of %s is flipped: open: %v", life, pos, name, err)
		return
	}
	damaged := 0
	for id, m := range d.models {
		if m.going {
			continue
		}
		n, err := d.compare(s, id, m)
		if err != nil {
			d.fatal("life %d: a bit at %d of %d bytes of %s is flipped: %s: %v\n%s", life, pos, size, name, id, err, lines.String())
		}
		damaged += n
	}
	if damaged > 1 {
		d.fatal("life %d: a bit at %d of %s is flipped: %d batches are damaged\n%s", life, pos, name, damaged, lines.String())
	}
	if err := s.Close(); err != nil {
		d.fatal("life %d: a bit at %d of %s is flipped: close: %v", life, pos, name, err)
	}
}

// compare reads each batch of the model: what is not as it was must be reported.
func (d *driver) compare(s *Store, id storage.Partition, m *model) (damaged int, err error) {
	if len(m.batches) == 0 {
		return 0, nil
	}
	l, err := s.Open(context.Background(), id, storage.OpenOptions{})
	if err != nil {
		return 0, err
	}
	for _, want := range m.batches {
		span, err := l.Read(context.Background(), storage.ReadRange{From: max(want.base, m.start), MaxBytes: 1, AtLeastOne: true})
		if errors.Is(err, storage.ErrCorrupt) {
			damaged++
			continue
		}
		if err != nil {
			return damaged, err
		}
		b, err := span.Bytes()
		if err != nil {
			return damaged, err
		}
		if string(b) != want.bytes {
			return damaged, errors.New("at offset " + strings.TrimSpace(string(b)) + " is not what was there")
		}
		span.Release()
	}
	return damaged, nil
}

// TestErrorAtEveryCall lets each call of the file system fail, one in each run, from the first of a
// start on; the power goes at a random call.
func TestErrorAtEveryCall(t *testing.T) {
	from, to := seedsOf(t, everyCallSeeds)
	eachSeed(t, from, to, func(t *testing.T, seed uint64) {
		var next, last atomic.Int64
		last.Store(math.MaxInt64)
		var wg sync.WaitGroup
		for range everyCallWorkers {
			wg.Go(func() {
				for n := next.Add(1); n < last.Load() && !t.Failed(); n = next.Add(1) {
					if !errorAtCall(t, seed, int(n)) {
						last.Store(n)
					}
				}
			})
		}
		wg.Wait()
	})
}

// errorAtCall runs two lives in which one call fails; false when there are not that many.
func errorAtCall(t *testing.T, seed uint64, failAt int) (there bool) {
	d := newDriver(t, seed)
	d.failAt, d.ops = failAt, 8
	disk := vfs.NewMem()
	for life := range 2 {
		disk = d.live(disk, life)
		there = there || d.calls >= failAt
		if disk == nil {
			break
		}
	}
	return there
}
