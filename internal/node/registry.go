package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/protobuf"
	"kelp/internal/schema/registry"
	"kelp/internal/schema/rest"
	"kelp/internal/statelog"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// Limits of a connection to the registry.
const (
	registryHeaderTimeout = 10 * time.Second
	registryReadTimeout   = 60 * time.Second
	registryWriteTimeout  = 60 * time.Second
	registryIdleTimeout   = 2 * time.Minute
	registryHeaderBytes   = 64 << 10
)

// schemas is the embedded schema registry: its machine on the topic _schemas and its HTTP interface.
type schemas struct {
	machine *statelog.Runner[*schema.Machine]
	http    *http.Server
}

// openRegistry replays the schemas and serves them, unless the address is empty.
func (n *Node) openRegistry(ctx context.Context, p parts, metadata *cluster.Catalog, set *topic.Set) error {
	if p.o.Registry == "" {
		return nil
	}
	machine, err := statelog.Open(ctx, statelog.Options[*schema.Machine]{
		Log: n.schemaLog(p, metadata, set), Fresh: schema.New, Note: func(text string) { p.logger.Info(text) },
	})
	if err != nil {
		return fmt.Errorf("schema registry: %w", err)
	}
	n.schemas.machine = machine
	formats := []schema.Format{protobuf.Format{}, avro.Format{}}
	version, revision := buildVersion()
	handler := rest.New(rest.Options{
		Registry: registry.New(registry.Options{Steps: machine, Formats: formats}), Logger: p.logger, Metrics: p.metrics,
		Version: version, Revision: revision, ClusterID: func() string { return metadata.Image().ClusterID },
	})
	l, err := listener.Listen(n.life, "tcp", p.o.Registry)
	if err != nil {
		return fmt.Errorf("registry: %w; free the address, choose another, or leave it empty to serve no schema registry", err)
	}
	n.Registry = l.Addr()
	n.schemas.http = &http.Server{
		Handler: handler, ReadHeaderTimeout: registryHeaderTimeout, ReadTimeout: registryReadTimeout, WriteTimeout: registryWriteTimeout,
		IdleTimeout: registryIdleTimeout, MaxHeaderBytes: registryHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	n.wg.Go(func() {
		if err := n.schemas.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.errs <- err
		}
	})
	return nil
}

// schemaLog opens _schemas for the machine. The topic is shown to clients with its first record.
func (n *Node) schemaLog(p parts, metadata *cluster.Catalog, set *topic.Set) func(context.Context) (storage.Log, error) {
	open := stateLog(metadata, set, cluster.Schemas)
	return func(ctx context.Context) (storage.Log, error) {
		log, err := open(ctx)
		show := sync.OnceFunc(func() {
			if err := metadata.Show(context.WithoutCancel(ctx), cluster.Schemas); err != nil {
				p.logger.Warn("the topic _schemas is shown at the next start only", "error", err)
			}
		})
		return shownLog{log, show}, err
	}
}

// shownLog shows its topic before the first record is appended.
type shownLog struct {
	storage.Log
	show func()
}

// Append shows the topic and appends.
func (l shownLog) Append(b storage.Batch) storage.Pending {
	l.show()
	return l.Log.Append(b)
}

// close lets requests finish for a while and ends the machine.
func (s *schemas) close(drain time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if s.http != nil && s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // what has not finished by then is cut off
	}
	if s.machine != nil {
		s.machine.Close()
	}
}

// buildVersion is what the binary was built from.
func buildVersion() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return info.Main.Version, revision
}
