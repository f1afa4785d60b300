package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kelp/internal/storage"
)

// written makes a log of two partitions with ten batches each, closed in order.
func written(t *testing.T) (dir string, ids [2]storage.Partition) {
	t.Helper()
	dir = t.TempDir()
	s, err := Open(dir, Options{Sync: true})
	if err != nil {
		t.Fatal(err)
	}
	for i := range ids {
		ids[i] = storage.Partition{Topic: [16]byte{9}, Index: int32(i)}
		if err := s.Create(t.Context(), ids[i]); err != nil {
			t.Fatal(err)
		}
		l, err := s.Open(t.Context(), ids[i], storage.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for n := range int64(10) {
			if err := l.Append(storage.Batch{Base: n, Count: 1, Bytes: fmt.Appendf(nil, "batch %d of %d", n, i)}).Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, ids
}

// change edits every file with a prefix.
func change(t *testing.T, dir, prefix string, edit func(b []byte) []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, edit(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func inspect(t *testing.T, dir string) *Report {
	t.Helper()
	r, err := Inspect(t.Context(), dir, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAWholeLogHasNoProblems(t *testing.T) {
	dir, ids := written(t)
	r := inspect(t, dir)
	if len(r.Problems) != 0 || len(r.Partitions) != 2 || r.Partitions[1].Partition != ids[1] || r.Partitions[1].Batches != 10 {
		t.Errorf("%+v", r)
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := Inspect(t.Context(), dir, true, nil); err == nil {
		t.Error("looked into a log that is in use")
	}
}

// TestRepairGivesUpOnlyWhatIsDamaged: a dry look changes nothing and names what would go.
func TestRepairGivesUpOnlyWhatIsDamaged(t *testing.T) {
	dir, ids := written(t)
	change(t, dir, "journal-", func(b []byte) []byte {
		return []byte(strings.Replace(string(b), "batch 4 of 1", "batch X of 1", 1))
	})
	for range 2 { // the first look must not change what the second finds
		r := inspect(t, dir)
		if len(r.Problems) != 1 || r.Problems[0].Partition != ids[1].String() || r.Problems[0].From != 4 || r.Problems[0].To != 5 {
			t.Fatalf("%+v", r.Problems)
		}
	}
	if _, err := Repair(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if r := inspect(t, dir); len(r.Problems) != 0 {
		t.Errorf("after the repair: %+v", r.Problems)
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, id := range ids {
		l, err := s.Open(t.Context(), id, storage.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		span, err := l.Read(t.Context(), storage.ReadRange{MaxBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		b, err := span.Bytes()
		if err != nil || strings.Count(string(b), "batch") != 10-i || strings.Contains(string(b), "X") {
			t.Errorf("partition %d: %s, %v", i, b, err)
		}
		span.Release()
		if _, end := l.Bounds(); end != 10 {
			t.Errorf("partition %d ends at %d", i, end)
		}
	}
}

// TestRepairWithoutASnapshot makes the partitions from the data files.
func TestRepairWithoutASnapshot(t *testing.T) {
	dir, ids := written(t)
	change(t, dir, "state-", func([]byte) []byte { return []byte("gone") })
	// A log whose first journal file is there needs no snapshot; this one's looks like a later file.
	change(t, dir, "journal-", func(b []byte) []byte { return renumber(t, b) })
	if _, err := Open(dir, Options{}); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "kelp log repair") {
		t.Fatalf("opened without a snapshot: %v", err)
	}
	if _, err := Repair(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, id := range ids {
		l, err := s.Open(t.Context(), id, storage.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if start, end := l.Bounds(); start != 0 || end != 10 {
			t.Errorf("%s holds %d to %d", id, start, end)
		}
	}
}

// renumber gives a journal file's chunks numbers from 101 on.
func renumber(t *testing.T, b []byte) []byte {
	t.Helper()
	at := fileHeaderBytes
	for {
		h, ok := parseChunkHeader(b[at:])
		if !ok {
			return b
		}
		items := make([]item, h.items)
		for i := range items {
			items[i] = parseItem(b[at+chunkHeaderBytes+i*itemBytes:])
		}
		h.seq += 100
		h.synced += 100
		h.encode(b[at:], func(yield func(*item) bool) {
			for i := range items {
				if !yield(&items[i]) {
					return
				}
			}
		})
		at += int(h.size())
	}
}
