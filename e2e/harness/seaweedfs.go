package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// SeaweedFS is a real SeaweedFS in one process: master, volume server and filer.
type SeaweedFS struct {
	Master string // host:port.grpcPort

	dir    string
	web    string // the master's HTTP address
	args   []string
	cmd    *exec.Cmd
	exited chan error
}

// StartSeaweedFS starts a fresh one and ends it with the test.
func StartSeaweedFS(tb testing.TB) *SeaweedFS {
	tb.Helper()
	w, err := OpenSeaweedFS(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = w.Kill() })
	return w
}

// OpenSeaweedFS starts one with its data in dir. Further arguments are those of weed server.
func OpenSeaweedFS(dir string, args ...string) (*SeaweedFS, error) {
	w := &SeaweedFS{dir: dir}
	w.args = append([]string{
		"server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=" + w.dir, "-filer", "-master.telemetry=false", "-master.electionTimeout=1s",
		"-master.heartbeatInterval=100ms", "-volume.preStopSeconds=0", "-volume.max=40", "-master.volumeSizeLimitMB=1024",
	}, args...)
	for _, part := range []string{"master", "volume", "filer"} {
		ports := [2]int{}
		for i := range ports {
			p, err := freePort()
			if err != nil {
				return w, err
			}
			ports[i] = p
		}
		w.args = append(w.args, fmt.Sprintf("-%s.port=%d", part, ports[0]), fmt.Sprintf("-%s.port.grpc=%d", part, ports[1]))
		if part == "master" {
			w.web = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0]))
			w.Master = fmt.Sprintf("%s.%d", w.web, ports[1])
		}
	}
	return w, w.Resume()
}

// Store is what --store takes to keep a log in a folder of this SeaweedFS.
func (w *SeaweedFS) Store(folder string) string { return "seaweedfs://" + w.Master + "/" + folder }

// Pid is the process id of the running SeaweedFS.
func (w *SeaweedFS) Pid() int { return w.cmd.Process.Pid }

// Kill ends the process by SIGKILL.
func (w *SeaweedFS) Kill() error {
	if w.cmd == nil {
		return nil
	}
	if err := w.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-w.exited
	w.cmd = nil
	return nil
}

// weed is KELP_E2E_WEED or the binary that the installation script puts into the cache folder.
func weed() string {
	if binary := os.Getenv("KELP_E2E_WEED"); binary != "" {
		return binary
	}
	return filepath.Join(root(), ".cache", "seaweedfs", "bin", "weed")
}

// Resume starts it, for the first time or again after Kill, and waits until it takes files.
func (w *SeaweedFS) Resume() error {
	out, err := os.OpenFile(filepath.Join(w.dir, "weed.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	w.cmd = exec.Command(weed(), w.args...)
	w.cmd.Stdout, w.cmd.Stderr = out, out
	if err := w.cmd.Start(); err != nil {
		return fmt.Errorf("start weed, which e2e/install/seaweedfs.sh installs: %w", err)
	}
	w.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(w.cmd, w.exited)
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		if w.takesFiles(ctx) {
			return nil
		}
		select {
		case err := <-w.exited:
			w.exited <- err
			cancel()
		case <-ctx.Done():
			text, _ := os.ReadFile(filepath.Join(w.dir, "weed.log"))
			return errors.Join(fmt.Errorf("weed is not ready\n%s", text[max(0, len(text)-4000):]), w.Kill())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// takesFiles says whether the master assigns file ids and knows a filer.
func (w *SeaweedFS) takesFiles(ctx context.Context) bool {
	get := func(url, want string) bool {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return false
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b := make([]byte, 4096)
		n, _ := resp.Body.Read(b)
		return resp.StatusCode == http.StatusOK && strings.Contains(string(b[:n]), want)
	}
	filer := ""
	for _, a := range w.args {
		if port, ok := strings.CutPrefix(a, "-filer.port="); ok {
			filer = "http://127.0.0.1:" + port + "/"
		}
	}
	return get("http://"+w.web+"/dir/assign", `"fid"`) && get(filer, "")
}
