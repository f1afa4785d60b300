package seaweedfs

import (
	"slices"
	"testing"

	"kelp/internal/storage"
)

// Every owner has an epoch of its own; those that appended nothing leave no trace in a partition.
func TestEachOwnerHasAnEpoch(t *testing.T) {
	s := newSim(1)
	p := storage.Partition{Topic: [16]byte{1}}
	for epoch := range int32(5) {
		st := opened(t, s)
		if st.Epoch() != epoch {
			t.Fatalf("owner %d has epoch %d", epoch, st.Epoch())
		}
		if err := st.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		l, err := st.Open(t.Context(), p, storage.OpenOptions{Epoch: st.Epoch()})
		if err != nil {
			t.Fatal(err)
		}
		if _, end := l.Bounds(); epoch != 2 && epoch != 3 {
			if err := l.Append(storage.Batch{Base: end, Count: 10, Bytes: []byte("batch")}).Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
	st := opened(t, s)
	defer st.Close()
	l, err := st.Open(t.Context(), p, storage.OpenOptions{Epoch: st.Epoch()})
	if err != nil {
		t.Fatal(err)
	}
	want := []storage.EpochStart{{Epoch: 0, Start: 0}, {Epoch: 1, Start: 10}, {Epoch: 4, Start: 20}}
	if got := l.Shape().Epochs; !slices.Equal(got[:min(3, len(got))], want) {
		t.Fatalf("epochs %v, want %v", got, want)
	}
}

// A log that was copied from a store with more owners goes on from their epochs, also behind a snapshot.
func TestOwnersAreNewerThanWhatWasCopied(t *testing.T) {
	s := newSim(1)
	p := storage.Partition{Topic: [16]byte{1}}
	for owner, want := range []int32{0, 8, 9, 10} {
		st := opened(t, s)
		if st.Epoch() != want {
			t.Fatalf("owner %d has epoch %d, want %d", owner, st.Epoch(), want)
		}
		if owner == 0 {
			if err := st.Create(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			l, err := st.Open(t.Context(), p, storage.OpenOptions{Epoch: 7})
			if err == nil {
				err = l.Append(storage.Batch{Count: 1, Bytes: []byte("batch")}).Wait(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
