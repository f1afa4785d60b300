package registry

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kelp/e2e/foreign"
	"kelp/e2e/harness"
)

// outside is a schema registry of others, or another Kelp.
type outside struct {
	url         string
	refusal     string // its words for an incompatible schema
	permanently bool   // a permanent delete follows a soft one
}

// apicurio starts Apicurio's registry, in memory.
func apicurio(t *testing.T) outside {
	t.Helper()
	address := harness.FreeAddr(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("java", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-Djava.io.tmpdir="+dir, "-Dquarkus.http.host=127.0.0.1",
		"-Dquarkus.http.port="+port, "-jar", filepath.Join(foreign.Root(), ".cache", "apicurio", "runner.jar"))
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		<-ended
	})
	url := "http://" + address + "/apis/ccompat/v7"
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for {
		if answers(ctx, url+"/subjects") {
			return outside{url: url, refusal: "Incompatible artifact"}
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case err := <-ended:
			ended <- err
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("Apicurio ended: %v\n%s", err, text)
		case <-ctx.Done():
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("Apicurio does not answer\n%s", text)
		}
	}
}

func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// TestExternalRegistries runs kelp schema, whose client is the one of kelp serve, against registries of others: all three formats
// with references, levels, what is refused and what is not there, and payloads whose schemas they keep.
func TestExternalRegistries(t *testing.T) {
	p := start(t)
	t.Run("kelp", func(t *testing.T) {
		useRegistry(t, p.broker.Binary(), outside{url: p.http, refusal: "incompatible with an earlier schema", permanently: true})
	})
	t.Run("apicurio", func(t *testing.T) { useRegistry(t, p.broker.Binary(), apicurio(t)) })
}

func useRegistry(t *testing.T, binary string, r outside) {
	dir := t.TempDir()
	f := func(code int, want string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"schema", "--timeout", "60s", "--registry", r.url}, args...)...)
		out, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), want) {
			t.Errorf("kelp schema %v: exit code %d, want %d with %q: %s (%v)", args, got, code, want, out, err)
		}
	}
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	record := func(more string) string {
		return fmt.Sprintf(`{"type":"record","name":"R","fields":[{"name":"a","type":"int"}%s]}`, more)
	}
	first, breaks := file("first.avsc", record("")), file("breaks.avsc", record(`,{"name":"b","type":"int"}`))
	second := file("second.avsc", record(`,{"name":"b","type":"int","default":0}`))
	f(0, "version 1 has id 1", "register", "r-value", first)
	f(0, "version 1 has id 1", "register", "r-value", first)
	f(0, "FULL", "compat", "r-value", "full")
	f(1, "READER_FIELD_MISSING_DEFAULT_VALUE", "check", "--subject", "r-value", breaks)
	f(1, r.refusal, "register", "r-value", breaks)
	f(0, "version 2 has id 2", "register", "r-value", second)
	f(0, "version 1 has id 3", "register", "u-value", file("u.avsc", `{"type":"record","name":"U","fields":[{"name":"r","type":"R"}]}`),
		"--ref", "R=r-value:2")
	f(0, "version 1 has id 4", "register", "a.proto", file("a.proto", "syntax = \"proto3\";\npackage p;\nmessage A { map<string, int32> m = 1; }\n"))
	f(0, "version 1 has id 5", "register", "b-value", file("b.proto", "syntax = \"proto3\";\nimport \"a.proto\";\nmessage B { p.A a = 1; }\n"),
		"--ref", "a.proto=a.proto:1")
	f(0, "version 1 has id 6", "register", "j-value", file("j.json", `{"type":"object","properties":{"a":{"type":"integer"}}}`))
	f(0, "r-value\nu-value", "list")
	f(0, "1\n2", "list", "r-value")
	f(0, `"version": 1`, "get", "u-value", "-o", "json")
	f(0, `"name":"R"`, "get", "--id", "1")
	f(1, "", "get", "--id", "999")
	f(1, "", "get", "nothing")
	f(0, `{"a":7}`, "decode", "--hex", "00000000010e")
	f(0, `{"r":{"a":7,"b":1}}`, "decode", "--hex", "00000000030e02")
	f(0, `{"a":{"m":{"a":5}}}`, "decode", "--hex", "0000000005000a070a050a01611005")
	f(0, `{"a":1}`, "decode", "--hex", "00000000067b2261223a317d")
	f(1, "", "decode", "--hex", "00000000067b2261223a2231227d")
	f(0, "deleted j-value version 1", "delete", "j-value")
	if r.permanently {
		f(0, "deleted j-value version 1", "delete", "j-value", "--permanent")
	}
}
