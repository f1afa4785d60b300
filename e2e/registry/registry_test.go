// Package registry runs the real serializers of schema registries against the embedded one and topics of Kelp:
// confluent-kafka (Python), @confluentinc/schemaregistry and @kafkajs/confluent-schema-registry (JavaScript), franz-go's sr
// with twmb/avro, and kelp schema decode. Each reads what the others wrote. The client of kelp is run against Apicurio's registry.
package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"kelp/e2e/foreign"
	"kelp/e2e/harness"
)

// place is a broker with its registry.
type place struct {
	broker      *harness.Broker
	kafka, http string
	descriptors string // of person.proto, for the JavaScript clients
}

func start(t *testing.T) *place {
	t.Helper()
	p, address := &place{}, harness.FreeAddr(t)
	var err error
	p.broker, err = harness.OpenWith(harness.Kelp, t.TempDir(), harness.Options{KelpFlags: []string{"--registry", address}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.broker.Close(); err != nil {
			t.Error(err)
		}
	})
	p.kafka, p.http = p.broker.Addr, "http://"+address
	return p
}

// createTopics makes topics that take only what the registry has a schema for and can be decoded with it.
func (p *place) createTopics(t *testing.T, names ...string) {
	t.Helper()
	yes, payload := "true", "payload"
	validated := map[string]*string{"confluent.value.schema.validation": &yes, "kelp.schema.validation": &payload}
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	made, err := kadm.NewClient(cl).CreateTopics(t.Context(), 1, 1, validated, names...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

var drivers = filepath.Join(foreign.Root(), "e2e", "registry", "drivers")

// run runs a driver and gives its standard output.
func (p *place) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cache := filepath.Join(foreign.Root(), ".cache")
	command := []string{filepath.Join(cache, "python", "bin", "python"), filepath.Join(drivers, "client.py")}
	if name != "python" {
		command = []string{"node", filepath.Join(drivers, "client.js"), filepath.Join(cache, "node", "node_modules"), name}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], slices.Concat(command[1:], []string{p.kafka, p.http}, args)...)
	cmd.Env = append(os.Environ(), "DESCRIPTORS="+p.descriptors)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s\n%s", name, args, err, out, errs.String())
	}
	return string(out)
}

// describe lets protoc write the descriptors of person.proto.
func (p *place) describe(t *testing.T) {
	t.Helper()
	p.descriptors = filepath.Join(t.TempDir(), "person.bin")
	python := filepath.Join(foreign.Root(), ".cache", "python", "bin", "python")
	cmd := exec.CommandContext(t.Context(), python, "-m", "grpc_tools.protoc", "-I"+drivers, "--include_imports",
		"--descriptor_set_out="+p.descriptors, "person.proto")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func (p *place) get(t *testing.T, path string, into any) int {
	t.Helper()
	answer, err := http.Get(p.http + path)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

// TestCrosswise lets each client write a person in each format and read everybody's.
func TestCrosswise(t *testing.T) {
	p := start(t)
	p.describe(t)
	formats := []string{"avro", "json", "proto"}
	p.createTopics(t, formats...)
	names := map[string][]string{}
	write := func(client string, people ...string) { // format/name/mode
		t.Helper()
		var commands []string
		for _, each := range people {
			parts := strings.Split(each, "/")
			commands = append(commands, strings.Join([]string{"write", parts[0], parts[0], parts[1], parts[2]}, "/"))
			names[parts[0]] = append(names[parts[0]], parts[1])
		}
		p.run(t, client, commands...)
	}
	write("python", "avro/ada/", "avro/bea/latest", "avro/cleo/header", "json/ada/", "json/bea/latest", "json/cleo/header",
		"proto/ada/", "proto/bea/latest", "proto/cleo/header")
	write("confluent", "avro/dora/", "avro/eva/latest", "json/dora/", "json/eva/latest", "proto/dora/")
	write("kafkajs", "avro/fay/", "json/fay/")
	p.writeGo(t, "gil")
	names["avro"] = append(names["avro"], "gil")

	var reads []string
	for _, format := range formats {
		reads = append(reads, fmt.Sprintf("read/%s/%s/%d", format, format, len(names[format])))
	}
	same := func(who, format string, got []string) {
		t.Helper()
		if !slices.Equal(got, names[format]) {
			t.Errorf("%s reads %v of %s, want %v", who, got, format, names[format])
		}
	}
	for _, reader := range []string{"python", "confluent"} {
		lines := json.NewDecoder(strings.NewReader(p.run(t, reader, reads...)))
		for _, format := range formats {
			var got []string
			if err := lines.Decode(&got); err != nil {
				t.Fatal(err)
			}
			same(reader, format, got)
		}
	}
	for _, format := range formats {
		same("kelp schema decode", format, p.decode(t, format))
		// One schema, so one version, whoever registered it and in whatever spelling. protoc writes json_name
		// into descriptors and Python's generated code does not; Confluent's registry keeps the difference too.
		want := map[string][]int{"proto": {1, 2}, "avro": {1}, "json": {1}}[format]
		var versions []int
		if p.get(t, "/subjects/"+format+"-value/versions", &versions); !slices.Equal(versions, want) {
			t.Errorf("%s has the versions %v", format, versions)
		}
	}
}

// TestProtobufWithoutMessageIndexes reads what @kafkajs/confluent-schema-registry writes, which nobody else does: it
// does itself, and kelp schema decode when it is asked to; without that it says what is wrong.
func TestProtobufWithoutMessageIndexes(t *testing.T) {
	p := start(t)
	p.createTopics(t, "bare")
	p.run(t, "kafkajs", "write/proto/bare/ada/", "write/proto/bare/bea/")
	if got := p.run(t, "kafkajs", "read/proto/bare/2"); strings.TrimSpace(got) != `["ada","bea"]` {
		t.Error(got)
	}
	if got := p.decode(t, "bare", "--no-message-indexes"); !slices.Equal(got, []string{"ada", "bea"}) {
		t.Error(got)
	}
	strict := exec.CommandContext(t.Context(), p.broker.Binary(), "schema", "decode", "bare", "--exit", "--registry", p.http, "--server", p.kafka)
	out, err := strict.CombinedOutput()
	if code := strict.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "message indexes") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReferences lets the Python client register and use an Avro reference.
func TestReferences(t *testing.T) {
	p := start(t)
	p.createTopics(t, "lives")
	if got := p.run(t, "python", "write/avro/lives/ada/reference", "read/avro/lives/1"); strings.TrimSpace(got) != `["ada"]` {
		t.Error(got)
	}
	if got := p.run(t, "confluent", "read/avro/lives/1"); strings.TrimSpace(got) != `["ada"]` {
		t.Error(got)
	}
	var ids []int
	if p.get(t, "/subjects/addr/versions/1/referencedby", &ids); !slices.Equal(ids, []int{2}) {
		t.Error(ids)
	}
}

// TestFranzGo runs the calls of franz-go's sr client.
func TestFranzGo(t *testing.T) {
	p := start(t)
	cl, err := sr.NewClient(sr.URLs(p.http))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	text := `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`
	made, err := cl.CreateSchema(ctx, "s", sr.Schema{Schema: text})
	if err != nil || made.ID != 1 || made.Version != 1 {
		t.Fatal(made, err)
	}
	if id, err := cl.RegisterSchema(ctx, "s", sr.Schema{Schema: text}, -1, -1); err != nil || id != 1 {
		t.Error(id, err)
	}
	if got, err := cl.SchemaByID(ctx, 1); err != nil || got.Schema != text {
		t.Error(got, err)
	}
	if got, err := cl.LookupSchema(ctx, "s", sr.Schema{Schema: text}); err != nil || got.Version != 1 {
		t.Error(got, err)
	}
	other := sr.Schema{Schema: strings.Replace(text, `"int"`, `"string"`, 1)}
	if got, err := cl.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), "s", -1, other); err != nil || got.Is || len(got.Messages) == 0 {
		t.Error(got, err)
	}
	for _, r := range cl.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatNone}, "s") {
		if r.Err != nil {
			t.Error(r.Err)
		}
	}
	if got, err := cl.CreateSchema(ctx, "s", other); err != nil || got.Version != 2 {
		t.Error(got, err)
	}
	if got, err := cl.AllSchemas(ctx); err != nil || len(got) != 2 {
		t.Error(got, err)
	}
	if got, err := cl.DeleteSubject(ctx, "s", sr.SoftDelete); err != nil || !slices.Equal(got, []int{1, 2}) {
		t.Error(got, err)
	}
	if got, err := cl.Subjects(sr.WithParams(ctx, sr.ShowDeleted)); err != nil || !slices.Equal(got, []string{"s"}) {
		t.Error(got, err)
	}
	if got, err := cl.DeleteSubject(ctx, "s", sr.HardDelete); err != nil || !slices.Equal(got, []int{1, 2}) {
		t.Error(got, err)
	}
	if _, err := cl.SchemaByID(ctx, 1); err == nil || !strings.Contains(err.Error(), "Schema 1 not found") {
		t.Error(err)
	}
}

// TestSchemasTopic reads what the registry keeps like any other topic.
func TestSchemasTopic(t *testing.T) {
	p := start(t)
	cl, err := sr.NewClient(sr.URLs(p.http))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cl.CreateSchema(t.Context(), "s", sr.Schema{Schema: `"string"`}); err != nil {
		t.Fatal(err)
	}
	if _, err := cl.DeleteSubject(t.Context(), "s", sr.SoftDelete); err != nil {
		t.Fatal(err)
	}
	consumer, err := kgo.NewClient(kgo.SeedBrokers(p.kafka), kgo.ConsumeTopics("_schemas"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	var got []string
	for ctx := t.Context(); len(got) < 2; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, fmt.Sprintf("%s => %s", r.Key, r.Value)) })
	}
	want := []string{
		`{"keytype":"SCHEMA","subject":"s","version":1,"magic":1} => ` +
			`{"subject":"s","version":1,"id":1,"schemaType":"AVRO","schema":"\"string\"","deleted":false}`,
		`{"keytype":"DELETE_SUBJECT","subject":"s","magic":0} => {"subject":"s","version":1}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
