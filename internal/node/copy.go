package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"time"

	"kelp/internal/config"
	"kelp/internal/seaweed"
	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
	"kelp/internal/storage/seaweedfs"
	"kelp/internal/transfer"
)

// errHeld says that a store belongs to a node that runs, or to another copy.
var errHeld = errors.New("the store is in use by another process: stop it first")

// copyWait is how long a copy waits for the lease of a node, or of a copy, that was killed.
const copyWait = leaseTime + 2*time.Second

// Copy copies all that one store keeps to another and compares the two. Both are closed and opened again in between: what is
// compared is what is stored, not what is in memory. The configs name a store each: Store, or the folder Data.
func Copy(ctx context.Context, from, to config.Config, l *slog.Logger, tell func(transfer.Progress)) (transfer.Totals, error) {
	if where(from) == where(to) {
		return transfer.Totals{}, errors.New("source and destination are the same")
	}
	err := withStores(ctx, from, to, l, func(source, copied storage.Store) error {
		return transfer.Copy(ctx, source, copied, where(from), tell)
	})
	if err != nil {
		return transfer.Totals{}, err
	}
	var totals transfer.Totals
	err = withStores(ctx, from, to, l, func(source, copied storage.Store) (err error) {
		if totals, err = transfer.Verify(ctx, source, copied, tell); err != nil {
			return err
		}
		return transfer.Finish(ctx, copied)
	})
	return totals, err
}

// where names a store.
func where(o config.Config) string {
	if o.Store != "" {
		return o.Store
	}
	if whole, err := filepath.Abs(o.Data); err == nil {
		return whole
	}
	return o.Data
}

func withStores(ctx context.Context, from, to config.Config, l *slog.Logger, do func(source, copied storage.Store) error) (err error) {
	source, err := openHeld(ctx, from, l, true)
	if err != nil {
		return fmt.Errorf("source %s: %w", where(from), err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	copied, err := openHeld(ctx, to, l, false)
	if err != nil {
		return fmt.Errorf("destination %s: %w", where(to), err)
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	return do(source, copied)
}

// openHeld opens a store that nobody else may have. One that must exist is not made.
func openHeld(ctx context.Context, o config.Config, l *slog.Logger, exists bool) (storage.Store, error) {
	if o.Store != "" {
		return openIdle(ctx, o, l, exists)
	}
	dir := filepath.Join(o.Data, "log")
	if _, err := os.Stat(dir); exists && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no log lies there: want the folder that kelp serve has as --data: %w", err)
	}
	if err := os.MkdirAll(o.Data, 0o750); err != nil {
		return nil, err
	}
	return embedded.Open(dir, embedded.Options{Sync: o.Durability == config.DurabilityFsync, Logger: l})
}

// openIdle opens a store on SeaweedFS that no node has.
func openIdle(ctx context.Context, o config.Config, l *slog.Logger, exists bool) (storage.Store, error) {
	client, root, err := dialSeaweedFS(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (storage.Store, error) { return nil, errors.Join(err, client.Close()) }
	if exists {
		err = holdsLog(ctx, client, root)
	} else {
		err = client.Probe(ctx, root)
	}
	if err != nil {
		return fail(err)
	}
	lease, err := takeIdle(ctx, client, root)
	if err != nil {
		return fail(err)
	}
	store, err := seaweedfs.Open(ctx, client, seaweedfs.Options{
		Root: root, Sync: o.Durability == config.DurabilityFsync, Window: chunkWindow, CacheBytes: int64(o.Memory) / cacheOfTotal, Logger: l,
	})
	if err != nil {
		lease.Release()
		return fail(err)
	}
	return &onSeaweedFS{Store: store, client: client, lease: lease}, nil
}

// holdsLog says so when no log lies below a folder.
func holdsLog(ctx context.Context, client *seaweed.Client, root string) error {
	there := false
	for _, part := range []string{"log", "snapshot"} {
		err := client.List(ctx, path.Join(root, part), "", func(seaweed.Entry, bool) error {
			there = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	if !there {
		return fmt.Errorf("no log lies in the folder %s", root)
	}
	return nil
}

// takeIdle takes the lease of a store. That of a process that was killed ends by itself, so it is waited for.
func takeIdle(ctx context.Context, client *seaweed.Client, root string) (*seaweed.Lease, error) {
	patient, cancel := context.WithTimeout(ctx, copyWait)
	defer cancel()
	var reason error
	host, _ := os.Hostname()
	lease, err := client.Acquire(patient, seaweed.LeaseOptions{
		Name: "kelp" + root, Owner: fmt.Sprintf("kelp-copy-%s-%d", host, os.Getpid()), TTL: leaseTime, Waiting: func(err error) { reason = err },
	})
	if err != nil && ctx.Err() == nil && errors.Is(reason, seaweed.ErrLocked) {
		err = fmt.Errorf("%w (%w)", errHeld, reason)
	}
	return lease, err
}

// refuseUnfinished keeps a node away from the destination of a copy that was cut short.
func refuseUnfinished(ctx context.Context, s storage.Store) error {
	source, unfinished, err := transfer.Unfinished(ctx, s)
	if err == nil && unfinished {
		err = fmt.Errorf("this store is an unfinished copy of %s: run kelp copy again, or remove it", source)
	}
	return err
}
