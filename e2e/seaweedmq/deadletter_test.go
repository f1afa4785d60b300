package seaweedmq

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Undecodable records go to a topic of Kafka, byte for byte and with where they come from. While it is not there the
// mirror waits, over a crash too, and publishes nothing that is behind them.
func (p *place) deadLetters(t *testing.T) {
	p.topic(t, "letters", 2, "kelp.seaweedmq.publish=structured", "kelp.seaweedmq.undecodable=drop", "kelp.seaweedmq.dead.letter.topic=dead")
	person := func(name string) map[string]any { return map[string]any{"name": name, "age": int32(1), "city": nil} }
	p.avro(t, "letters", personAvro, person("ada"))
	produce(t, p.kafka(t), &kgo.Record{
		Topic: "letters", Key: []byte("k"), Value: []byte("no envelope"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{0, 255}}},
	})
	p.avro(t, "letters", personAvro, person("bea"))
	waits := func() {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !strings.Contains(p.status(t), "dead-letter topic dead"); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the mirror does not wait for its dead-letter topic\n%s", p.status(t))
			}
		}
	}
	waits()
	if err := p.broker.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.broker.Resume(); err != nil {
		t.Fatal(err)
	}
	waits()
	p.topic(t, "dead", 1)
	p.mirrored(t, "letters")
	var names []string
	for _, r := range rows(t, p.entries(t, "letters")[0]) {
		names = append(names, r["name"].GetStringValue())
	}
	if fmt.Sprint(names) != "[ada bea]" {
		t.Errorf("in SeaweedMQ: %v", names)
	}
	dead := p.consume(t, "dead")[0]
	if len(dead) != 1 || string(dead[0].Key) != "k" || string(dead[0].Value) != "no envelope" {
		t.Fatalf("in the dead-letter topic: %+v", dead)
	}
	got := map[string]string{}
	for _, h := range dead[0].Headers {
		got[h.Key] = string(h.Value)
	}
	if got["h"] != "\x00\xff" || got["__kelp.errors.topic"] != "letters" || got["__kelp.errors.partition"] != "0" ||
		got["__kelp.errors.offset"] != "1" || !strings.Contains(got["__kelp.errors.exception.message"], "no schema envelope") {
		t.Errorf("headers %q", got)
	}
}
