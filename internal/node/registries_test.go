package node

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/cluster"
	"kelp/internal/config"
	"kelp/internal/schema"
)

// answering is a registry whose only schema tells its name and who asks.
func answering(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"schema":%q}`, name+" "+r.Header.Get("Authorization"))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestTopicsChooseTheirRegistryByName(t *testing.T) {
	o := config.Default()
	o.RegistryURL = []string{answering(t, "the server's")}
	o.TopicRegistries = config.TopicRegistries{
		URLs: map[string]string{"one": answering(t, "one"), "two": "http://127.0.0.1:1|" + answering(t, "two")},
		Auth: map[string]string{"one": "ada:secret", "two": "Bearer t0ken"},
	}
	if err := o.Check(); err != nil {
		t.Fatal(err)
	}
	n := &Node{}
	p := parts{o: o, metrics: prometheus.NewRegistry()}
	if err := errors.Join(n.schemas.openExternal(p), n.schemas.openNamed(p)); err != nil {
		t.Fatal(err)
	}
	defer n.schemas.close(0)
	img := &cluster.Image{ByName: map[string]cluster.Topic{}}
	for topic, name := range map[string]string{"a": "one", "b": "two", "c": "", "d": "gone"} {
		img.ByName[topic] = cluster.Topic{Config: &cluster.TopicConfig{SchemaRegistry: name}}
	}
	for topic, want := range map[string]string{
		"a": "one Basic YWRhOnNlY3JldA==", "b": "two Bearer t0ken", "c": "the server's ", "not there": "the server's ",
	} {
		r, err := n.SchemasOf(img, topic)
		if err != nil {
			t.Fatal(topic, err)
		}
		if v, err := r.ByID(t.Context(), "", 7); err != nil || v.Text != want {
			t.Errorf("topic %s: %v, %v; want %q", topic, v, err, want)
		}
	}
	if _, err := n.SchemasOf(img, "d"); !errors.Is(err, schema.ErrNoRegistry) {
		t.Error(err)
	}
	if _, err := n.schemas.Named(config.EmbeddedRegistry); !errors.Is(err, schema.ErrNoRegistry) {
		t.Error("nothing is embedded in this node:", err)
	}
	families, err := p.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string]bool{}
	for _, f := range families {
		for _, m := range f.Metric {
			labels[m.Label[0].GetValue()] = true
		}
	}
	if !labels["default"] || !labels["one"] || !labels["two"] {
		t.Error("metrics of", labels)
	}
}

func TestTopicsCannotNameARegistryThatTheOperatorDidNot(t *testing.T) {
	o := config.Default()
	o.TopicRegistries.URLs["one"] = "http://127.0.0.1:1"
	refuse := refuseConfig(o)
	for _, value := range []string{"", "one", "embedded"} {
		if err := refuse(cluster.SchemaRegistryKey, value); err != nil {
			t.Error(value, err)
		}
	}
	if err := refuse("retention.ms", "7"); err != nil {
		t.Error(err)
	}
	if err := refuse(cluster.SchemaRegistryKey, "two"); err == nil || !strings.Contains(err.Error(), "only one, embedded") {
		t.Error(err)
	}
	o.Registry = ""
	if err := refuseConfig(o)(cluster.SchemaRegistryKey, "embedded"); err == nil {
		t.Error("nothing is embedded")
	}
}
