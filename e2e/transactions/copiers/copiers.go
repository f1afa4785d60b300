// Package copiers copies a topic to another with a transactional client, each record exactly once: read, write and commit
// offsets in one transaction. Some transactions are aborted on purpose before they are done again.
//
// A copier goes on through failures until it is stopped. What it copied is checked by Check: a reader of committed
// records must find every value of the source once and in order, and nothing else.
package copiers

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/foreign"
)

// Partitions is how many partitions both topics of a copy have.
const Partitions = 2

// Copy names what a copier works on.
type Copy struct{ Addr, ID, Group, From, To string }

// Copier is a copier at work.
type Copier struct {
	stop func()

	mu   sync.Mutex
	said []string
}

// Stop ends the copier and waits for it.
func (c *Copier) Stop() { c.stop() }

func (c *Copier) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.said = append(c.said, fmt.Sprintf(format, args...)); len(c.said) > kept {
		c.said = c.said[1:]
	}
}

// Said is what the copier said last, for the log of a failure.
func (c *Copier) Said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.said, "\n")
}

const kept = 80

// Start lets a client copy, one of franz, sarama, confluent and java, until Stop or the end of the test.
func Start(tb testing.TB, name string, job Copy) *Copier {
	tb.Helper()
	c := &Copier{}
	var once sync.Once
	end := func(stop func()) {
		c.stop = func() { once.Do(stop) }
		tb.Cleanup(c.stop)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	switch name {
	case "franz":
		wg.Go(func() { franz(ctx, c, job) })
		end(func() { cancel(); wg.Wait() })
	case "sarama":
		wg.Go(func() { saramaCopy(ctx, c, job) })
		end(func() { cancel(); wg.Wait() })
	default:
		cancel()
		process(tb, c, end, name, job)
	}
	return c
}

// process starts the program of a client of another language.
func process(tb testing.TB, c *Copier, end func(func()), name string, job Copy) {
	tb.Helper()
	dir, command := filepath.Join(foreign.Root(), "e2e", "transactions", "copiers"), foreign.Commands()[name]
	file := map[string]string{"confluent": "copier.py", "java": "Copier.java"}[name]
	args := append(command[1:len(command)-1:len(command)-1], filepath.Join(dir, file), job.Addr, job.ID, job.Group, job.From, job.To)
	p := &program{c: c, command: command[0], args: args, stop: make(chan struct{}), done: make(chan struct{})}
	go p.run()
	end(func() {
		close(p.stop)
		<-p.done
	})
}

// program is a process that is started again when it ends by itself, as a supervisor would.
type program struct {
	c       *Copier
	command string
	args    []string
	stop    chan struct{}
	done    chan struct{}
}

func (p *program) run() {
	defer close(p.done)
	for {
		select {
		case <-p.stop:
			return
		default:
		}
		if err := p.once(); err != nil {
			p.c.say("%v", err)
			select {
			case <-p.stop:
			case <-time.After(time.Second):
			}
		}
	}
}

// once runs the process until it ends or is stopped, for which it has a while before it is killed.
func (p *program) once() error {
	cmd := exec.Command(p.command, p.args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	said := make(chan struct{})
	go func() {
		defer close(said)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.c.say("%s", s.Text())
		}
	}()
	select {
	case <-said:
	case <-p.stop:
		_ = in.Close()
		select {
		case <-said:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-said
		}
	}
	return cmd.Wait()
}

// Fill writes n ascending numbers to each partition of a topic, the first of which is from.
func Fill(ctx context.Context, client *kgo.Client, topic string, from, n int) error {
	var records []*kgo.Record
	for i := from; i < from+n; i++ {
		for p := range int32(Partitions) {
			records = append(records, &kgo.Record{Topic: topic, Partition: p, Value: []byte(strconv.Itoa(i))})
		}
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

// Check reads committed records of a copy until it has the numbers from 0 to n of every partition, and fails at once when
// one comes twice, out of order, or should not be there at all.
func Check(ctx context.Context, addr, topic string, n int) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	var next [Partitions]int
	for {
		done := true
		for _, at := range next {
			done = done && at == n
		}
		if done {
			return nil
		}
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("%s has %v of %d: %w", topic, next, n, ctx.Err())
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if string(r.Value) != strconv.Itoa(next[r.Partition]) {
				return fmt.Errorf("%s/%d: offset %d holds %q, want %d", topic, r.Partition, r.Offset, r.Value, next[r.Partition])
			}
			next[r.Partition]++
		}
	}
}
