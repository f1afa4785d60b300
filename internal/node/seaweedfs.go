package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/config"
	"kelp/internal/seaweed"
	"kelp/internal/storage"
	"kelp/internal/storage/seaweedfs"
)

// ErrTakenOver ends a node whose store another node has taken over: it can start again and wait
// for its turn.
var ErrTakenOver = errors.New("another node has taken over the store")

// Limits of a store on SeaweedFS.
const (
	leaseTime   = 5 * time.Second // after which a silent owner's place is taken
	chunkWindow = time.Millisecond
	knockFirst  = 100 * time.Millisecond // pause before SeaweedFS is asked again at start
	knockMost   = 2 * time.Second
)

// onSeaweedFS is the log on SeaweedFS with what it holds on to.
type onSeaweedFS struct {
	*seaweedfs.Store
	client *seaweed.Client
	lease  *seaweed.Lease
}

// seaweedOptions are how SeaweedFS is reached, and the folder that keeps everything.
func seaweedOptions(o config.Config) (seaweed.Options, string, error) {
	where, err := config.ParseStore(o.Store)
	if err != nil {
		return seaweed.Options{}, "", err
	}
	for _, a := range append(where.Masters, where.Filer) {
		if _, err := seaweed.ParseAddress(a); a != "" && err != nil {
			return seaweed.Options{}, "", err
		}
	}
	security, err := storeSecurity(o)
	return seaweed.Options{
		Masters: where.Masters, Filer: where.Filer, FilerGroup: where.FilerGroup,
		Collection: where.Collection, Replication: where.Replication, Security: security,
	}, where.Folder, err
}

// storeSecurity is how SeaweedFS is spoken to: what its security.toml says, and the flags.
func storeSecurity(o config.Config) (seaweed.Security, error) {
	file := o.StoreSecurity.File
	if file == "" {
		file = seaweed.SecurityFile()
	}
	keys, err := seaweed.ReadKeys(file, os.LookupEnv)
	if err != nil {
		return seaweed.Security{}, err
	}
	own := o.StoreSecurity
	for to, value := range map[*string]string{
		&keys.CA: own.CAFile, &keys.Cert: own.CertFile, &keys.Key: own.KeyFile, &keys.SigningKey: own.WriteKey, &keys.ReadSigningKey: own.ReadKey,
	} {
		if value != "" {
			*to = value
		}
	}
	if own.HTTPS {
		keys.HTTPS, keys.HTTPSCA, keys.HTTPSCert, keys.HTTPSKey = true, keys.CA, keys.Cert, keys.Key
	}
	return keys.Load()
}

// dialSeaweedFS finds the filer that everything in the store's folder goes through.
func dialSeaweedFS(ctx context.Context, o config.Config, called func(to, call string)) (*seaweed.Client, string, error) {
	options, root, err := seaweedOptions(o)
	if err != nil {
		return nil, "", err
	}
	options.Called = called
	c, err := seaweed.Owner(ctx, options, root)
	return c, root, err
}

// openSeaweedFS waits until SeaweedFS answers and no other node has the store.
func openSeaweedFS(ctx context.Context, o storeOptions) (backend, error) {
	if _, _, err := seaweedOptions(o.Config); err != nil {
		return nil, fmt.Errorf("store %s: %w", o.Store, err)
	}
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kelp_seaweedfs_requests_total", Help: "Calls to SeaweedFS: to masters and filers by their name, to volume servers by method.",
	}, []string{"to", "call"})
	if err := o.metrics.Register(calls); err != nil {
		return nil, err
	}
	told := ""
	for pause := knockFirst; ; pause = min(2*pause, knockMost) {
		s, err := tryOpen(ctx, o, func(to, call string) { calls.WithLabelValues(to, call).Inc() })
		if err == nil {
			go func() {
				<-s.Lost()
				o.taken(ErrTakenOver)
			}()
			return s, nil
		}
		err = fmt.Errorf("store %s: %w", o.Store, err)
		if ctx.Err() != nil || errors.Is(err, seaweed.ErrUnsafe) || errors.Is(err, storage.ErrCorrupt) {
			return nil, err
		}
		if told != err.Error() {
			told = err.Error()
			o.logger.Warn("waiting for SeaweedFS", "error", err)
		}
		o.waiting("waiting for SeaweedFS: " + err.Error())
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

func tryOpen(ctx context.Context, o storeOptions, called func(to, call string)) (s *onSeaweedFS, err error) {
	client, root, err := dialSeaweedFS(ctx, o.Config, called)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, client.Close())
		}
	}()
	if err := client.Probe(ctx, root); err != nil {
		return nil, err
	}
	sync := o.Durability == config.DurabilityFsync
	if err := client.ProbeBlob(ctx, sync); err != nil {
		o.logger.Warn("SeaweedFS takes no bytes on volume servers now: larger batches are refused until it does", "error", err)
	}
	host, _ := os.Hostname()
	lease, err := client.Acquire(ctx, seaweed.LeaseOptions{
		Name: "kelp" + root, Owner: fmt.Sprintf("kelp-%d-%s-%d", o.NodeID, host, os.Getpid()), TTL: leaseTime,
		Queue: path.Join(root, "standby"),
		Waiting: func(err error) {
			o.logger.Info("standing by: another node has the store", "store", o.Store, "reason", err)
			o.waiting("standing by: another node has the store: " + err.Error())
		},
	})
	if err != nil {
		return nil, err
	}
	store, err := seaweedfs.Open(ctx, client, seaweedfs.Options{
		Root: root, Sync: sync, Window: chunkWindow, CacheBytes: int64(o.Memory) / cacheOfTotal, Logger: o.logger, Metrics: o.metrics,
	})
	if err != nil {
		lease.Release()
		return nil, err
	}
	lease.OnLost(store.Verify, func() {
		o.logger.Warn("SeaweedFS cannot be reached from here, and another node was standing by: making way for it")
		store.GiveUp()
	})
	return &onSeaweedFS{Store: store, client: client, lease: lease}, nil
}

// Close lets the next node in at once.
func (s *onSeaweedFS) Close() error {
	err := s.Store.Close()
	s.lease.Release()
	return errors.Join(err, s.client.Close())
}
