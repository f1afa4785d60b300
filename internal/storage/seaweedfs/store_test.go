package seaweedfs

import (
	"testing"
	"time"

	"kelp/internal/storage"
	"kelp/internal/storage/storagetest"
)

func quick() Options {
	return Options{
		Root: "/kelp", SettleAfter: 20 * time.Millisecond, SettleBytes: 64 << 10, SnapshotChunks: 20, Upkeep: 5 * time.Millisecond,
		Patience: time.Minute, // a busy machine is no SeaweedFS that is away
	}
}

func opened(t *testing.T, s *sim) *Store {
	t.Helper()
	st, err := Open(t.Context(), &node{sim: s}, quick())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func conformance(t *testing.T, faults float64) {
	sims := map[storage.Store]*sim{}
	b := storagetest.Backend{
		New: func(t *testing.T) storage.Store {
			s := newSim(1)
			s.faults = faults
			st := opened(t, s)
			sims[st] = s
			return st
		},
		Restart: func(t *testing.T, old storage.Store) storage.Store {
			if err := old.Close(); err != nil && faults == 0 {
				t.Fatal(err)
			}
			st := opened(t, sims[old])
			sims[st] = sims[old]
			return st
		},
	}
	storagetest.Run(t, b)
	storagetest.RunCompactor(t, b)
}

func TestConformanceOnASimulatedSeaweedFS(t *testing.T) { conformance(t, 0) }

func TestConformanceWithLostCalls(t *testing.T) { conformance(t, 0.05) }
