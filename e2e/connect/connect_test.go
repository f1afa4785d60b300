// Package connect runs Kafka Connect, distributed and with exactly-once sources, against the server: a file is read into a
// topic and the topic is written to a file.
//
// The invariant: a reader of committed records finds every line of the source file once and in order, however often the
// worker and the server are killed on the way. The file sink writes each line at least once.
package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/foreign"
	"kelp/e2e/franz"
	"kelp/e2e/harness"
)

const (
	deadline = 4 * time.Minute
	lines    = 200  // in each of three rounds
	logged   = 8000 // bytes of the worker's log that a failure shows
)

// worker is a Connect process and its REST address.
type worker struct {
	t    *testing.T
	ctx  context.Context
	cmd  *exec.Cmd
	rest string
	log  string
	args []string
}

func newWorker(ctx context.Context, t *testing.T, addr string) *worker {
	t.Helper()
	rest := "http://" + harness.FreeAddr(t)
	dir := t.TempDir()
	properties := filepath.Join(dir, "worker.properties")
	text := "bootstrap.servers=" + addr + "\ngroup.id=connect\nlisteners=" + rest + "\n" +
		"exactly.once.source.support=enabled\n" +
		"config.storage.topic=connect-configs\noffset.storage.topic=connect-offsets\nstatus.storage.topic=connect-status\n" +
		"config.storage.replication.factor=1\noffset.storage.replication.factor=1\nstatus.storage.replication.factor=1\n" +
		"offset.storage.partitions=2\nstatus.storage.partitions=1\n" +
		"key.converter=org.apache.kafka.connect.storage.StringConverter\n" +
		"value.converter=org.apache.kafka.connect.storage.StringConverter\n" +
		"consumer.isolation.level=read_committed\nconsumer.session.timeout.ms=6000\nconsumer.heartbeat.interval.ms=500\n" +
		"session.timeout.ms=6000\nheartbeat.interval.ms=500\nscheduled.rebalance.max.delay.ms=0\noffset.flush.interval.ms=500\n" +
		"plugin.discovery=service_load\n"
	if err := os.WriteFile(properties, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	kafka := filepath.Join(foreign.Root(), ".cache", "kafka")
	path := filepath.Join(kafka, "libs", "*") + ":" + filepath.Join(kafka, "streams", "*")
	return &worker{t: t, ctx: ctx, rest: rest, log: filepath.Join(dir, "log.txt"), args: []string{
		"-Xmx512m", "-cp", path, "org.apache.kafka.connect.cli.ConnectDistributed", properties,
	}}
}

func (w *worker) start() {
	w.t.Helper()
	out, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer out.Close()
	w.cmd = exec.Command("java", w.args...)
	w.cmd.Stdout, w.cmd.Stderr = out, out
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *worker) kill() {
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
}

// create asks until the worker takes the connector.
func (w *worker) create(name string, config map[string]string) {
	w.t.Helper()
	body, err := json.Marshal(config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.eventually("create "+name, func() error {
		req, err := http.NewRequestWithContext(w.ctx, http.MethodPut, w.rest+"/connectors/"+name+"/config", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			return fmt.Errorf("status %s", resp.Status)
		}
		return nil
	})
}

// status is what the worker says of a connector and its tasks, for the log of a failure.
func (w *worker) status(name string) string {
	resp, err := http.Get(w.rest + "/connectors/" + name + "/status")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// eventually tries until it works or the test's time is up.
func (w *worker) eventually(what string, try func() error) {
	w.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			w.t.Fatalf("%s: %v", what, err)
		}
	}
}

func TestFileSourceExactlyOnceThroughKillsOfBothSides(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	b := harness.Start(t)
	if err := (franz.Client{Addr: b.Addr}).CreateTopic(ctx, "lines", 1); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source, sink := filepath.Join(dir, "source.txt"), filepath.Join(dir, "sink.txt")
	var want []string
	write := func() {
		t.Helper()
		f, err := os.OpenFile(source, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range lines {
			want = append(want, fmt.Sprint("line ", len(want)))
			if _, err := fmt.Fprintln(f, want[len(want)-1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumeTopics("lines"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var got []string
	until := func(n int) {
		t.Helper()
		for len(got) < n {
			fetches := client.PollFetches(ctx)
			if err := ctx.Err(); err != nil {
				t.Fatalf("%d of %d lines: %v", len(got), n, err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if len(got) >= len(want) || string(r.Value) != want[len(got)] {
					t.Fatalf("record %d at offset %d is %q", len(got), r.Offset, r.Value)
				}
				got = append(got, string(r.Value))
			})
		}
	}
	write()
	w := newWorker(ctx, t, b.Addr)
	w.start()
	defer func() {
		if t.Failed() {
			t.Log(w.status("source"), w.status("sink"))
		}
		w.kill()
		if t.Failed() {
			text, _ := os.ReadFile(w.log)
			t.Logf("%s", text[max(0, len(text)-logged):])
		}
	}()
	w.create("source", map[string]string{
		"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": "1", "file": source, "topic": "lines",
		"exactly.once.support": "required", "transaction.boundary": "poll",
	})
	w.create("sink", map[string]string{
		"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "1", "file": sink, "topics": "lines",
	})
	until(lines)
	w.kill()
	write()
	w.start()
	until(2 * lines)
	write()
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	write()
	if err := b.Resume(); err != nil {
		t.Fatal(err)
	}
	until(4 * lines)
	w.eventually("the sink has every line", func() error {
		text, err := os.ReadFile(sink)
		if err != nil {
			return err
		}
		all := strings.Split(string(text), "\n")
		for _, line := range want {
			if !slices.Contains(all, line) {
				return fmt.Errorf("%q is missing among %d", line, len(all))
			}
		}
		return nil
	})
}
