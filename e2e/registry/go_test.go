package registry

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

const personAvro = `{"type":"record","name":"Person","namespace":"e2e","fields":[{"name":"name","type":"string"},` +
	`{"name":"age","type":"int","default":0},{"name":"city","type":["null","string"],"default":null}]}`

// person is what all clients write.
type person struct {
	Name string  `avro:"name"`
	Age  int32   `avro:"age"`
	City *string `avro:"city"`
}

// writeGo writes a person in Avro with sr's Serde and reads everybody back.
func (p *place) writeGo(t *testing.T, name string) {
	t.Helper()
	registry, err := sr.NewClient(sr.URLs(p.http))
	if err != nil {
		t.Fatal(err)
	}
	made, err := registry.CreateSchema(t.Context(), "avro-value", sr.Schema{Schema: personAvro})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := avro.Parse(personAvro)
	if err != nil {
		t.Fatal(err)
	}
	var serde sr.Serde
	serde.Register(made.ID, person{},
		sr.EncodeFn(func(v any) ([]byte, error) { return codec.Encode(v) }),
		sr.DecodeFn(func(b []byte, v any) error { _, err := codec.Decode(b, v); return err }))
	body, err := serde.Encode(person{Name: name, Age: 36})
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "avro", Value: body}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var back person
	if err := serde.Decode(body, &back); err != nil || back.Name != name {
		t.Error(back, err)
	}
}

// decode reads a topic with kelp schema decode.
func (p *place) decode(t *testing.T, topic string, flags ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.broker.Binary(), slices.Concat([]string{
		"schema", "decode", topic, "--from", "start", "--exit", "--registry", p.http, "--server", p.kafka,
	}, flags)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var names []string
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		var line struct {
			Value struct{ Value struct{ Name string } }
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err, lines.Text())
		}
		names = append(names, line.Value.Value.Name)
	}
	return names
}
