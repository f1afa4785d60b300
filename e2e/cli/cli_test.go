// Package cli uses the kelp binary as a person does: settings, start and stop, and the client commands.
package cli

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/e2e/foreign"
)

func binary(t *testing.T) string {
	t.Helper()
	if b := os.Getenv("KELP_E2E_BINARY"); b != "" {
		return b
	}
	out := filepath.Join(t.TempDir(), "kelp")
	cmd := exec.Command("go", "build", "-o", out, "./cmd/kelp")
	cmd.Dir = foreign.Root()
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// server is a kelp serve that runs, with the addresses of its ready line.
type server struct {
	cmd                *exec.Cmd
	kafka, http, ready string
	registry           string
	stderr             *strings.Builder
	env                []string
	bin                string
}

func serve(t *testing.T, bin string, env []string, args ...string) *server {
	t.Helper()
	s := &server{bin: bin, stderr: &strings.Builder{}, cmd: exec.Command(bin, append([]string{"serve", "--registry", "127.0.0.1:0"}, args...)...)}
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stderr = s.stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait() // until then it may write to its folder, and its last words are not all here
	}
	t.Cleanup(end)
	s.ready, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		end()
		t.Fatalf("no ready line: %v\n%s", err, s.stderr)
	}
	found := regexp.MustCompile(`kafka=(\S+) http=(\S+) registry=(\S+) data=`).FindStringSubmatch(s.ready)
	if found == nil {
		t.Fatalf("ready line %q", s.ready)
	}
	s.kafka, s.http, s.registry = found[1], found[2], found[3]
	return s
}

func (s *server) kelp(t *testing.T, input string, args ...string) (out, errs string, failed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.bin, args...)
	cmd.Env = append(os.Environ(), "KELP_SERVER="+strings.Split(s.kafka, ",")[0])
	cmd.Stdin = strings.NewReader(input)
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	return o.String(), e.String(), err != nil
}

func (s *server) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + s.http + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServe(t *testing.T) {
	bin, dir := binary(t), t.TempDir()
	file := filepath.Join(dir, "kelp.yaml")
	if err := os.WriteFile(file, []byte("default-partitions: 5\nbroker-config:\n  log.retention.ms: 12345678\nlog-format: json\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	s := serve(t, bin, []string{"KELP_NODE_ID=7"}, "--config", file, "--data", data, "--listen", "127.0.0.1:0", "--listen", "localhost:0", "--http", "127.0.0.1:0")
	if strings.Count(s.kafka, ",") != 1 || strings.Contains(s.kafka, ":0,") {
		t.Errorf("the ready line does not name both chosen ports: %q", s.ready)
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": "kelp_server_connections"} {
		if code, body := s.get(t, path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.100s", path, code, body)
		}
	}
	if out, errs, failed := s.kelp(t, "", "topic", "create", "t"); failed {
		t.Fatal(out, errs)
	}
	out, _, _ := s.kelp(t, "", "topic", "describe", "t", "--all")
	for _, want := range []string{"4          7", "retention.ms=12345678"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	second := exec.Command(bin, "serve", "--data", data, "--listen", "127.0.0.1:0", "--http", "", "--registry", "")
	if text, err := second.CombinedOutput(); err == nil || !strings.Contains(string(text), "in use by another process") {
		t.Errorf("a second start on the folder: %v %s", err, text)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, s.stderr)
	}
	if !strings.Contains(s.stderr.String(), `"msg":"draining"`) {
		t.Errorf("log lines are not JSON: %s", s.stderr)
	}
	if text, err := exec.Command(bin, "serve", "--node-id", "x").CombinedOutput(); err == nil || !strings.Contains(string(text), "node-id") {
		t.Errorf("a wrong flag: %v %s", err, text)
	}
}

// brokers gives what a client that dialled addr is told, and whether asking for a missing topic made it.
func brokers(t *testing.T, addr string) (told string, created bool) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("asked-for")
	req.Topics = append(req.Topics, topic)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	b := resp.Brokers[0]
	return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))), resp.Topics[0].ErrorCode == 0
}

func TestClientsAreToldTheAddressTheyDialledUnlessOneIsSet(t *testing.T) {
	bin := binary(t)
	s := serve(t, bin, nil, "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0", "--http", "127.0.0.1:0", "--durability", "os")
	for _, addr := range strings.Split(s.kafka, ",") {
		if told, created := brokers(t, addr); told != addr || !created {
			t.Errorf("dialled %s, told %s; topic created: %v", addr, told, created)
		}
	}
	s = serve(t, bin, nil, "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
		"--advertise", "kafka.example.org:1234", "--auto-create-topics=false")
	if told, created := brokers(t, s.kafka); told != "kafka.example.org:1234" || created {
		t.Errorf("told %s; topic created: %v", told, created)
	}
}

func TestClientCommands(t *testing.T) {
	s := serve(t, binary(t), nil, "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--group-initial-rebalance-delay", "0s")
	f := func(input, want string, args ...string) {
		t.Helper()
		out, errs, failed := s.kelp(t, input, args...)
		if failed || out != want {
			t.Errorf("kelp %v: %q, want %q (%s)", args, out, want, errs)
		}
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if out, errs, failed := s.kelp(t, "", args...); !failed || !strings.Contains(errs, want) {
			t.Errorf("kelp %v: %q %q, want %q", args, out, errs, want)
		}
	}
	f("", "created a\n", "topic", "create", "a")
	f("", "", "topic", "create", "a", "--if-missing")
	refused("TOPIC_ALREADY_EXISTS", "topic", "create", "a")
	f("", "TOPIC  PARTITIONS  REPLICAS\na      1           1\n", "topic", "list")
	f("k1:v1\nk2:v2\n", "", "produce", "a", "-K", ":", "-z", "lz4", "-H", "h=x")
	f("v3\n", "", "produce", "a", "--acks", "none")
	f("", "0 k1 v1 h=x\n1 k2 v2 h=x\n", "consume", "a", "--from", "start", "--max", "2", "-f", `%o %k %v %h{%k=%v}\n`)
	f("", "v2\n", "consume", "a", "--from", "1", "--max", "1")
	f("", "v1\nv2\nv3\n", "consume", "a", "--group", "g", "--from", "start", "--exit")
	f("", "", "consume", "a", "--group", "g", "--from", "start", "--exit")
	f("", "GROUP  STATE  PROTOCOL  PROTOCOL TYPE\ng      Empty  classic   consumer\n", "group", "list")
	if out, _, _ := s.kelp(t, "", "group", "describe", "g"); !strings.Contains(out, "group g, Empty, 0 members, lag 0") {
		t.Errorf("described as %s", out)
	}
	refused("TOPIC", "group", "reset", "g")
	f("", "TOPIC  PARTITION  COMMITTED  NEW OFFSET\na      0          3          1\n", "group", "reset", "g", "a", "--to", "1")
	f("", "", "consume", "a", "--group", "g", "--from", "start", "--exit") // that was just shown
	f("", "TOPIC  PARTITION  COMMITTED  NEW OFFSET\na      0          3          1\n", "group", "reset", "g", "a", "--to", "1", "--execute")
	f("", "v2\nv3\n", "consume", "a", "--group", "g", "--from", "start", "--exit")
	f("", "TOPIC  PARTITION  COMMITTED  NEW OFFSET\na      0          3          2\n", "group", "reset", "g", "a", "--to", "-1")
	f("", "TOPIC  PARTITION  COMMITTED  NEW OFFSET\na      0          3          1\n", "group", "reset", "g", "a:0", "--by", "-2")
	f("", "TOPIC  PARTITION  COMMITTED  NEW OFFSET\na      0          3          3\n", "group", "reset", "g", "a", "--to", "latest")
	f("", "TOPIC  PARTITION  COMMITTED  NEW OFFSET\na      0          3          0\n", "group", "reset", "g", "a", "--to", "-24h")
	refused("no partition 7", "group", "reset", "g", "a:7", "--to", "start")
	refused("--by", "group", "reset", "g", "a", "--to", "start", "--by", "1")
	if out, _, _ := s.kelp(t, "", "group", "describe", "g", "-o", "json"); !strings.Contains(out, `"committed": 3`) || !strings.Contains(out, `"lag": 0`) {
		t.Errorf("%s", out)
	}
	if out, _, _ := s.kelp(t, "", "group", "list", "-o", "json"); !strings.Contains(out, `"protocol": "classic"`) {
		t.Errorf("%s", out)
	}
	f("", "v3\n", "consume", "a", "--from", "-1", "--exit")
	f("", "deleted g\n", "group", "delete", "g")
	refused("GROUP_ID_NOT_FOUND", "group", "delete", "g")
	f("", "configured a\nnow 3 partitions: a\n", "topic", "alter", "a", "--set", "retention.ms=1000", "-p", "3")
	refused("INVALID_CONFIG", "topic", "alter", "a", "--set", "no.such=1")
	refused("nothing to alter", "topic", "alter", "a")
	f("", "deleted a\n", "topic", "delete", "a")
	refused("UNKNOWN_TOPIC_OR_PARTITION", "topic", "delete", "a")
	refused("no Kafka server answers", "topic", "list", "--server", "127.0.0.1:1")
	if out, _, failed := s.kelp(t, "", "completion", "bash"); failed || !strings.Contains(out, "complete") {
		t.Error("no shell completion")
	}
	if out, _, failed := s.kelp(t, "", "version"); failed || !strings.HasPrefix(out, "kelp ") {
		t.Errorf("version: %q", out)
	}
}

// The schema commands against the embedded registry, with the exit codes that scripts rely on.
func TestSchemaCommands(t *testing.T) {
	s := serve(t, binary(t), nil, "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first := file("first.avsc", `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`)
	second := file("second.avsc", `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":0}]}`)
	broken := file("broken.avsc", `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}`)
	nonsense := file("nonsense.avsc", `nonsense`)
	f := func(code int, want string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), s.bin, append([]string{"schema"}, args...)...)
		cmd.Env = append(os.Environ(), "KELP_SCHEMA_REGISTRY=http://"+s.registry, "KELP_SERVER="+s.kafka)
		out, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), want) || strings.Contains(string(out), "\x1b") {
			t.Errorf("kelp schema %v: exit code %d, want %d with %q: %s (%v)", args, got, code, want, out, err)
		}
	}
	f(0, "compatible under BACKWARD", "check", first, second)
	f(1, "instead  add a default", "check", first, broken)
	f(0, `"compatible": true`, "check", first, broken, "--level", "forward", "-o", "json")
	f(2, "nonsense.avsc", "check", first, nonsense)
	f(2, "no such file", "check", first, filepath.Join(dir, "none.avsc"))
	f(2, "unknown flag", "check", "--nonsense")
	f(2, "--type", "check", first, file("plain.txt", "{}"))
	f(0, "upgrade first: either", "diff", first, second)
	f(1, "upgrade first: producers", "diff", first, broken)
	f(0, "r-value version 1 has id 1", "register", "r-value", first)
	f(0, "r-value version 2 has id 2", "register", "r-value", second)
	f(1, "incompatible with an earlier schema", "register", "r-value", file("third.avsc", `"string"`))
	f(2, "Invalid schema of type AVRO", "register", "r-value", nonsense)
	f(1, "READER_FIELD_MISSING_DEFAULT_VALUE", "check", "--subject", "r-value", file("fourth.avsc", `{"type":"record","name":"R","fields":[{"name":"c","type":"int"}]}`))
	f(0, "r-value", "list")
	f(0, "2", "list", "r-value")
	f(0, `"version": 1`, "get", "r-value", "1", "-o", "json")
	f(0, `"default":0`, "get", "--id", "2")
	f(1, "Schema 99 not found", "get", "--id", "99")
	f(0, "BACKWARD", "compat")
	f(0, "FULL_TRANSITIVE", "compat", "r-value", "full_transitive")
	f(1, "Invalid compatibility level", "compat", "r-value", "sideways")
	f(0, "BACKWARD", "compat", "r-value", "--unset")
	f(0, "READONLY", "mode", "r-value", "readonly")
	f(1, "read-only mode", "delete", "r-value", "1")
	f(0, "READWRITE", "mode", "r-value", "--unset")
	f(0, "deleted r-value version 1", "delete", "r-value", "1")
	f(1, "was soft deleted", "delete", "r-value", "1")
	f(0, "deleted r-value version 1", "delete", "r-value", "1", "--permanent")
	f(0, `{"a":1}`, "decode", "--hex", "02", "--schema", first, "--bare")
	f(0, `{"a":1,"b":0}`, "decode", "--hex", "00 00000002 02 00")
	f(0, `"schemaType": "AVRO"`, "decode", "--hex", "00 00000002 02 00", "-o", "json")
	f(0, `{"a":1,"b":0}`, "decode", "--hex", "0200", "--header", "0000000002")
	uses := file("uses.avsc", `{"type":"record","name":"U","fields":[{"name":"r","type":"R"}]}`)
	f(0, `{"r":{"a":1}}`, "decode", "--hex", "02", "--schema", uses, "--ref", "r="+first, "--bare")
	f(0, "compatible under BACKWARD", "check", uses, uses, "--ref", "r="+second, "--old-ref", "r="+first)
	f(1, "READER_FIELD_MISSING_DEFAULT_VALUE", "check", uses, uses, "--ref", "r="+broken, "--old-ref", "r="+first)
	f(2, `--old-ref "r": write name=FILE`, "check", uses, uses, "--old-ref", "r")
	message := file("m.proto", "syntax = \"proto3\";\nmessage M { string s = 1; }\nmessage N { M m = 1; }\n")
	f(0, `{"s":"x"}`, "decode", "--hex", "00 00000000 00 0a0178", "--schema", message)
	f(0, `{"m":{"s":"x"}}`, "decode", "--hex", "00 00000000 0202 0a030a0178", "--schema", message)
	f(1, "bad message indexes", "decode", "--hex", "00 00000000 0a0178", "--schema", message)
	f(0, `{"s":"x"}`, "decode", "--hex", "00 00000000 0a0178", "--schema", message, "--no-message-indexes")
	f(1, "no schema envelope", "decode", "--hex", "0001")
	f(1, "Schema 77 not found", "decode", "--hex", "000000004d02")
	f(2, "--bare needs --schema", "decode", "--hex", "02", "--bare")
	f(2, "no schema registry answers", "list", "--registry", "http://127.0.0.1:1")
}
