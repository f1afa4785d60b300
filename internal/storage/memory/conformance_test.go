package memory

import (
	"testing"

	"kelp/internal/storage"
	"kelp/internal/storage/storagetest"
)

func TestConformance(t *testing.T) {
	storagetest.Run(t, storagetest.Backend{New: func(*testing.T) storage.Store { return New() }})
}
