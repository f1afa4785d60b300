// Package harness starts the server that the end-to-end tests speak to: the kelp binary built from this tree or, with
// KELP_E2E_TARGET=kafka, the real Apache Kafka from the cache folder.
//
// KELP_E2E_STORE=seaweedfs://master/folder puts the log of each kelp into a fresh folder below that one.
//
// It hides how each of the two is configured, started, awaited and ended. Its main type is Broker. A broker keeps its
// address and its data over Restart and Kill, so that a client sees one server that went away and came back.
package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Kind names a server that can be started.
type Kind string

// The servers that can be started.
const (
	Kelp  Kind = "kelp"
	Kafka Kind = "kafka"
	// Gateway is SeaweedFS's own Kafka gateway: benchmarks compare with it, and what it has written is imported.
	Gateway Kind = "gateway"
)

const startTimeout = 3 * time.Minute // a JVM on a busy machine

// Target is the server that the environment chose for this run.
func Target() Kind {
	if os.Getenv("KELP_E2E_TARGET") == string(Kafka) {
		return Kafka
	}
	return Kelp
}

// Broker is one server process with its data folder.
type Broker struct {
	Addr    string
	Kind    Kind
	Started time.Duration // from the start of the process to its first answer

	o      Options
	dir    string
	store  string // what --store gets; empty: a folder
	binary string
	cmd    *exec.Cmd
	exited chan error
}

// Start starts the chosen server on a fresh folder and ends it with the test.
func Start(tb testing.TB) *Broker {
	tb.Helper()
	b, err := Open(Target(), tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Errorf("stop %s: %v", b.Kind, err)
		}
	})
	return b
}

// Options add to how a server is started; each field is for one kind.
type Options struct {
	KelpFlags       []string
	KelpPrefix      []string // of Kelp's command line: what starts it in surroundings of its own
	KafkaProperties []string // key=value, after those that every test gets
	KafkaJVM        []string // in place of a heap of 1 GiB
	GatewayFlags    []string // of weed mq.kafka.gateway, after its addresses
	Standby         bool     // it may have to wait for its turn: starting does not wait for an answer
}

// Open starts a server of the kind with its data in dir.
func Open(kind Kind, dir string) (*Broker, error) { return OpenWith(kind, dir, Options{}) }

// OpenWith is Open with options.
func OpenWith(kind Kind, dir string, o Options) (*Broker, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	b := &Broker{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Kind: kind, o: o, dir: dir}
	switch kind {
	case Kafka:
		err = b.formatKafka(port)
	case Kelp:
		b.store = ownStore(o.KelpFlags)
		err = b.buildKelp()
	case Gateway:
	}
	if err != nil {
		return nil, err
	}
	return b, b.Resume()
}

// Resume starts the process again after Kill or Stop and waits until it accepts connections.
func (b *Broker) Resume() error {
	b.cmd = b.command()
	out, err := os.OpenFile(b.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the server's log: %w", err)
	}
	defer out.Close()
	b.cmd.Stdout, b.cmd.Stderr = out, out
	began := time.Now()
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", b.Kind, err)
	}
	b.exited = make(chan error, 1)
	go func(cmd *exec.Cmd, exited chan<- error) { exited <- cmd.Wait() }(b.cmd, b.exited)
	if b.o.Standby {
		return nil
	}
	if err := b.awaitReady(); err != nil {
		return errors.Join(err, b.Kill())
	}
	b.Started = time.Since(began)
	return nil
}

func (b *Broker) command() *exec.Cmd {
	switch b.Kind {
	case Kafka:
		jvm := b.o.KafkaJVM
		if jvm == nil {
			jvm = []string{"-Xmx1g"}
		}
		return exec.Command("java", append(slices.Clone(jvm), "-cp", kafkaClassPath(), "kafka.Kafka", b.properties())...)
	case Gateway:
		host, port, _ := net.SplitHostPort(b.Addr)
		return exec.Command(weed(), append([]string{"mq.kafka.gateway", "-ip=" + host, "-ip.bind=" + host, "-port=" + port}, b.o.GatewayFlags...)...)
	case Kelp:
	}
	args := []string{
		"serve", "--data", filepath.Join(b.dir, "data"), "--listen", b.Addr, "--http", "127.0.0.1:0", "--registry", "",
		"--group-initial-rebalance-delay", "0s", // as Kafka is started here
	}
	if b.store != "" {
		args = append(args, "--store", b.store)
	}
	line := slices.Concat(b.o.KelpPrefix, []string{b.binary}, args, b.o.KelpFlags)
	return exec.Command(line[0], line[1:]...)
}

// Restart ends the process by SIGTERM and starts it again on the same address and data.
func (b *Broker) Restart() error {
	if err := b.Close(); err != nil {
		return err
	}
	return b.Resume()
}

// Kill ends the process by SIGKILL.
func (b *Broker) Kill() error {
	if b.cmd == nil {
		return nil
	}
	if err := b.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill: %w", err)
	}
	<-b.exited
	b.cmd = nil
	return nil
}

// Close ends the process by SIGTERM. A kelp that does not exit with 0 is an error.
func (b *Broker) Close() error {
	if b.cmd == nil {
		return nil
	}
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("terminate: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	select {
	case err := <-b.exited:
		b.cmd = nil
		if err != nil && b.Kind == Kelp {
			return fmt.Errorf("kelp after SIGTERM: %w\n%s", err, b.Tail())
		}
		return nil
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s did not end after SIGTERM\n%s", b.Kind, b.Tail()), b.Kill())
	}
}

// Running says whether the process was started and not ended.
func (b *Broker) Running() bool { return b.cmd != nil }

// Pid is the process id of the running server.
func (b *Broker) Pid() int { return b.cmd.Process.Pid }

func (b *Broker) logFile() string    { return filepath.Join(b.dir, "log.txt") }
func (b *Broker) properties() string { return filepath.Join(b.dir, "server.properties") }

// Tail is the end of what the server logged.
func (b *Broker) Tail() string {
	text, err := os.ReadFile(b.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// awaitReady asks for the API versions until an answer comes: a listening socket alone is not a ready server.
func (b *Broker) awaitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-b.exited:
			b.exited <- err
			return fmt.Errorf("%s ended while starting: %w\n%s", b.Kind, err, b.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s\n%s", b.Kind, startTimeout, b.Tail())
		case <-tick.C:
			if b.answers(ctx) {
				return nil
			}
		}
	}
}

// answers sends Metadata v0 for all topics by hand; a broker in the answer means that the server is up.
func (b *Broker) answers(ctx context.Context) bool {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", b.Addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false
	}
	// Size 14; key 3, version 1, correlation 1, client id null, topics empty.
	if _, err := conn.Write([]byte{0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0, 0}); err != nil {
		return false
	}
	var answer [12]byte
	if _, err := conn.Read(answer[:]); err != nil {
		return false
	}
	return answer[11] > 0
}

// Binary is the kelp that runs, for the commands of tests.
func (b *Broker) Binary() string { return b.binary }
