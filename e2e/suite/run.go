package suite

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"kelp/e2e/harness"
)

// Options says what a library at a version can express.
type Options struct {
	Name   string // unique among the runs on one broker: topics and groups are named after it
	Codecs []string
	Nulls  bool // reads null and empty as different
}

// Run tests the client against the broker.
func Run(t *testing.T, b *harness.Broker, c Client, o Options) {
	s := &run{broker: b, client: c, options: o}
	t.Run("edges", s.edges)
	for _, codec := range o.Codecs {
		t.Run("codec "+codec, func(t *testing.T) { s.codec(t, codec) })
	}
	t.Run("large records", s.large)
	t.Run("by time", s.byTime)
	t.Run("admin", s.admin)
	t.Run("group resumes", s.group)
	t.Run("restart", s.restart)
}

type run struct {
	broker  *harness.Broker
	client  Client
	options Options
}

// Edges are records with nulls, empties and headers, a second apart from start (ms) on; the offsets count from 0.
func Edges(start int64) []Record {
	records := []Record{
		{Key: []byte("k"), Value: []byte("v")},
		{Key: nil, Value: []byte("null key")},
		{Key: []byte("null value"), Value: nil},
		{Key: nil, Value: nil},
		{Key: []byte{}, Value: []byte{}},
		{Key: []byte("\x00\xff"), Value: []byte("ünï\x00code")},
		{Key: []byte("h"), Value: []byte("v"), Headers: []Header{
			{Key: "a", Value: []byte("1")},
			{Key: "a", Value: []byte("2")},
			{Key: "", Value: []byte("no name")},
			{Key: "empty", Value: []byte{}},
			{Key: "bytes", Value: []byte{0, 1, 2, 0xff}},
		}},
	}
	for i := range records {
		records[i].Offset, records[i].TimestampMs = int64(i), start+int64(i)*1000
	}
	return records
}

func many(n, size int) []Record {
	start := time.Now().UnixMilli() - int64(n)
	records := make([]Record, n)
	random := rand.New(rand.NewPCG(1, uint64(size)))
	for i := range records {
		value := make([]byte, size)
		for j := range value {
			value[j] = byte('a' + random.IntN(8))
		}
		records[i] = Record{
			Offset: int64(i), TimestampMs: start + int64(i), Key: fmt.Appendf(nil, "key-%d", i), Value: value,
			Headers: []Header{{Key: "i", Value: fmt.Append(nil, i)}},
		}
	}
	return records
}

func (s *run) topic(t *testing.T, name string, partitions int) string {
	t.Helper()
	topic := strings.NewReplacer(" ", "-", "/", "-").Replace(s.options.Name + "-" + name)
	if err := s.client.CreateTopic(Context(t), topic, partitions); err != nil {
		t.Fatalf("create %s: %v", topic, err)
	}
	return topic
}

func (s *run) produce(t *testing.T, topic, codec string, records []Record) {
	t.Helper()
	if err := s.client.Produce(Context(t), topic, codec, records); err != nil {
		t.Fatalf("produce: %v", err)
	}
}

func (s *run) expect(t *testing.T, topic string, from int64, want []Record) {
	t.Helper()
	got, err := s.client.Consume(Context(t), topic, 0, from, len(want))
	if err != nil {
		t.Fatalf("consume: %v", err)
	}
	Compare(t, want, got, s.options.Nulls)
}

func (s *run) edges(t *testing.T) {
	topic := s.topic(t, "edges", 1)
	records := Edges(time.Now().Add(-time.Hour).UnixMilli())
	s.produce(t, topic, "none", records)
	s.expect(t, topic, 0, records)
}

func (s *run) codec(t *testing.T, codec string) {
	topic := s.topic(t, codec, 1)
	records := many(3000, 100)
	s.produce(t, topic, codec, records)
	s.expect(t, topic, 0, records)
	s.expect(t, topic, 1777, records[1777:1900])
}

func (s *run) large(t *testing.T) {
	topic := s.topic(t, "large", 1)
	// max.message.bytes is 1048588 for the whole batch: leave room for its headers.
	records := many(4, 1<<20-200)
	for _, r := range records {
		s.produce(t, topic, "none", []Record{r})
	}
	s.expect(t, topic, 0, records)
	s.produce(t, topic, "gzip", many(2, 1<<20))
	got, err := s.client.Consume(Context(t), topic, 0, 4, 2)
	if err != nil {
		t.Fatalf("consume: %v", err)
	}
	for i, r := range got {
		if want := many(2, 1<<20)[i].Value; !bytes.Equal(r.Value, want) {
			t.Fatalf("1 MiB record %d: %d bytes differ from what was sent", i, len(r.Value))
		}
	}
}

func (s *run) byTime(t *testing.T) {
	topic := s.topic(t, "time", 1)
	records := many(500, 10)
	for i := range records {
		records[i].TimestampMs = records[0].TimestampMs + int64(i)*10
	}
	for part := range slices.Chunk(records, 50) {
		s.produce(t, topic, "none", part)
	}
	for _, i := range []int{0, 1, 49, 50, 123, 499} {
		for _, early := range []int64{0, 5} {
			got, err := s.client.OffsetAt(Context(t), topic, records[i].TimestampMs-early)
			if err != nil || got != int64(i) {
				t.Errorf("offset at the time of record %d minus %d ms: %d, %v", i, early, got, err)
			}
		}
	}
	s.expect(t, topic, 123, records[123:])
}

func (s *run) admin(t *testing.T) {
	topic := s.topic(t, "admin", 3)
	if err := s.client.CreateTopic(Context(t), topic, 3); err == nil {
		t.Error("a topic was created twice")
	}
	topics, err := s.client.Topics(Context(t))
	if err != nil || topics[topic] != 3 {
		t.Fatalf("topics: %v has %d partitions, want 3 (%v)", topic, topics[topic], err)
	}
	if err := s.client.DeleteTopic(Context(t), topic); err != nil {
		t.Fatalf("delete: %v", err)
	}
	if topics, err = s.client.Topics(Context(t)); err != nil || topics[topic] != 0 {
		t.Fatalf("the deleted topic is listed (%v)", err)
	}
	if err := s.client.DeleteTopic(Context(t), topic); err == nil {
		t.Error("a topic was deleted twice")
	}
}

func (s *run) group(t *testing.T) {
	topic := s.topic(t, "group", 1)
	records := many(60, 20)
	s.produce(t, topic, "none", records)
	for _, part := range [][]Record{records[:25], records[25:]} {
		got, err := s.client.ConsumeGroup(Context(t), topic, topic, len(part))
		if err != nil {
			t.Fatalf("group: %v", err)
		}
		Compare(t, part, got, s.options.Nulls)
	}
}

func (s *run) restart(t *testing.T) {
	topic := s.topic(t, "restart", 1)
	records := many(200, 50)
	s.produce(t, topic, "none", records[:100])
	if got, err := s.client.ConsumeGroup(Context(t), topic, topic, 40); err != nil || len(got) != 40 {
		t.Fatalf("group before the restart: %d records, %v", len(got), err)
	}
	if err := s.broker.Restart(); err != nil {
		t.Fatal(err)
	}
	s.produce(t, topic, "none", records[100:])
	s.expect(t, topic, 0, records)
	got, err := s.client.ConsumeGroup(Context(t), topic, topic, 160)
	if err != nil {
		t.Fatalf("group after the restart: %v", err)
	}
	Compare(t, records[40:], got, s.options.Nulls)
}
