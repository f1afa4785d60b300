// Package readme runs what README.md shows.
package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kelp/e2e/harness"
)

// TestExamplesWork takes the shell blocks out of the README and runs them against a server.
func TestExamplesWork(t *testing.T) {
	b := harness.Start(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	want := []string{"k says hello", "hello, kelp", "a=1"}
	if len(blocks) != len(want) {
		t.Fatalf("the README has %d examples, this test knows %d", len(blocks), len(want))
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "kelp"), "./cmd/kelp")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, block := range blocks {
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.ReplaceAll(block[1], "127.0.0.1:9092", b.Addr))
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "KELP_SERVER="+b.Addr, "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want[i]) {
			t.Errorf("%s\n%v, want %q in:\n%s", block[1], err, want[i], out)
		}
	}
}
