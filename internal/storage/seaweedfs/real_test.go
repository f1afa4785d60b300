//go:build seaweedfs

package seaweedfs

import (
	"crypto/rand"
	"fmt"
	"os"
	"testing"

	"kelp/internal/seaweed"
	"kelp/internal/storage"
	"kelp/internal/storage/storagetest"
)

// The suite against a real SeaweedFS, whose master's address is in KELP_TEST_SEAWEEDFS.
func TestConformanceOnSeaweedFS(t *testing.T) {
	c, err := seaweed.Dial(t.Context(), seaweed.Options{Masters: []string{os.Getenv("KELP_TEST_SEAWEEDFS")}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Probe(t.Context(), "/kelp-test"); err != nil {
		t.Fatal(err)
	}
	roots := map[storage.Store]string{}
	open := func(t *testing.T, root string) storage.Store {
		o := quick()
		o.Root, o.Sync = root, true
		st, err := Open(t.Context(), c, o)
		if err != nil {
			t.Fatal(err)
		}
		roots[st] = root
		return st
	}
	b := storagetest.Backend{
		New: func(t *testing.T) storage.Store {
			return open(t, fmt.Sprintf("/kelp-test/%s", rand.Text()))
		},
		Restart: func(t *testing.T, old storage.Store) storage.Store {
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, roots[old])
		},
	}
	storagetest.Run(t, b)
	storagetest.RunCompactor(t, b)
}
