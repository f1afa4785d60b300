package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"kelp/internal/cluster"
	"kelp/internal/config"
	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/client"
	"kelp/internal/schema/jsonschema"
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
	registryConnections   = 1000
)

// schemas is the embedded schema registry (its machine on the topic _schemas and its HTTP interface)
// and what the schema-aware parts see of it or of an external one.
type schemas struct {
	machine  *statelog.Runner[*schema.Machine]
	http     *http.Server
	external *client.Client
	embedded *registry.Registry        // nil: there is none
	registry schema.Registry           // nil: there is none
	named    map[string]*client.Client // those that topics may choose
}

// openRegistry replays the schemas and serves them, unless the address is empty.
func (n *Node) openRegistry(ctx context.Context, p parts, metadata *cluster.Catalog, set *topic.Set) error {
	if err := errors.Join(n.schemas.openExternal(p), n.schemas.openNamed(p)); err != nil {
		return err
	}
	n.checkExternal(p)
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
	embedded := registry.New(registry.Options{Steps: machine, Formats: []schema.Format{jsonschema.Format{}, protobuf.Format{}, avro.Format{}}})
	n.schemas.embedded = embedded
	if n.schemas.registry == nil {
		n.schemas.registry = embedded
	}
	version, revision := buildVersion()
	handler := rest.New(rest.Options{
		Registry: embedded, Logger: p.logger, Metrics: p.metrics,
		Version: version, Revision: revision, ClusterID: func() string { return metadata.Image().ClusterID },
	})
	l, err := listener.Listen(n.life, "tcp", p.o.Registry)
	if err != nil {
		return fmt.Errorf("registry: %w; free the address, choose another, or leave it empty to serve no schema registry", err)
	}
	n.Registry = l.Addr()
	n.schemas.http = &http.Server{
		Handler: handler, ReadHeaderTimeout: registryHeaderTimeout, ReadTimeout: registryReadTimeout, WriteTimeout: registryWriteTimeout,
		IdleTimeout: registryIdleTimeout, MaxHeaderBytes: registryHeaderBytes, ErrorLog: slog.NewLogLogger(p.logger.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	n.wg.Go(func() {
		if err := n.schemas.http.Serve(limit(l, registryConnections)); !errors.Is(err, http.ErrServerClosed) {
			n.errs <- err
		}
	})
	return nil
}

// openExternal makes the client of an external registry, if one is named. It need not be there yet.
func (s *schemas) openExternal(p parts) error {
	if len(p.o.RegistryURL) == 0 {
		return nil
	}
	o := p.o.RegistryClient
	var err error
	s.external, err = newClient(p, config.TopicRegistry{
		Name: "default", URLs: p.o.RegistryURL, Username: o.Username, Password: o.Password, Token: o.Token,
	})
	if err != nil {
		return fmt.Errorf("registry-url: %w", err)
	}
	s.registry = s.external
	return nil
}

// Schemas is the registry that schema-aware parts use: the external one if one is named, else the
// embedded one; nil without either.
func (n *Node) Schemas() schema.Registry { return n.schemas.registry }

// checkExternal says at start whether the external registry answers.
func (n *Node) checkExternal(p parts) {
	if n.schemas.external == nil {
		return
	}
	n.wg.Go(func() {
		if err := n.schemas.external.Health(n.life); err != nil && n.life.Err() == nil {
			p.logger.Warn("the external schema registry does not answer; it is asked again when it is needed", "error", err)
		}
	})
}

// clientTLS reads whom to believe and what to show; nil without any of it.
func clientTLS(o config.RegistryClient) (*tls.Config, error) {
	if o.CAFile == "" && o.CertFile == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("registry-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("registry-ca: %s holds no certificate in PEM form", o.CAFile)
		}
	}
	if o.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("registry-cert: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
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
	if s.external != nil {
		s.external.Close()
	}
	for _, c := range s.named {
		c.Close()
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
