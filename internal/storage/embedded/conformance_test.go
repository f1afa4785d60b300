package embedded

import (
	"testing"

	"kelp/internal/storage"
	"kelp/internal/storage/storagetest"
)

func TestConformance(t *testing.T) {
	start := func(t *testing.T, dir string) *Store {
		t.Helper()
		s, err := Open(dir, Options{FileBytes: 4096})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	storagetest.Run(t, storagetest.Backend{
		New: func(t *testing.T) storage.Store { return start(t, t.TempDir()) },
		Restart: func(t *testing.T, old storage.Store) storage.Store {
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			return start(t, old.(*Store).dir)
		},
	})
}
