package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Cluster is a real SeaweedFS whose parts are processes of their own.
type Cluster struct {
	Masters, Volumes, Filers []*Weed

	dir  string
	o    ClusterOptions
	tb   testing.TB
	next int
}

// ClusterOptions say what a cluster is made of.
type ClusterOptions struct {
	Masters, Volumes, Filers int    // 0: one
	VolumeMax                int    // volumes on each volume server; 0: 40
	VolumeMB                 int    // size of a volume; 0: 1024
	Security                 string // the text of security.toml
	FilerStore               string // the text of filer.toml; empty: each filer has an embedded store
}

// Weed is one process of a cluster.
type Weed struct {
	Addr string // host:port.grpcPort
	HTTP string // host:port
	GRPC string // host:port

	dir        string
	args       []string
	supervised bool // started again when it ends by itself

	mu     sync.Mutex // guards what follows
	cmd    *exec.Cmd  // nil: not started, or killed
	exited chan error
}

// StartCluster starts a fresh one, waits until it takes files and ends it with the test.
func StartCluster(tb testing.TB, o ClusterOptions) *Cluster {
	tb.Helper()
	for _, n := range []*int{&o.Masters, &o.Volumes, &o.Filers} {
		*n = max(1, *n)
	}
	if o.VolumeMax == 0 {
		o.VolumeMax = 40
	}
	if o.VolumeMB == 0 {
		o.VolumeMB = 1024
	}
	c := &Cluster{dir: tb.TempDir(), o: o, tb: tb}
	for range o.Masters {
		c.Masters = append(c.Masters, c.weed("master", "-volumeSizeLimitMB="+strconv.Itoa(o.VolumeMB),
			"-telemetry=false", "-electionTimeout=1s", "-heartbeatInterval=100ms"))
	}
	if o.Masters > 1 {
		for _, m := range c.Masters {
			m.args = append(m.args, "-peers="+c.masters())
		}
	}
	for _, m := range c.Masters {
		c.start(m)
	}
	for range o.Volumes {
		c.AddVolume()
	}
	for range o.Filers {
		c.AddFiler()
	}
	c.Await()
	return c
}

// masters lists them as SeaweedFS does.
func (c *Cluster) masters() string {
	var all []string
	for _, m := range c.Masters {
		all = append(all, m.Addr)
	}
	return strings.Join(all, ",")
}

// Store is what --store takes to keep a log in a folder of this cluster.
func (c *Cluster) Store(folder string) string { return "seaweedfs://" + c.masters() + "/" + folder }

// AddVolume starts one more volume server.
func (c *Cluster) AddVolume() *Weed {
	c.tb.Helper()
	v := c.weed("volume", "-max="+strconv.Itoa(c.o.VolumeMax), "-master="+c.masters(), "-preStopSeconds=0", "-minFreeSpace=0")
	c.Volumes = append(c.Volumes, v)
	c.start(v)
	return v
}

// AddFiler starts one more filer.
func (c *Cluster) AddFiler() *Weed {
	c.tb.Helper()
	f := c.weed("filer", "-master="+c.masters())
	c.Filers = append(c.Filers, f)
	c.start(f)
	return f
}

// weed prepares a process with a folder and ports of its own.
func (c *Cluster) weed(kind string, args ...string) *Weed {
	c.tb.Helper()
	w := &Weed{dir: filepath.Join(c.dir, kind+strconv.Itoa(c.next))}
	c.next++
	if err := os.MkdirAll(w.dir, 0o750); err != nil {
		c.tb.Fatal(err)
	}
	for name, text := range map[string]string{"security.toml": c.o.Security, "filer.toml": c.o.FilerStore} {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
			c.tb.Fatal(err)
		}
	}
	var ports [2]int
	for i := range ports {
		p, err := freePort()
		if err != nil {
			c.tb.Fatal(err)
		}
		ports[i] = p
	}
	w.HTTP, w.GRPC = net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])), net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[1]))
	w.Addr = fmt.Sprintf("%s.%d", w.HTTP, ports[1])
	folder := map[string]string{"master": "-mdir=.", "volume": "-dir=.", "filer": "-defaultStoreDir=."}[kind]
	w.args = append([]string{
		kind, "-ip=127.0.0.1", "-ip.bind=127.0.0.1", fmt.Sprintf("-port=%d", ports[0]), fmt.Sprintf("-port.grpc=%d", ports[1]), folder,
	}, args...)
	return w
}

func (c *Cluster) start(w *Weed) {
	c.tb.Helper()
	if err := w.Resume(); err != nil {
		c.tb.Fatal(err)
	}
	c.tb.Cleanup(func() { _ = w.Kill() })
}

// Await waits until some master leads and assigns file ids, and every filer that runs answers.
func (c *Cluster) Await() {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for _, f := range c.Filers {
		for f.Running() && !answers(ctx, f.HTTP) {
			c.pause(ctx)
		}
	}
	for {
		for _, m := range c.Masters {
			if m.Running() && says(ctx, "http://"+m.HTTP+"/dir/assign", `"fid"`) {
				return
			}
		}
		c.pause(ctx)
	}
}

func (c *Cluster) pause(ctx context.Context) {
	c.tb.Helper()
	select {
	case <-ctx.Done():
		c.tb.Fatalf("the cluster is not ready\n%s", c.Tails())
	case <-time.After(50 * time.Millisecond):
	}
}

// Tails are the ends of what the processes logged.
func (c *Cluster) Tails() string {
	var all strings.Builder
	for _, group := range [][]*Weed{c.Masters, c.Volumes, c.Filers} {
		for _, w := range group {
			text, _ := os.ReadFile(filepath.Join(w.dir, "weed.log"))
			fmt.Fprintf(&all, "--- %v\n%s\n", w.args, text[max(0, len(text)-1500):])
		}
	}
	return all.String()
}

// answers says whether something listens.
func answers(ctx context.Context, addr string) bool {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// says tells whether a page holds a text.
func says(ctx context.Context, url, want string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return resp.StatusCode == http.StatusOK && strings.Contains(string(b), want)
}

// Running says whether the process was started and not killed.
func (w *Weed) Running() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cmd != nil
}

// Resume starts the process, for the first time or again after Kill. It does not wait.
func (w *Weed) Resume() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.resume()
}

// resume starts the process. w.mu is held.
func (w *Weed) resume() error {
	out, err := os.OpenFile(filepath.Join(w.dir, "weed.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(weed(), w.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = w.dir, out, out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start weed, which e2e/install/seaweedfs.sh installs: %w", err)
	}
	exited := make(chan error, 1)
	w.cmd, w.exited = cmd, exited
	go func() {
		exited <- cmd.Wait()
		if w.supervised {
			w.restart(cmd)
		}
	}()
	return nil
}

// restart starts a process again that has ended by itself, after a moment, as a supervisor would.
func (w *Weed) restart(ended *exec.Cmd) {
	time.Sleep(time.Second) //nolint:forbidigo // as supervisors do
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cmd == ended {
		_ = w.resume() // whoever needs it finds out
	}
}

// Kill ends the process by SIGKILL.
func (w *Weed) Kill() error {
	w.mu.Lock()
	cmd, exited := w.cmd, w.exited
	w.cmd = nil
	w.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-exited
	return nil
}

// Signal sends the process a signal, such as SIGSTOP.
func (w *Weed) Signal(s syscall.Signal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cmd.Process.Signal(s)
}

// Tail is the end of what the process logged.
func (w *Weed) Tail() string {
	text, _ := os.ReadFile(filepath.Join(w.dir, "weed.log"))
	return string(text[max(0, len(text)-4000):])
}

// Dir is the folder in which the process runs.
func (w *Weed) Dir() string { return w.dir }

// Shell runs commands of weed shell and gives what they print.
func (c *Cluster) Shell(ctx context.Context, commands ...string) (string, error) {
	cmd := exec.CommandContext(ctx, weed(), "shell", "-master="+c.masters())
	cmd.Dir = c.Masters[0].dir
	cmd.Stdin = strings.NewReader(strings.Join(append(commands, "exit"), "\n") + "\n")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
