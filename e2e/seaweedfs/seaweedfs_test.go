// Package seaweedfs runs Kelp with its records on a real SeaweedFS.
package seaweedfs

import (
	"os"
	"os/exec"
	"testing"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
	"kelp/e2e/suite"
)

func on(t *testing.T, w *harness.SeaweedFS, folder string) *harness.Broker {
	t.Helper()
	b, err := harness.OpenWith(harness.Kelp, t.TempDir(), harness.Options{KelpFlags: []string{"--store", w.Store(folder)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestSuite(t *testing.T) {
	b := on(t, harness.StartSeaweedFS(t), "kelp")
	suite.Run(t, b, franz.Client{Addr: b.Addr}, suite.Options{Name: "franz", Codecs: suite.Codecs, Nulls: true})
}

// The storage contract's own suite, as a test of the main module.
func TestConformance(t *testing.T) {
	w := harness.StartSeaweedFS(t)
	c := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-tags", "seaweedfs", "-run", "TestConformanceOnSeaweedFS", "./internal/storage/seaweedfs")
	c.Dir, c.Env = "../..", append(os.Environ(), "KELP_TEST_SEAWEEDFS="+w.Master)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
