package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/config"
	"kelp/internal/seaweed"
	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
	"kelp/internal/storage/seaweedfs"
)

// ErrTakenOver ends a node whose store another node has taken over: it can start again and wait
// for its turn.
var ErrTakenOver = errors.New("another node has taken over the store")

// Limits of a store on SeaweedFS.
const (
	leaseTime    = 5 * time.Second // after which a silent owner's place is taken
	chunkWindow  = time.Millisecond
	cacheOfTotal = 4 // the part of --memory that keeps what was written or read last
)

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

// openStore opens the backend that the settings name. taken is told when it belongs to another
// node from now on.
func openStore(ctx context.Context, o config.Config, l *slog.Logger, r prometheus.Registerer, taken func(error)) (backend, error) {
	if o.Store == "" {
		return embedded.Open(filepath.Join(o.Data, "log"), embedded.Options{
			Sync: o.Durability == config.DurabilityFsync, Logger: l, Metrics: r,
			MemoryBytes: int64(o.Memory) / cacheOfTotal, PendingBytes: int64(o.Memory) / cacheOfTotal,
		})
	}
	where, err := config.ParseStore(o.Store)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	client, err := seaweed.Dial(ctx, seaweed.Options{
		Masters: where.Masters, Filer: where.Filer, Collection: where.Collection, Replication: where.Replication,
	})
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", o.Store, err)
	}
	s := &onSeaweedFS{client: client}
	if err := s.open(ctx, where.Folder, o, l, r); err != nil {
		return nil, errors.Join(fmt.Errorf("store %s: %w", o.Store, err), client.Close())
	}
	go func() {
		<-s.Lost()
		taken(ErrTakenOver)
	}()
	return s, nil
}

// onSeaweedFS is the log on SeaweedFS with what it holds on to.
type onSeaweedFS struct {
	*seaweedfs.Store
	client *seaweed.Client
	lease  *seaweed.Lease
}

func (s *onSeaweedFS) open(ctx context.Context, root string, o config.Config, l *slog.Logger, r prometheus.Registerer) error {
	if err := s.client.Probe(ctx, root); err != nil {
		return err
	}
	host, _ := os.Hostname()
	owner := fmt.Sprintf("kelp-%d-%s-%d", o.NodeID, host, os.Getpid())
	lease, err := s.client.Acquire(ctx, "kelp"+root, owner, leaseTime, func(err error) {
		l.Info("standing by: another node has the store", "store", o.Store, "reason", err)
	})
	if err != nil {
		return err
	}
	s.lease = lease
	s.Store, err = seaweedfs.Open(ctx, s.client, seaweedfs.Options{
		Root: root, Sync: o.Durability == config.DurabilityFsync, Window: chunkWindow, CacheBytes: int64(o.Memory) / cacheOfTotal,
		Logger: l, Metrics: r,
	})
	if err != nil {
		lease.Release()
	}
	return err
}

// Close lets the next node in at once.
func (s *onSeaweedFS) Close() error {
	err := s.Store.Close()
	s.lease.Release()
	return errors.Join(err, s.client.Close())
}
