package embedded

import (
	"testing"

	"kelp/internal/storage"
	"kelp/internal/storage/storagetest"
)

func TestConformance(t *testing.T) {
	for name, o := range map[string]Options{
		"synced":    {Sync: true, FileBytes: 4096},
		"unsynced":  {FileBytes: 16 << 10},
		"no memory": {FileBytes: 4096, MemoryBytes: 1, OpenFiles: 1},
	} {
		t.Run(name, func(t *testing.T) { conform(t, o) })
	}
}

func conform(t *testing.T, o Options) {
	start := func(t *testing.T, dir string) *Store {
		t.Helper()
		s, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	b := storagetest.Backend{
		New: func(t *testing.T) storage.Store { return start(t, t.TempDir()) },
		Restart: func(t *testing.T, old storage.Store) storage.Store {
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			return start(t, old.(*Store).dir)
		},
	}
	storagetest.Run(t, b)
	storagetest.RunCompactor(t, b)
}
