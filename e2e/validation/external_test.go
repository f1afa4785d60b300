package validation

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

// TestExternalRegistry validates with the registry of another server, which is killed and comes back: what is known goes on, the
// rest waits (fail-closed) or passes (fail-open), and nothing bad gets in.
func TestExternalRegistry(t *testing.T) {
	far := start(t)
	p := start(t, "--registry-url", far.http, "--topic-registry", "far="+far.http, "--registry-timeout", "1s")
	for topic, more := range map[string][]string{
		"closed": nil, "open": {"kelp.schema.validation.unavailable=fail-open"}, "chosen": {"kelp.schema.registry=far"},
		"own": {"kelp.schema.registry=embedded"},
	} {
		p.createTopic(t, topic, append(append(more, "kelp.schema.validation=payload"), strictValues...)...)
	}
	id := map[string]int{}
	for _, topic := range []string{"closed", "open", "chosen"} {
		id[topic] = far.register(t, topic+"-value", sr.TypeAvro, `"string"`).id
	}
	later := far.register(t, "closed-value", sr.TypeAvro, `["string","null"]`).id
	p.register(t, "filler", sr.TypeAvro, `"int"`) // ids of the two registries differ
	p.register(t, "filler", sr.TypeAvro, `["int","null"]`)
	p.register(t, "filler", sr.TypeAvro, `["null","int"]`)
	own := p.register(t, "own-value", sr.TypeAvro, `"string"`).id
	cl := p.client(t)
	send := func(topic string, value []byte) error {
		return cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: value}).FirstErr()
	}
	for _, topic := range []string{"closed", "chosen"} {
		if err := send(topic, framed(id[topic], 2, 'a')); err != nil {
			t.Errorf("%s: %v", topic, err)
		}
		if err := send(topic, framed(id[topic], 9, 'a')); !errors.Is(err, kerr.InvalidRecord) {
			t.Errorf("%s, a bad payload: %v", topic, err)
		}
	}
	if err := send("own", framed(own, 2, 'a')); err != nil {
		t.Errorf("the embedded registry: %v", err)
	}
	if err := send("own", framed(id["closed"], 2, 'a')); !errors.Is(err, kerr.InvalidRecord) {
		t.Errorf("an id of the other registry: %v", err)
	}
	if err := far.broker.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := send("closed", framed(id["closed"], 2, 'b')); err != nil {
		t.Errorf("a known schema without its registry: %v", err)
	}
	if err := send("open", framed(id["open"], 2, 'b')); err != nil {
		t.Errorf("fail-open: %v", err)
	}
	if err := send("open", []byte("bare")); !errors.Is(err, kerr.InvalidRecord) {
		t.Errorf("fail-open, no envelope: %v", err)
	}
	impatient := p.client(t, kgo.RecordRetries(1))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := impatient.ProduceSync(ctx, &kgo.Record{Topic: "closed", Value: framed(later, 0, 2, 'c')}).FirstErr(); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Errorf("fail-closed: %v", err)
	}
	waiting := make(chan error, 1)
	cl.Produce(t.Context(), &kgo.Record{Topic: "closed", Value: framed(later, 0, 2, 'c')}, func(_ *kgo.Record, err error) { waiting <- err })
	cl.Produce(t.Context(), &kgo.Record{Topic: "closed", Value: framed(id["closed"], 2, 'd')}, nil)
	if err := far.broker.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("the registry is back: %v", err)
	}
	var got string
	for _, r := range consume(t, p, "closed", 4) {
		got += string(r.Value[len(r.Value)-1])
	}
	if got != "abcd" {
		t.Errorf("closed holds %q", got)
	}
}
