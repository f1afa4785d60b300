// Package compaction compacts topics in the server and reads them with a real client. The same script runs against
// Apache Kafka: which offsets survive, markers included, must be the same.
package compaction

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/harness"
)

// The cleaners look for something to clean this often.
var often = harness.Options{
	KelpFlags:       []string{"--cleaner-backoff", "100ms"},
	KafkaProperties: []string{"log.cleaner.backoff.ms=100", "log.cleaner.threads=1", "log.cleaner.dedupe.buffer.size=4194304"},
}

const deadline = 2 * time.Minute // of every wait; they take seconds

// script writes batches to one topic.
type script struct {
	t      *testing.T
	b      *harness.Broker
	topic  string
	client *kgo.Client
	step   int
}

func start(t *testing.T, kind harness.Kind) *harness.Broker {
	t.Helper()
	b, err := harness.OpenWith(kind, t.TempDir(), often)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("stop %s: %v", kind, err)
		}
	})
	return b
}

func newScript(t *testing.T, b *harness.Broker, topic string, configs map[string]string) *script {
	t.Helper()
	s := &script{t: t, b: b, topic: topic}
	s.client = s.dial()
	all := map[string]*string{}
	for k, v := range configs {
		all[k] = kadm.StringPtr(v)
	}
	if _, err := kadm.NewClient(s.client).CreateTopic(t.Context(), 1, 1, all, topic); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *script) dial(o ...kgo.Opt) *kgo.Client {
	s.t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(s.b.Addr), kgo.DefaultProduceTopic(s.topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, o...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// records of "key=value" or, for a tombstone, "key".
func (s *script) records(pairs string) []*kgo.Record {
	var all []*kgo.Record
	for pair := range strings.FieldsSeq(pairs) {
		k, v, isValue := strings.Cut(pair, "=")
		r := &kgo.Record{Key: []byte(k), Timestamp: time.Now()}
		if isValue {
			r.Value = []byte(v)
		}
		all = append(all, r)
	}
	return all
}

// say writes one batch.
func (s *script) say(c *kgo.Client, pairs string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), deadline)
	defer cancel()
	wait := time.NewTimer(5 * time.Millisecond) // beyond segment.ms: each batch begins a segment
	defer wait.Stop()
	<-wait.C
	if err := c.ProduceSync(ctx, s.records(pairs)...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	s.step++
}

// transact writes one batch in a transaction.
func (s *script) transact(c *kgo.Client, how kgo.TransactionEndTry, pairs string) {
	s.t.Helper()
	if err := c.BeginTransaction(); err != nil {
		s.t.Fatal(err)
	}
	s.say(c, pairs)
	before := s.end()
	if err := c.EndTransaction(s.t.Context(), how); err != nil {
		s.t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.end() == before { // the marker may come after the answer
		select {
		case <-tick.C:
		case <-s.t.Context().Done():
			s.t.Fatal("no marker")
		}
	}
}

// end is the high watermark.
func (s *script) end() int64 {
	s.t.Helper()
	ends, err := kadm.NewClient(s.client).ListEndOffsets(s.t.Context(), s.topic)
	if err != nil {
		s.t.Fatal(err)
	}
	end, _ := ends.Lookup(s.topic, 0)
	return end.Offset
}

// read gives "offset:key=value" of all records, and of markers "offset:marker".
func (s *script) read(o ...kgo.Opt) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), deadline)
	defer cancel()
	c := s.dial(append(o, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: {0: kgo.NewOffset().AtStart()}}))...)
	defer c.Close()
	end := s.end()
	var all []string
	for last := int64(-1); last < end-1; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			s.t.Fatalf("%v; %d of %d offsets, so far %v", err, last, end, all)
		}
		for _, r := range fetches.Records() {
			last = r.Offset
			switch {
			case r.Attrs.IsControl():
				all = append(all, fmt.Sprintf("%d:marker", r.Offset))
			case r.Value == nil:
				all = append(all, fmt.Sprintf("%d:%s", r.Offset, r.Key))
			default:
				all = append(all, fmt.Sprintf("%d:%s=%s", r.Offset, r.Key, r.Value))
			}
		}
	}
	return strings.Join(all, " ")
}

// becomes waits until a reader sees just that. The last record of the script must be a plain one.
func (s *script) becomes(want string, o ...kgo.Opt) {
	s.t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	got := ""
	for began := time.Now(); time.Since(began) < deadline; <-tick.C {
		if got = s.read(o...); got == want {
			return
		}
	}
	s.t.Fatalf("%s:\n got %s\nwant %s", s.b.Kind, got, want)
}

var compacted = map[string]string{
	"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0.0", "delete.retention.ms": "86400000",
}

func with(more ...string) map[string]string {
	all := map[string]string{}
	for k, v := range compacted {
		all[k] = v
	}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

// TestTheSameRecordsSurvive runs every script against the server and against Apache Kafka.
func TestTheSameRecordsSurvive(t *testing.T) {
	for _, kind := range []harness.Kind{harness.Kelp, harness.Kafka} {
		t.Run(string(kind), func(t *testing.T) {
			b := start(t, kind)
			t.Run("keys and codecs", func(t *testing.T) { keysAndCodecs(t, b) })
			t.Run("tombstones go", func(t *testing.T) { tombstones(t, b) })
			t.Run("transactions", func(t *testing.T) { transactions(t, b) })
			t.Run("min compaction lag", func(t *testing.T) { lag(t, b) })
			t.Run("a record without a key", func(t *testing.T) { noKey(t, b) })
		})
	}
}

func keysAndCodecs(t *testing.T, b *harness.Broker) {
	s := newScript(t, b, "keys", compacted)
	for _, codec := range []kgo.CompressionCodec{
		kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
	} {
		c := s.dial(kgo.ProducerBatchCompression(codec))
		s.say(c, fmt.Sprintf("a=%d b=%d own%d=x", s.step, s.step, s.step))
	}
	s.say(s.client, "a")
	s.say(s.client, "z=1")
	const want = "2:own0=x 5:own1=x 8:own2=x 11:own3=x 13:b=4 14:own4=x 15:a 16:z=1"
	s.becomes(want)
	if b.Kind == harness.Kelp {
		if err := b.Restart(); err != nil {
			t.Fatal(err)
		}
		s.becomes(want)
	}
}

func tombstones(t *testing.T, b *harness.Broker) {
	s := newScript(t, b, "tombstones", with("delete.retention.ms", "0"))
	s.say(s.client, "a=1 b=1")
	s.say(s.client, "a")
	s.say(s.client, "z=1")
	s.becomes("1:b=1 2:a 3:z=1")
	s.say(s.client, "y=1")
	s.becomes("1:b=1 3:z=1 4:y=1")
}

func transactions(t *testing.T, b *harness.Broker) {
	s := newScript(t, b, "transactions", compacted)
	one, two := s.dial(kgo.TransactionalID("compact-one")), s.dial(kgo.TransactionalID("compact-two"))
	s.say(s.client, "a=0 b=0")
	s.transact(one, kgo.TryCommit, "a=1 c=1") // 2 3, marker 4
	s.transact(two, kgo.TryAbort, "b=9 c=9")  // 5 6, marker 7
	s.transact(one, kgo.TryCommit, "d=1")     // 8, marker 9
	s.say(s.client, "a=2")                    // 10
	s.say(s.client, "z=1")
	s.becomes("1:b=0 3:c=1 4:marker 7:marker 8:d=1 9:marker 10:a=2 11:z=1", kgo.KeepControlRecords())
	s.becomes("1:b=0 3:c=1 8:d=1 10:a=2 11:z=1", kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	s.say(s.client, "c=2 y=1") // 12 13
	s.say(s.client, "z=2")
	s.becomes("1:b=0 8:d=1 10:a=2 11:z=1 12:c=2 13:y=1 14:z=2", kgo.FetchIsolationLevel(kgo.ReadCommitted()))
}

func lag(t *testing.T, b *harness.Broker) {
	s := newScript(t, b, "lag", with("min.compaction.lag.ms", "3600000"))
	now := newScript(t, b, "lag-none", with("min.compaction.lag.ms", "1"))
	for _, x := range []*script{s, now} {
		x.say(x.client, "a=1")
		x.say(x.client, "a=2")
		x.say(x.client, "z=1")
	}
	now.becomes("1:a=2 2:z=1")
	if got := s.read(); got != "0:a=1 1:a=2 2:z=1" {
		t.Errorf("%s: %s", b.Kind, got)
	}
}

func noKey(t *testing.T, b *harness.Broker) {
	s := newScript(t, b, "nokey", compacted)
	err := s.client.ProduceSync(t.Context(), &kgo.Record{Value: []byte("v")}).FirstErr()
	if err == nil || !strings.Contains(err.Error(), "INVALID_RECORD") {
		t.Errorf("%s: %v", b.Kind, err)
	}
}
