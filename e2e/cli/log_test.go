package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// exitCode runs a command of kelp and gives what it printed and its exit code.
func exitCode(t *testing.T, bin string, args ...string) (string, int) {
	t.Helper()
	out, err := exec.Command(bin, args...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

// TestLogCommands: a log in use is left alone, a damaged batch is named, a dry repair changes nothing, and
// after a repair the rest is served.
func TestLogCommands(t *testing.T) {
	bin, data := binary(t), t.TempDir()
	s := serve(t, bin, nil, "--data", data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
	produce := func(s *server, text string) {
		cmd := exec.Command(bin, "produce", "t", "--server", s.kafka)
		cmd.Stdin = strings.NewReader(text + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if out, code := exitCode(t, bin, "topic", "create", "t", "--server", s.kafka); code != 0 {
		t.Fatal(out)
	}
	for _, text := range []string{"first", "second-to-damage", "third"} {
		produce(s, text)
	}
	folder := filepath.Join(data, "log")
	if out, code := exitCode(t, bin, "log", "inspect", folder); code != 1 || !strings.Contains(out, "in use") {
		t.Errorf("a log in use: %d, %s", code, out)
	}
	stop := func(s *server) {
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		_ = s.cmd.Wait()
	}
	stop(s)
	if out, code := exitCode(t, bin, "log", "verify", folder); code != 0 {
		t.Errorf("a whole log: %d, %s", code, out)
	}
	names, err := filepath.Glob(filepath.Join(folder, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, bytes.Replace(b, []byte("second-to-damage"), []byte("second-to-dAmage"), 1), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		out, code := exitCode(t, bin, "log", "repair", folder)
		if code != 3 || !strings.Contains(out, "offsets 1 to 1") || !strings.Contains(out, "--yes") {
			t.Fatalf("a dry repair: %d, %s", code, out)
		}
	}
	if out, code := exitCode(t, bin, "log", "repair", folder, "--yes"); code != 0 {
		t.Fatalf("repair: %d, %s", code, out)
	}
	s = serve(t, bin, nil, "--data", data, "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
	produce(s, "fourth")
	out, code := exitCode(t, bin, "consume", "t", "--from", "start", "--max", "3", "--server", s.kafka)
	if code != 0 || strings.Contains(out, "second") || !strings.Contains(out, "first") || !strings.Contains(out, "fourth") {
		t.Errorf("consumed %d, %s", code, out)
	}
	stop(s)
}
