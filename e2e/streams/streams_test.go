// Package streams runs Kafka Streams with exactly_once_v2 against the server: word counts through a repartition topic and a
// state store with its changelog.
//
// The invariant: nothing is cached, so the output has for every word the counts 1, 2, 3, ... once each and in order, however
// often the application and the server are killed on the way.
package streams

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/foreign"
	"kelp/e2e/franz"
	"kelp/e2e/harness"
)

const (
	deadline  = 4 * time.Minute
	sentences = 240 // in each of three rounds
	perLine   = 5
)

var words = strings.Fields("alpha beta gamma delta epsilon zeta eta theta iota kappa")

// application is the Java process; lines are what it says.
type application struct {
	cmd   *exec.Cmd
	lines chan string
	tail  []string
}

func run(ctx context.Context, t *testing.T, addr, state string) *application {
	t.Helper()
	kafka := filepath.Join(foreign.Root(), ".cache", "kafka")
	path := filepath.Join(kafka, "libs", "*") + ":" + filepath.Join(kafka, "streams", "*")
	cmd := exec.CommandContext(ctx, "java", "-Xmx512m", "-Djava.io.tmpdir="+t.TempDir(), "-cp", path,
		filepath.Join(foreign.Root(), "e2e", "streams", "WordCount.java"), addr, state)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a := &application{cmd: cmd, lines: make(chan string, 10_000)}
	go func() {
		defer close(a.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case a.lines <- s.Text():
			default: // nobody waits for so many
			}
		}
	}()
	return a
}

// await waits until the application says a line.
func (a *application) await(ctx context.Context, t *testing.T, want string) {
	t.Helper()
	for {
		select {
		case line, more := <-a.lines:
			if !more {
				t.Fatalf("the application ended:\n%s", strings.Join(a.tail, "\n"))
			}
			if a.tail = append(a.tail, line); len(a.tail) > 60 {
				a.tail = a.tail[1:]
			}
			if line == want {
				return
			}
		case <-ctx.Done():
			t.Fatalf("no %q:\n%s", want, strings.Join(a.tail, "\n"))
		}
	}
}

func (a *application) kill() {
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
}

// counts follows the output, committed records only.
type counts struct {
	client *kgo.Client
	of     map[string]int64
	total  int64
}

// until reads until so many words have been counted, and checks every count.
func (c *counts) until(ctx context.Context, t *testing.T, total int64) {
	t.Helper()
	for c.total < total {
		fetches := c.client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("%d of %d words are counted: %v", c.total, total, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			word, n := string(r.Key), int64(binary.BigEndian.Uint64(r.Value))
			if n != c.of[word]+1 {
				t.Fatalf("%s is counted %d after %d, at %d/%d", word, n, c.of[word], r.Partition, r.Offset)
			}
			c.of[word] = n
			c.total++
		})
	}
}

func TestWordCountSurvivesKillsOfBothSides(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	b := harness.Start(t)
	for _, topic := range []string{"sentences", "counts"} {
		if err := (franz.Client{Addr: b.Addr}).CreateTopic(ctx, topic, 2); err != nil {
			t.Fatal(err)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumeTopics("counts"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	c := &counts{client: client, of: map[string]int64{}}
	want := map[string]int64{}
	write := func() int64 {
		for n := range sentences {
			var line []string
			for range perLine {
				w := words[rand.IntN(len(words))]
				want[w]++
				line = append(line, w)
			}
			record := &kgo.Record{Topic: "sentences", Key: []byte(fmt.Sprint(n)), Value: []byte(strings.Join(line, " "))}
			client.Produce(ctx, record, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
		if err := client.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		var total int64
		for _, n := range want {
			total += n
		}
		return total
	}
	state := t.TempDir()
	app := run(ctx, t, b.Addr, state)
	defer func() { app.kill() }()
	app.await(ctx, t, "state RUNNING")
	write()
	c.until(ctx, t, perLine) // it is in the middle of its work
	app.kill()
	app = run(ctx, t, b.Addr, state)
	write()
	app.await(ctx, t, "state RUNNING")
	c.until(ctx, t, sentences*perLine+perLine)
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.Resume(); err != nil {
		t.Fatal(err)
	}
	c.until(ctx, t, write())
	for _, w := range words {
		if c.of[w] != want[w] {
			t.Errorf("%s: %d, want %d", w, c.of[w], want[w])
		}
	}
	if t.Failed() {
		t.Log(strings.Join(app.tail, "\n"))
	}
}
