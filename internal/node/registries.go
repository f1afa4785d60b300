package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/cluster"
	"kelp/internal/config"
	"kelp/internal/schema"
	"kelp/internal/schema/client"
)

var _ schema.Registries = (*schemas)(nil)

// openNamed makes a client for each registry that topics may choose. None of them need be there yet.
func (s *schemas) openNamed(p parts) error {
	s.named = map[string]*client.Client{}
	for _, r := range p.o.TopicRegistries.All() {
		c, err := newClient(p, r)
		if err != nil {
			return fmt.Errorf("topic-registry: %s: %w", r.Name, err)
		}
		s.named[r.Name] = c
	}
	return nil
}

// newClient makes a client of an external registry.
func newClient(p parts, r config.TopicRegistry) (*client.Client, error) {
	o := p.o.RegistryClient
	authentication, err := clientTLS(o)
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{
		URLs: r.URLs, Username: r.Username, Password: r.Password, Token: r.Token, TLS: authentication,
		Timeout: o.Timeout, Cache: client.CacheOptions{IDs: o.CacheTTL},
		Metrics: prometheus.WrapRegistererWith(prometheus.Labels{"registry": r.Name}, p.metrics),
	})
}

// Named gives the registry with the name that a topic chose; the empty name is the server's own choice.
func (s *schemas) Named(name string) (schema.Registry, error) {
	switch c := s.named[name]; {
	case c != nil:
		return c, nil
	case name == "" && s.registry != nil:
		return s.registry, nil
	case name == config.EmbeddedRegistry && s.embedded != nil:
		return s.embedded, nil
	case name == "":
		return nil, fmt.Errorf("%w: this server serves none and uses none", schema.ErrNoRegistry)
	}
	return nil, fmt.Errorf("%w: %s", schema.ErrNoRegistry, name)
}

// SchemasOf gives the registry that a topic's records refer to; a topic that is not there has the server's own.
func (n *Node) SchemasOf(img *cluster.Image, topic string) (schema.Registry, error) {
	name := ""
	if t, ok := img.ByName[topic]; ok {
		name = t.Config.SchemaRegistry
	}
	return n.schemas.Named(name)
}

// refuseConfig says why a topic of this server cannot have a config: it names a registry that the operator did not.
func refuseConfig(o config.Config) func(key, value string) error {
	var known []string
	for _, r := range o.TopicRegistries.All() {
		known = append(known, r.Name)
	}
	if o.Registry != "" {
		known = append(known, config.EmbeddedRegistry)
	}
	return func(key, value string) error {
		if key != cluster.SchemaRegistryKey || value == "" || slices.Contains(known, value) {
			return nil
		}
		if len(known) == 0 {
			return fmt.Errorf("the server knows no registry of that name; kelp serve --topic-registry names one")
		}
		return fmt.Errorf("the server knows no registry of that name, only %s; kelp serve --topic-registry names more", strings.Join(known, ", "))
	}
}
