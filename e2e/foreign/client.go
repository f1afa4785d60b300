// Package foreign adapts client libraries of other languages to the client suite. Each has a driver, a small program in
// drivers/ that reads one request as a line of JSON and answers with one line, so that the suite of the Go clients runs
// with confluent-kafka (librdkafka), kafkajs and Apache Kafka's Java client unchanged.
package foreign

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"kelp/e2e/suite"
)

// KafkaJSCodecs are those that kafkajs itself brings; the others are plug-ins of third parties.
var KafkaJSCodecs = suite.Codecs[:2]

// Client implements suite.Client with a driver process.
type Client struct {
	addr  string
	in    io.Writer
	lines chan []byte
}

// request is one line to a driver. Bytes are base64, as encoding/json has them; null stays null.
type request struct {
	Op         string   `json:"op"`
	Addr       string   `json:"addr"`
	Topic      string   `json:"topic,omitempty"`
	Group      string   `json:"group,omitempty"`
	Codec      string   `json:"codec,omitempty"`
	Partition  int32    `json:"partition"`
	Partitions int      `json:"partitions,omitempty"`
	From       int64    `json:"from"`
	N          int      `json:"n,omitempty"`
	Records    []record `json:"records,omitempty"`
}

type record struct {
	Partition   int32    `json:"partition"`
	Offset      int64    `json:"offset"`
	TimestampMs int64    `json:"ts"`
	Key         []byte   `json:"key"`
	Value       []byte   `json:"value"`
	Headers     []header `json:"headers"`
}

type header struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

type answer struct {
	Error   string         `json:"error"`
	Records []record       `json:"records"`
	Offset  int64          `json:"offset"`
	Topics  map[string]int `json:"topics"`
	Results []string       `json:"results"`
}

// Root is the top folder of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Commands are how the drivers are started; the programs come from e2e/install.
func Commands() map[string][]string {
	cache, drivers := filepath.Join(Root(), ".cache"), filepath.Join(Root(), "e2e", "foreign", "drivers")
	return map[string][]string{
		"confluent": {filepath.Join(cache, "python", "bin", "python"), filepath.Join(drivers, "confluent.py")},
		"kafkajs":   {"node", filepath.Join(drivers, "kafkajs.js"), filepath.Join(cache, "node", "node_modules")},
		"java":      {"java", "-Xmx512m", "-cp", filepath.Join(cache, "kafka", "libs", "*"), filepath.Join(drivers, "Driver.java")},
	}
}

// Open starts a driver and ends it with the test.
func Open(tb testing.TB, name, addr string) *Client {
	tb.Helper()
	command := Commands()[name]
	if _, err := exec.LookPath(command[0]); err != nil {
		tb.Fatalf("%s is not installed, run e2e/install/all.sh: %v", name, err)
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	c := &Client{addr: addr, in: in, lines: make(chan []byte)}
	go func() {
		defer close(c.lines)
		r := bufio.NewReaderSize(out, 1<<20)
		for {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			c.lines <- line
		}
	}()
	tb.Cleanup(func() {
		_ = in.Close()
		for range c.lines { // what nobody waited for
		}
		_ = cmd.Wait()
	})
	return c
}

func (c *Client) ask(ctx context.Context, r request) (answer, error) {
	r.Addr = c.addr
	line, err := json.Marshal(r)
	if err != nil {
		return answer{}, err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return answer{}, fmt.Errorf("the driver has ended: %w", err)
	}
	select {
	case <-ctx.Done():
		return answer{}, fmt.Errorf("%s: %w", r.Op, ctx.Err())
	case line, ok := <-c.lines:
		if !ok {
			return answer{}, errors.New("the driver has ended")
		}
		var a answer
		if err := json.Unmarshal(line, &a); err != nil {
			return a, fmt.Errorf("driver said %.200q: %w", line, err)
		}
		if a.Error != "" {
			return a, errors.New(a.Error)
		}
		return a, nil
	}
}

// Produce implements suite.Client.
func (c *Client) Produce(ctx context.Context, topic, codec string, records []suite.Record) error {
	_, err := c.ask(ctx, request{Op: "produce", Topic: topic, Codec: codec, Records: written(records)})
	return err
}

// ProduceEach lets one idempotent producer send record after record, with a transactional id each in a transaction that is
// then committed or, when the record was refused, aborted. It gives what the client said of each, empty for success.
func (c *Client) ProduceEach(ctx context.Context, topic, codec, transactionalID string, records []suite.Record) ([]string, error) {
	a, err := c.ask(ctx, request{Op: "each", Topic: topic, Codec: codec, Group: transactionalID, Records: written(records)})
	return a.Results, err
}

func written(records []suite.Record) []record {
	var all []record
	for _, in := range records {
		out := record{Partition: in.Partition, TimestampMs: in.TimestampMs, Key: in.Key, Value: in.Value, Headers: []header{}}
		for _, h := range in.Headers {
			out.Headers = append(out.Headers, header(h))
		}
		all = append(all, out)
	}
	return all
}

func (c *Client) read(ctx context.Context, r request) ([]suite.Record, error) {
	a, err := c.ask(ctx, r)
	var out []suite.Record
	for _, in := range a.Records {
		rec := suite.Record{Partition: in.Partition, Offset: in.Offset, TimestampMs: in.TimestampMs, Key: in.Key, Value: in.Value}
		for _, h := range in.Headers {
			rec.Headers = append(rec.Headers, suite.Header(h))
		}
		out = append(out, rec)
	}
	return out, err
}

// Consume implements suite.Client.
func (c *Client) Consume(ctx context.Context, topic string, partition int32, from int64, n int) ([]suite.Record, error) {
	return c.read(ctx, request{Op: "consume", Topic: topic, Partition: partition, From: from, N: n})
}

// ConsumeGroup implements suite.Client.
func (c *Client) ConsumeGroup(ctx context.Context, group, topic string, n int) ([]suite.Record, error) {
	return c.read(ctx, request{Op: "group", Topic: topic, Group: group, N: n})
}

// OffsetAt implements suite.Client.
func (c *Client) OffsetAt(ctx context.Context, topic string, ms int64) (int64, error) {
	a, err := c.ask(ctx, request{Op: "offset_at", Topic: topic, From: ms})
	return a.Offset, err
}

// CreateTopic implements suite.Client.
func (c *Client) CreateTopic(ctx context.Context, topic string, partitions int) error {
	_, err := c.ask(ctx, request{Op: "create", Topic: topic, Partitions: partitions})
	return err
}

// DeleteTopic implements suite.Client.
func (c *Client) DeleteTopic(ctx context.Context, topic string) error {
	_, err := c.ask(ctx, request{Op: "delete", Topic: topic})
	return err
}

// Topics implements suite.Client.
func (c *Client) Topics(ctx context.Context) (map[string]int, error) {
	a, err := c.ask(ctx, request{Op: "topics"})
	return a.Topics, err
}
