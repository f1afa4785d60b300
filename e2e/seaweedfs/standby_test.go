package seaweedfs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kelp/e2e/harness"
)

// page reads a page of a node's HTTP interface.
func page(ctx context.Context, url string) (status int, text string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// process is a kelp that need not become ready.
type process struct {
	cmd    *exec.Cmd
	http   string
	kafka  string
	log    *strings.Builder
	exited chan error
	gone   chan struct{}
}

func begin(t *testing.T, binary string, flags ...string) *process {
	t.Helper()
	p := &process{http: "127.0.0.1:" + freePort(t), kafka: "127.0.0.1:" + freePort(t), log: &strings.Builder{}, exited: make(chan error, 1), gone: make(chan struct{})}
	args := append([]string{"serve", "--data", t.TempDir(), "--listen", p.kafka, "--http", p.http, "--registry", ""}, flags...)
	p.cmd = exec.Command(binary, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.exited <- p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		if <-p.gone; t.Failed() {
			t.Logf("%v\n%s", p.cmd.Args, p.log)
		}
	})
	return p
}

// ends waits for the end of the process and gives its error with what it logged.
func (p *process) ends(ctx context.Context) error {
	select {
	case err := <-p.exited:
		if err != nil {
			return fmt.Errorf("%w\n%s", err, p.log)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := harness.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

// await asks for a page until it has a status and holds a text.
func await(ctx context.Context, t *testing.T, url string, status int, want string) {
	t.Helper()
	for {
		got, text := page(ctx, url)
		if got == status && strings.Contains(text, want) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %d %s, want %d with %q", url, got, text, status, want)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// A node that stands by is alive and not ready, says why, ends when it is asked to, and serves when
// its turn comes. One whose SeaweedFS is not there waits for it.
func TestStandby(t *testing.T) {
	w := harness.StartSeaweedFS(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	active := on(t, w, "kelp")
	standby := begin(t, active.Binary(), "--store", w.Store("kelp"))
	await(ctx, t, "http://"+standby.http+"/readyz", http.StatusServiceUnavailable, "standing by: another node has the store")
	await(ctx, t, "http://"+standby.http+"/healthz", http.StatusOK, "ok")
	if err := standby.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := standby.ends(ctx); err != nil {
		t.Fatalf("a standby that is interrupted: %v", err)
	}
	next := begin(t, active.Binary(), "--store", w.Store("kelp"))
	await(ctx, t, "http://"+next.http+"/readyz", http.StatusServiceUnavailable, "standing by")
	if err := active.Close(); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "http://"+next.http+"/readyz", http.StatusOK, "ok")
	if err := w.Kill(); err != nil {
		t.Fatal(err)
	}
	// Nobody is to restart a node because SeaweedFS is away.
	await(ctx, t, "http://"+next.http+"/healthz", http.StatusOK, "ok")
	early := begin(t, active.Binary(), "--store", w.Store("other"))
	await(ctx, t, "http://"+early.http+"/readyz", http.StatusServiceUnavailable, "waiting for SeaweedFS")
	if err := w.Resume(); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "http://"+early.http+"/readyz", http.StatusOK, "ok")
	for _, p := range []*process{next, early} {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.ends(ctx); err != nil {
			t.Error(err)
		}
	}
}
