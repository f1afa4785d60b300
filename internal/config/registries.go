package config

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// maxTopicRegistries bounds the clients that topics can make a process hold.
const maxTopicRegistries = 64

// EmbeddedRegistry is the name of the registry that kelp serve serves itself.
const EmbeddedRegistry = "embedded"

// TopicRegistries are the schema registries that topics may choose by name. Their addresses are the operator's: a
// topic's config holds a name only.
type TopicRegistries struct {
	URLs map[string]string // addresses joined by "|"
	Auth map[string]string // user:password, or "Bearer " and a token
}

// TopicRegistry is one of them.
type TopicRegistry struct {
	Name                      string
	URLs                      []string
	Username, Password, Token string
}

func (r *TopicRegistries) bind(f *pflag.FlagSet) {
	f.StringToStringVar(&r.URLs, "topic-registry", r.URLs,
		"name=URL of a schema registry that topics may choose with the config kelp.schema.registry=name; several addresses of one are "+
			"joined by |; may be given several times; timeouts and certificates are those of the external registry")
	f.StringToStringVar(&r.Auth, "topic-registry-auth", r.Auth,
		"name=user:password, or 'name=Bearer TOKEN', at such a registry; better given as KELP_TOPIC_REGISTRY_AUTH")
}

var registryName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (r *TopicRegistries) check(bad func(key, format string, args ...any)) {
	if len(r.URLs) > maxTopicRegistries {
		bad("topic-registry", "names %d registries; name at most %d", len(r.URLs), maxTopicRegistries)
	}
	for _, one := range r.All() {
		if !registryName.MatchString(one.Name) || one.Name == EmbeddedRegistry {
			bad("topic-registry", "%q is no name for a registry; use up to 64 letters, digits, '.', '_' and '-', and not %s",
				one.Name, EmbeddedRegistry)
		}
		for _, text := range one.URLs {
			if !isURL(text) {
				bad("topic-registry", "%s: %q is no URL; write one such as %s=http://127.0.0.1:8081", one.Name, text, one.Name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Auth)) {
		if _, ok := r.URLs[name]; !ok {
			bad("topic-registry-auth", "%q is not named by topic-registry", name)
		}
		if auth := r.Auth[name]; !strings.HasPrefix(auth, bearer) && !strings.Contains(auth, ":") {
			bad("topic-registry-auth", "of %q is neither user:password nor 'Bearer TOKEN'", name)
		}
	}
}

const bearer = "Bearer "

// All lists the registries by name.
func (r *TopicRegistries) All() []TopicRegistry {
	var all []TopicRegistry
	for _, name := range slices.Sorted(maps.Keys(r.URLs)) {
		one := TopicRegistry{Name: name, URLs: strings.Split(r.URLs[name], "|")}
		if token, ok := strings.CutPrefix(r.Auth[name], bearer); ok {
			one.Token = token
		} else {
			one.Username, one.Password, _ = strings.Cut(r.Auth[name], ":")
		}
		all = append(all, one)
	}
	return all
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
