package embedded

import (
	"testing"

	"kelp/internal/storage"
)

// The epoch of a store is the newest that was copied into it, so that its partitions can be opened.
func TestEpochIsTheNewestOfAllPartitions(t *testing.T) {
	dir := t.TempDir()
	opened := func(want int32) *Store {
		t.Helper()
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if s.Epoch() != want {
			t.Fatalf("epoch %d, want %d", s.Epoch(), want)
		}
		return s
	}
	s := opened(0)
	for i := range int32(3) {
		id := storage.Partition{Index: i}
		if err := s.Create(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		l, err := s.Open(t.Context(), id, storage.OpenOptions{Epoch: 7 - i})
		if err == nil {
			err = l.Append(storage.Batch{Count: 1, Bytes: []byte("batch")}).Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := opened(7).Close(); err != nil {
		t.Fatal(err)
	}
}
