// Package node assembles the parts, starts them in order and stops them in reverse. It is the
// only package that knows all of them.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"kelp/internal/api"
	"kelp/internal/cluster"
	"kelp/internal/group"
	"kelp/internal/server"
	"kelp/internal/statelog"
	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
	"kelp/internal/topic"
)

// Options of a node.
type Options struct {
	Data              string
	Listen            []string
	Advertise         string // host:port, or empty to give a client the address that it dialled
	HTTP              string
	NodeID            int32
	Sync              bool // acknowledge after fsync
	DefaultPartitions int32
	AutoCreate        bool
	MaxMessageBytes   int
	Logger            *slog.Logger
}

// Kafka's defaults of a broker.
const (
	maxFetchBytes        = 55 << 20        // fetch.max.bytes
	producerExpirationMs = 24 * 60 * 60000 // producer.id.expiration.ms
	retentionCheck       = 5 * time.Minute // log.retention.check.interval.ms
)

// Node is a running broker.
type Node struct {
	store  *embedded.Store
	groups *statelog.Runner[*group.Machine]
	server *server.Server
	http   *http.Server
	wg     sync.WaitGroup
	errs   chan error

	life context.Context // ends with Close
	end  context.CancelFunc

	Kafka []net.Addr
	HTTP  net.Addr
}

// Start opens the store, replays the metadata and listens.
func Start(ctx context.Context, o Options) (*Node, error) {
	advertise, err := advertiser(o.Advertise)
	if err != nil {
		return nil, err
	}
	store, err := embedded.Open(filepath.Join(o.Data, "log"), embedded.Options{Sync: o.Sync, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	n := &Node{store: store, errs: make(chan error, len(o.Listen)+1)}
	n.life, n.end = context.WithCancel(context.WithoutCancel(ctx))
	if err := n.serve(ctx, o, advertise); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

func (n *Node) serve(ctx context.Context, o Options, advertise func(*api.Request) (string, int32)) error {
	static := cluster.Configs{"message.max.bytes": strconv.Itoa(o.MaxMessageBytes)}
	metadata, err := cluster.Open(ctx, n.store, cluster.Options{Now: time.Now, Static: static})
	if err != nil {
		return err
	}
	set := topic.NewSet(n.store, func(id storage.Partition) topic.Options {
		return topic.Options{
			Now: time.Now, ProducerExpirationMs: producerExpirationMs,
			Config: func() *cluster.TopicConfig { return metadata.Image().ByID[id.Topic].Config },
		}
	})
	keep := &keeper{catalog: metadata, set: set, logger: o.Logger}
	if err := keep.dropOrphans(ctx, n.store); err != nil {
		return err
	}
	n.wg.Go(func() { n.housekeep(keep) })
	n.groups, err = statelog.Open(ctx, n.groupLog, func() *group.Machine { return group.New(group.Defaults()) })
	if err != nil {
		return fmt.Errorf("consumer groups: %w", err)
	}
	n.server = server.New(server.Options{Logger: o.Logger, Table: api.New(api.Options{
		Catalog: metadata, Partitions: set, Groups: n.groups, Dropped: keep.drop, Advertise: advertise, NodeID: o.NodeID,
		DefaultPartitions: o.DefaultPartitions, AutoCreate: o.AutoCreate, Settings: settings(o),
		LogDir: func() api.LogDir { return logDir(o.Data) }, Now: time.Now, MaxFetchBytes: maxFetchBytes,
	})})
	for _, address := range o.Listen {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return fmt.Errorf("--listen %s: %w", address, err)
		}
		n.Kafka = append(n.Kafka, l.Addr())
		n.wg.Go(func() { n.errs <- n.server.Serve(l) })
	}
	return n.serveHTTP(o.HTTP)
}

// housekeep cleans topics until the node is closed.
func (n *Node) housekeep(keep *keeper) {
	tick := time.NewTicker(retentionCheck)
	defer tick.Stop()
	for {
		select {
		case <-n.life.Done():
			return
		case <-tick.C:
			keep.clean(n.life)
		}
	}
}

// groupLog opens the partition of the group machine.
func (n *Node) groupLog(ctx context.Context) (storage.Log, error) {
	if err := n.store.Create(ctx, cluster.GroupPartition); err != nil {
		return nil, err
	}
	return n.store.Open(ctx, cluster.GroupPartition, storage.OpenOptions{})
}

func (n *Node) serveHTTP(address string) error {
	if address == "" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--http %s: %w", address, err)
	}
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }
	mux.HandleFunc("GET /healthz", ok)
	mux.HandleFunc("GET /readyz", ok)
	n.HTTP, n.http = l.Addr(), &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	n.wg.Go(func() { n.errs <- n.http.Serve(l) })
	return nil
}

// Failed gives the error of a listener that ended by itself.
func (n *Node) Failed() <-chan error { return n.errs }

// Close stops listening, ends connections, and flushes and closes the store.
func (n *Node) Close() error {
	n.end()
	if n.server != nil {
		n.server.Close()
	}
	if n.http != nil {
		_ = n.http.Close()
	}
	if n.groups != nil {
		n.groups.Close()
	}
	err := n.store.Close()
	n.wg.Wait()
	return err
}

// advertiser gives what clients are told: a fixed address, or the one that each dialled.
func advertiser(fixed string) (func(*api.Request) (string, int32), error) {
	if fixed == "" {
		return func(r *api.Request) (string, int32) {
			host, port, _ := net.SplitHostPort(r.LocalAddr.String())
			n, _ := strconv.ParseInt(port, 10, 32)
			return host, int32(n)
		}, nil
	}
	host, port, err := net.SplitHostPort(fixed)
	if err != nil {
		return nil, fmt.Errorf("--advertise %s: want host:port: %w", fixed, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("--advertise %s: want a port number: %w", fixed, err)
	}
	return func(*api.Request) (string, int32) { return host, int32(n) }, nil
}
