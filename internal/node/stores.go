package node

import (
	"context"
	"log/slog"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/config"
	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
)

// cacheOfTotal is the part of --memory that keeps what was written or read last.
const cacheOfTotal = 4

// backend is a store that says whether it takes records now.
type backend interface {
	storage.Store
	Failed() error
}

// leaderEpoch is that of all partitions: a store that one node after another owns counts them.
func leaderEpoch(s storage.Store) int32 {
	if o, ok := s.(storage.Owned); ok {
		return o.Epoch()
	}
	return 0
}

// storeOptions are what a backend needs of the node.
type storeOptions struct {
	config.Config
	logger  *slog.Logger
	metrics prometheus.Registerer
	taken   func(error)         // told when the store belongs to another node from now on
	waiting func(reason string) // told what opening waits for
}

// openStore opens the backend that the settings name.
func openStore(ctx context.Context, o storeOptions) (backend, error) {
	if o.Store != "" {
		return openSeaweedFS(ctx, o)
	}
	s, err := embedded.Open(filepath.Join(o.Data, "log"), embedded.Options{
		Sync: o.Durability == config.DurabilityFsync, Logger: o.logger, Metrics: o.metrics,
		MemoryBytes: int64(o.Memory) / cacheOfTotal, PendingBytes: int64(o.Memory) / cacheOfTotal,
	})
	if err != nil {
		return nil, err // and no backend that holds a nil
	}
	return s, nil
}
