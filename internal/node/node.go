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
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/api"
	"kelp/internal/cluster"
	"kelp/internal/config"
	"kelp/internal/group"
	"kelp/internal/seaweedmq"
	"kelp/internal/server"
	"kelp/internal/statelog"
	"kelp/internal/telemetry"
	"kelp/internal/topic"
	"kelp/internal/validate"
)

// listener opens listeners; its zero value has the system's defaults.
var listener net.ListenConfig

// Node is a running broker.
type Node struct {
	store     backend
	topics    *topic.Set
	groups    *statelog.Runner[*group.Machine]
	txns      *transactions
	schemas   schemas
	validator *validate.Validator
	server    *server.Server
	http      *http.Server
	pprof     *http.Server
	mirror    *seaweedmq.Mirror // nil: none
	health    telemetry.Health
	drain     time.Duration
	wg        sync.WaitGroup
	errs      chan error

	life context.Context // ends with Close
	end  context.CancelFunc

	Kafka    []net.Addr
	HTTP     net.Addr
	Registry net.Addr
	Pprof    net.Addr
}

// Start opens the store, which may wait for its turn, replays the metadata and listens. Health is
// served from the beginning.
func Start(ctx context.Context, o config.Config, logger *slog.Logger) (*Node, error) {
	advertise, err := advertiser(o.Advertise)
	if err != nil {
		return nil, err
	}
	static, err := brokerConfigs(o)
	if err != nil {
		return nil, err
	}
	metrics := telemetry.Registry()
	n := &Node{errs: make(chan error, len(o.Listen)+4), drain: o.DrainTimeout}
	n.life, n.end = context.WithCancel(context.WithoutCancel(ctx))
	n.limitMemory(int64(o.Memory))
	if err := n.serveHTTP(o.HTTP, metrics); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.store, err = openStore(ctx, storeOptions{o, logger, metrics, func(err error) { n.errs <- err }, n.health.NotReady})
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	if err := refuseUnfinished(ctx, n.store); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	p := parts{o: o, logger: logger, metrics: metrics, static: static, advertise: advertise}
	if err := n.serve(ctx, p); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	n.health.Ready(n.store.Failed)
	return n, nil
}

// parts is what a start hands on.
type parts struct {
	o         config.Config
	logger    *slog.Logger
	metrics   *prometheus.Registry
	static    cluster.Configs
	advertise func(*api.Request) (string, int32)
}

func (n *Node) serve(ctx context.Context, p parts) error {
	o, logger, static := p.o, p.logger, p.static
	metadata, err := cluster.Open(ctx, n.store, cluster.Options{Now: time.Now, Static: static, Refuse: refuseConfig(o)})
	if err != nil {
		return err
	}
	set, keep, err := n.openTopics(ctx, p, metadata)
	if err != nil {
		return err
	}
	if err := n.openGroups(ctx, p, metadata, set); err != nil {
		return err
	}
	if err := n.openTransactions(ctx, p, metadata, set); err != nil {
		return err
	}
	if err := n.openRegistry(ctx, p, metadata, set); err != nil {
		return err
	}
	if err := errors.Join(n.openMirror(p, metadata, set), n.openSources(p, metadata, set)); err != nil {
		return err
	}
	table := api.New(api.Options{
		Catalog: metadata, Partitions: set, Groups: n.groups, Dropped: n.dropped(keep), Advertise: p.advertise, NodeID: o.NodeID,
		LeaderEpoch:       leaderEpoch(n.store),
		DefaultPartitions: o.Defaults.Partitions, AutoCreate: o.AutoCreateTopics, Settings: settings(o),
		LogDir: func() api.LogDir { return logDir(o.Data) }, Now: time.Now, MaxFetchBytes: o.Limits.FetchBytes,
		FetchMemoryBytes: int64(o.Memory) / 8,
		MaxFetchSessions: o.Limits.FetchSessions, Draining: n.life, Metrics: p.metrics,
		Validator: n.openValidator(p), MirrorLag: n.mirrorLag(),
		Transactions: n.txns, Verifier: api.NewVerifier(n.txns), FeaturesChanged: n.txns.featuresChanged(metadata),
	})
	n.server = server.New(server.Options{Logger: logger, Table: table, Metrics: p.metrics, Limits: server.Limits{
		FrameBytes: o.Limits.RequestBytes, Connections: o.Limits.Connections, InFlight: o.Limits.RequestsInFlight,
		InFlightBytes: o.Limits.BytesInFlight, IdleTimeout: o.Limits.IdleTimeout,
	}})
	for _, address := range o.Listen {
		l, err := listener.Listen(n.life, "tcp", address)
		if err != nil {
			return fmt.Errorf("listen: %w; free the address or choose another", err)
		}
		n.Kafka = append(n.Kafka, l.Addr())
		n.wg.Go(func() {
			if err := n.server.Serve(l); err != nil {
				n.errs <- err
			}
		})
	}
	return n.servePprof(o.Pprof)
}

func (n *Node) serveHTTP(address string, metrics *prometheus.Registry) error {
	if address == "" {
		return nil
	}
	l, err := listener.Listen(n.life, "tcp", address)
	if err != nil {
		return fmt.Errorf("http: %w; free the address or choose another", err)
	}
	handler := n.withMirror(telemetry.Handler(metrics, &n.health))
	n.HTTP, n.http = l.Addr(), &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	n.wg.Go(func() {
		if err := n.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.errs <- err
		}
	})
	return nil
}

// Failed gives the error of a listener that ended by itself.
func (n *Node) Failed() <-chan error { return n.errs }

// Close stops listening, lets requests finish, ends connections, and flushes and closes the store.
func (n *Node) Close() error {
	n.health.NotReady("draining")
	n.end() // fetches that wait are answered with what there is
	if n.txns != nil {
		n.txns.Close()
	}
	if n.validator != nil {
		n.validator.Close() // batches that wait for the registry are refused
	}
	n.schemas.close(n.drain)
	if n.groups != nil {
		n.groups.Close() // members that wait are sent to look for the coordinator again
	}
	if n.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), n.drain)
		_ = n.server.Drain(ctx) // what has not finished by then is cut off
		cancel()
		n.server.Close()
	}
	for _, side := range []*http.Server{n.http, n.pprof} {
		if side != nil {
			_ = side.Close()
		}
	}
	if n.topics != nil {
		ctx, cancel := context.WithTimeout(context.Background(), n.drain)
		_ = n.topics.Close(ctx) // what is not saved is replayed at the next start
		cancel()
	}
	var err error
	if n.store != nil {
		err = n.store.Close()
	}
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
		return nil, fmt.Errorf("advertise: %s: want host:port: %w", fixed, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("advertise: %s: want a port number: %w", fixed, err)
	}
	return func(*api.Request) (string, int32) { return host, int32(n) }, nil
}
