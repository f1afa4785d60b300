package seaweedmq

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kelp/e2e/foreign"
	"kelp/e2e/harness"
)

// What make run-seaweedmq does, once.
func TestDemo(t *testing.T) {
	binary := os.Getenv("KELP_E2E_BINARY")
	if binary == "" {
		binary = filepath.Join(t.TempDir(), "kelp")
		c := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/kelp")
		c.Dir = foreign.Root()
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "sh", filepath.Join(foreign.Root(), "e2e", "install", "run-seaweedmq.sh"), "once")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) } // it ends what it started
	c.WaitDelay = 10 * time.Second
	data := t.TempDir()
	c.Env = append(os.Environ(), "DEMO_DATA="+data, "DEMO_KELP="+binary, "DEMO_WEED="+harness.WeedBinary())
	for names, choose := range map[string]func() (int, error){
		"MASTER VOLUME FILER": harness.FreeWeedPort, "BROKER AGENT KAFKA REGISTRY HTTP": harness.FreePort,
	} {
		for name := range strings.FieldsSeq(names) {
			port, err := choose()
			if err != nil {
				t.Fatal(err)
			}
			c.Env = append(c.Env, "DEMO_"+name+"="+strconv.Itoa(port))
		}
	}
	out, err := c.CombinedOutput()
	if err != nil {
		weed, _ := os.ReadFile(filepath.Join(data, "weed.log"))
		t.Fatalf("%v\n%s\n%s", err, out, weed[max(0, len(weed)-3000):])
	}
	for _, want := range []string{
		`{"customer":"Ada","total":12.5,`, `"customer":"Bea","total":99.9`,
		`"customer":"Cleo","total":null`, "kafka.orders  structured  true       3          0    3",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s is not in\n%s", want, out)
		}
	}
}
