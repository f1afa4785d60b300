package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"kelp/internal/storage"
)

var part = storage.Partition{Topic: [16]byte{7}, Index: 3}

func open(t *testing.T, dir string, o Options) (*Store, storage.Log) {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), part); err != nil {
		t.Fatal(err)
	}
	l, err := s.Open(t.Context(), part, storage.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s, l
}

func fill(t *testing.T, l storage.Log, from, to int64) {
	t.Helper()
	for i := from; i < to; i++ {
		b := storage.Batch{Base: i * 2, Count: 2, MaxTimestampMs: 1000 + i, Bytes: fmt.Appendf(nil, "batch %d;", i)}
		if err := l.Append(b).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, l storage.Log, r storage.ReadRange) string {
	t.Helper()
	s, err := l.Read(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Release()
	var w bytes.Buffer
	if _, err := s.WriteTo(&w); err != nil {
		t.Fatal(err)
	}
	return w.String()
}

func TestAcknowledgedBatchesComeBackAfterReopening(t *testing.T) {
	dir := t.TempDir()
	s, l := open(t, dir, Options{Sync: true, FileBytes: 600})
	fill(t, l, 0, 20)
	if err := l.SaveCheckpoint(t.Context(), 10, []byte("ten")); err != nil {
		t.Fatal(err)
	}
	if err := l.TrimBefore(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, l = open(t, dir, Options{Sync: true, FileBytes: 600})
	defer s.Close()
	if start, end := l.Bounds(); start != 5 || end != 40 {
		t.Fatalf("bounds %d %d", start, end)
	}
	if at, blob, err := l.Checkpoint(t.Context()); err != nil || at != 10 || string(blob) != "ten" {
		t.Fatal(at, blob, err)
	}
	if got := read(t, l, storage.ReadRange{From: 5, MaxBytes: 1, AtLeastOne: true}); got != "batch 2;" {
		t.Fatal(got)
	}
	if got := read(t, l, storage.ReadRange{From: 37, MaxBytes: 100}); got != "batch 18;batch 19;" {
		t.Fatal(got)
	}
	if base, err := l.FindTime(t.Context(), 1012); err != nil || base != 24 {
		t.Fatal(base, err)
	}
	if _, err := l.Read(t.Context(), storage.ReadRange{From: 4}); !errors.Is(err, storage.ErrOutOfRange) {
		t.Fatal(err)
	}
}

func TestATornTailIsCutAtEveryByte(t *testing.T) {
	whole := t.TempDir()
	s, l := open(t, whole, Options{})
	fill(t, l, 0, 3)
	before := s.files[0].size
	fill(t, l, 3, 4)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	name := "journal-0000000000000001.log"
	b, err := os.ReadFile(filepath.Join(whole, name))
	if err != nil {
		t.Fatal(err)
	}
	for cut := int(before); cut < len(b); cut++ {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), b[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s, l := open(t, dir, Options{})
		if _, end := l.Bounds(); end != 6 {
			t.Fatalf("cut at %d: end %d", cut, end)
		}
		fill(t, l, 3, 5)
		if got := read(t, l, storage.ReadRange{From: 0, MaxBytes: 1000}); got != "batch 0;batch 1;batch 2;batch 3;batch 4;" {
			t.Fatal(got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestANewerOwnerFencesTheOlder(t *testing.T) {
	s, old := open(t, t.TempDir(), Options{})
	defer s.Close()
	if _, err := s.Open(t.Context(), part, storage.OpenOptions{Epoch: 4}); err != nil {
		t.Fatal(err)
	}
	if err := old.Append(storage.Batch{Count: 1, Bytes: []byte("x")}).Wait(t.Context()); !errors.Is(err, storage.ErrFenced) {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), part, storage.OpenOptions{Epoch: 3}); !errors.Is(err, storage.ErrFenced) {
		t.Fatal(err)
	}
}

func TestDeletedPartitionsStayDeletedAndGiveTheirFilesBack(t *testing.T) {
	dir := t.TempDir()
	s, l := open(t, dir, Options{FileBytes: 500})
	fill(t, l, 0, 50)
	if err := s.Delete(context.Background(), part); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(t.Context(), storage.ReadRange{}); !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, l = open(t, dir, Options{FileBytes: 500})
	if _, end := l.Bounds(); end != 0 {
		t.Fatalf("end %d", end)
	}
	fill(t, l, 0, 10)
	s.mu.RLock()
	n := len(s.files)
	s.mu.RUnlock()
	if n > 4 {
		t.Fatalf("%d files kept", n)
	}
	if _, err := Open(dir, Options{}); err == nil {
		t.Fatal("a second owner of the folder")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
