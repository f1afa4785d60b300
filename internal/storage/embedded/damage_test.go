package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// content is what was acknowledged, by partition and base offset.
type content map[storage.Partition]map[int64]string

// grown makes a folder with every kind of file: sealed journals, packed files, snapshots, and with
// crashed an open journal too: last, whose newest chunks lie from tail to end and which no other
// chunk says are durable.
func grown(t *testing.T, crashed bool) (disk *vfs.Mem, want content, last string, tail, end int64) {
	t.Helper()
	disk = vfs.NewMem()
	s, err := Open("log", Options{Sync: true, FileBytes: 8192, FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	want = content{}
	var logs []storage.Log
	for i := range 3 {
		p := storage.Partition{Topic: [16]byte{1}, Index: int32(i)}
		want[p] = map[int64]string{}
		if err := s.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		l, err := s.Open(t.Context(), p, storage.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, l)
	}
	round := func(n int) {
		for i := range int32(3) {
			p := storage.Partition{Topic: [16]byte{1}, Index: i}
			b := fmt.Sprintf("%d/%d %s", i, n, strings.Repeat("x", 300))
			want[p][int64(n)] = b
			if err := logs[i].Append(storage.Batch{Base: int64(n), Count: 1, Bytes: []byte(b)}).Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range 40 {
		round(n)
	}
	with := func(yield func(storage.Batch, error) bool) { // the same batches, packed
		for n := int64(4); n < 12; n++ {
			if !yield(storage.Batch{Base: n, Count: 1, Bytes: []byte(want[storage.Partition{Topic: [16]byte{1}}][n])}, nil) {
				return
			}
		}
	}
	if err := logs[0].(storage.Compactor).Replace(t.Context(), 4, 12, with); err != nil {
		t.Fatal(err)
	}
	if err := logs[1].SaveCheckpoint(t.Context(), 5, []byte("five")); err != nil {
		t.Fatal(err)
	}
	for n := 40; n < 44; n++ {
		round(n)
	}
	if !crashed {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return disk, want, "", 0, 0
	}
	disk = disk.CrashClone(rand.New(rand.NewPCG(1, 1))) // everything acknowledged is synced
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := disk.List("log")
	for _, name := range names {
		f, err := disk.Open("log/" + name)
		if err != nil || !strings.HasPrefix(name, "journal") {
			continue
		}
		if chunks, e, _ := listChunks(f, parseSeq(name)); len(chunks) > 4 {
			last, tail, end = name, chunks[len(chunks)-4].pos, e
		}
	}
	return disk, want, last, tail, end
}

// served reads everything: each batch is as it was, or reading at its offset says that it is damaged.
func served(s *Store, want content) (damaged map[storage.Partition]int, err error) {
	damaged = map[storage.Partition]int{}
	for p, batches := range want {
		l, err := s.Open(context.Background(), p, storage.OpenOptions{})
		if err != nil {
			return nil, err
		}
		for base, text := range batches {
			span, err := l.Read(context.Background(), storage.ReadRange{From: base, MaxBytes: 1, AtLeastOne: true})
			if errors.Is(err, storage.ErrCorrupt) {
				damaged[p]++
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s at %d: %w", p, base, err)
			}
			b, err := span.Bytes()
			if err != nil || string(b) != text {
				return nil, fmt.Errorf("%s at %d: %.20q, %w", p, base, b, err)
			}
			span.Release()
		}
	}
	return damaged, nil
}

func clone(t *testing.T, disk *vfs.Mem) *vfs.Mem {
	t.Helper()
	return disk.CrashClone(rand.New(rand.NewPCG(1, 1)))
}

// TestFlippedBitsAreNeverServed flips one bit in every kind of file at many places.
func TestFlippedBitsAreNeverServed(t *testing.T) {
	for _, crashed := range []bool{false, true} {
		disk, want, last, tail, end := grown(t, crashed)
		names, err := disk.List("log")
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]int{}
		for _, name := range names {
			if name == "LOCK" {
				continue
			}
			kinds[name[:4]]++
			f, err := disk.Open("log/" + name)
			if err != nil {
				t.Fatal(err)
			}
			size, _ := f.Size()
			if name == last {
				for pos := tail; pos < end; pos += 7 {
					flip(t, disk, name, pos, want)
				}
			}
			for pos := int64(0); pos < size; pos += 1 + size/23 {
				flip(t, disk, name, pos, want)
			}
		}
		if kinds["jour"] == 0 || kinds["pack"] == 0 || kinds["stat"] == 0 {
			t.Errorf("files: %v", names)
		}
	}
}

func flip(t *testing.T, disk *vfs.Mem, name string, pos int64, want content) {
	t.Helper()
	c := clone(t, disk)
	f, err := c.Open("log/" + name)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, pos); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << (pos % 8)
	if _, err := f.WriteAt(b, pos); err != nil {
		t.Fatal(err)
	}
	for again := range 2 { // what the first start mended must be right for the second
		var lines bytes.Buffer
		s, err := Open("log", Options{Sync: true, FileBytes: 8192, FS: c, Logger: slog.New(slog.NewTextHandler(&lines, nil))})
		if err != nil {
			t.Errorf("%s, byte %d, start %d: %v", name, pos, again, err)
			return
		}
		damaged, err := served(s, want)
		if err != nil {
			t.Errorf("%s, byte %d, start %d: %v\n%s", name, pos, again, err, lines.String())
		}
		if len(damaged) > 1 {
			t.Errorf("%s, byte %d, start %d: one bit damaged %v\n%s", name, pos, again, damaged, lines.String())
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s, byte %d: close: %v", name, pos, err)
		}
	}
}

// TestFullDisk: appends fail while there is no room, what is stored is read, trimming and deleting
// make room, and appending goes on without a new start.
func TestFullDisk(t *testing.T) {
	for _, durable := range []bool{true, false} {
		disk := vfs.NewMem()
		s, err := Open("log", Options{Sync: durable, FileBytes: 64 << 10, FS: disk})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		p, q := storage.Partition{Index: 1}, storage.Partition{Index: 2}
		open := func(p storage.Partition) storage.Log {
			if err := s.Create(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			l, err := s.Open(t.Context(), p, storage.OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		big, small := open(p), open(q)
		disk.SetCapacity(2 << 20)
		b := bytes.Repeat([]byte("x"), 20_000)
		n := int64(0)
		for ; ; n++ {
			if err := big.Append(storage.Batch{Base: n, Count: 1, Bytes: b}).Wait(t.Context()); err != nil {
				if !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("after %d: %v", n, err)
				}
				break
			}
		}
		if n < 10 {
			t.Fatalf("full after %d batches", n)
		}
		if s.Failed() == nil {
			t.Error("nobody is told that the disk is full")
		}
		if err := small.Append(storage.Batch{Count: 1, Bytes: b}).Wait(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("another partition: %v", err)
		}
		span, err := big.Read(t.Context(), storage.ReadRange{MaxBytes: 1 << 30})
		if err != nil || span.Len() == 0 {
			t.Fatalf("reading on a full disk: %v", err)
		}
		span.Release()
		// A new start on a full disk reads as well.
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = Open("log", Options{Sync: durable, FileBytes: 64 << 10, FS: disk}); err != nil {
			t.Fatalf("opening on a full disk: %v", err)
		}
		defer s.Close()
		disk.SetCapacity(disk.Used())
		big = open(p)
		if start, end := big.Bounds(); start != 0 || end != n {
			t.Fatalf("%d to %d of %d batches after a start on a full disk", start, end, n)
		}
		if span, err = big.Read(t.Context(), storage.ReadRange{MaxBytes: 1 << 30}); err != nil || span.Len() == 0 {
			t.Fatalf("reading on a full disk: %v", err)
		}
		span.Release()
		disk.SetCapacity(3 << 20)
		if err := s.Delete(t.Context(), p); err != nil {
			t.Fatalf("deleting on a full disk: %v", err)
		}
		until(t, func() bool { return s.Failed() == nil })
		small = open(q)
		for i := range int64(10) {
			if err := small.Append(storage.Batch{Base: i, Count: 1, Bytes: b}).Wait(t.Context()); err != nil {
				t.Fatalf("after room was made: %v", err)
			}
		}
	}
}

// until polls.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for range 12_000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // polls
	}
	t.Fatal("did not happen in two minutes")
}

// TestDeadSpaceComesBack: one live batch does not keep the files around it.
func TestDeadSpaceComesBack(t *testing.T) {
	disk := vfs.NewMem()
	s, err := Open("log", Options{Sync: true, FileBytes: 256 << 10, FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var logs []storage.Log
	for i := range int32(2) {
		p := storage.Partition{Index: i}
		if err := s.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		l, err := s.Open(t.Context(), p, storage.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		logs = append(logs, l)
	}
	b := bytes.Repeat([]byte("x"), 50_000)
	kept := int64(0)
	for n := range int64(100) {
		if n%10 == 0 {
			if err := logs[1].Append(storage.Batch{Base: kept, Count: 1, Bytes: []byte("kept")}).Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			kept++
		}
		if err := logs[0].Append(storage.Batch{Base: n, Count: 1, Bytes: b}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := logs[0].TrimBefore(t.Context(), 99); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return disk.Used() < 3<<20 }) // two journal files with their reserve, and what is live
	for i := range kept {
		span, err := logs[1].Read(t.Context(), storage.ReadRange{From: i, MaxBytes: 1, AtLeastOne: true})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := span.Bytes(); err != nil || !slices.Equal(b, []byte("kept")) {
			t.Fatal(string(b), err)
		}
		span.Release()
	}
}

// TestAVitalLogGoesOnOnAFullDisk: small appends take the room that is kept for giving space back, until
// that is used up; the log can be opened again meanwhile.
func TestAVitalLogGoesOnOnAFullDisk(t *testing.T) {
	disk := vfs.NewMem()
	s, err := Open("log", Options{Sync: true, FileBytes: 64 << 10, FS: disk})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	open := func(index int32, vital bool) storage.Log {
		t.Helper()
		p := storage.Partition{Index: index}
		if err := s.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		l, err := s.Open(t.Context(), p, storage.OpenOptions{Vital: vital})
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	put := func(l storage.Log, base int64, size int) error {
		return l.Append(storage.Batch{Base: base, Count: 1, Bytes: make([]byte, size)}).Wait(t.Context())
	}
	usual, vital := open(1, false), open(2, true)
	if err := errors.Join(put(usual, 0, 1000), put(vital, 0, 100)); err != nil {
		t.Fatal(err)
	}
	disk.SetCapacity(1)
	n := int64(1)
	for ; err == nil; n++ {
		err = put(usual, n, 1000)
	}
	if !errors.Is(err, storage.ErrUnavailable) {
		t.Fatal(err)
	}
	for i := int64(1); i < 20; i++ {
		if i == 10 {
			vital = open(2, true)
		}
		if err := put(vital, i, 100); err != nil {
			t.Fatalf("vital append %d: %v", i, err)
		}
	}
	if err := put(vital, 20, vitalBytes+1); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("a large vital append: %v", err)
	}
	vital = open(2, true)
	err = nil
	for i := int64(20); err == nil && i < 1000; i++ {
		err = put(vital, i, vitalBytes)
	}
	if !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("when even the rest is used up: %v", err)
	}
	if _, err := usual.Read(t.Context(), storage.ReadRange{MaxBytes: 1 << 20}); err != nil {
		t.Errorf("reading: %v", err)
	}
	disk.SetCapacity(0)
	until(t, func() bool { return s.Failed() == nil })
	if err := put(open(1, false), n-1, 1000); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
