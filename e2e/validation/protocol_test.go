package validation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sr"

	"kelp/e2e/diff"
	"kelp/e2e/suite"
)

var strictValues = []string{"confluent.value.schema.validation=true"}

// produce sends one batch as it is.
func (p *place) produce(t *testing.T, cl *kgo.Client, topic string, records []byte) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = records
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(t.Context(), cl.Broker(1))
	if err != nil {
		t.Fatal(err)
	}
	return resp.Topics[0].Partitions[0]
}

// limited is a client that speaks Produce up to a version.
func limited(version int16) kgo.Opt {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.Produce), version)
	return kgo.MaxVersions(v)
}

// TestRecordErrors: a batch is refused as a whole, the answer names its bad records from version 8 on, and nothing of it is
// stored, not even its sequence.
func TestRecordErrors(t *testing.T) {
	p := server(t)
	topic := unused("errors")
	p.createTopic(t, topic, strictValues...)
	s := p.register(t, topic+"-value", sr.TypeAvro, `"string"`)
	good := string(framed(s.id, 2, 'x'))
	batch := func(values ...string) []byte {
		return diff.Batch(func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = 4000, 0, 0 }, values...)
	}
	for _, version := range []int16{3, 5, 7, 8, 9, 11, 12} {
		answer := p.produce(t, p.client(t, limited(version)), topic, batch(good, "bad", good, string(framed(777))))
		if answer.ErrorCode != kerr.InvalidRecord.Code || answer.BaseOffset != -1 {
			t.Errorf("v%d: code %d at %d", version, answer.ErrorCode, answer.BaseOffset)
		}
		if version < 8 {
			continue
		}
		if answer.ErrorMessage == nil || !strings.Contains(*answer.ErrorMessage, "2 in all, the first is record 1: value: no schema envelope") {
			t.Errorf("v%d: message %v", version, answer.ErrorMessage)
		}
		var named []string
		for _, e := range answer.ErrorRecords {
			named = append(named, fmt.Sprintf("%d %s", e.RelativeOffset, *e.ErrorMessage))
		}
		want := []string{"1 value: no schema envelope: unknown magic byte 98", "3 value: schema id 777 is not known to the registry"}
		if !slices.Equal(named, want) {
			t.Errorf("v%d: records %q, want %q", version, named, want)
		}
	}
	if answer := p.produce(t, p.client(t, limited(9)), topic, batch(good)); answer.ErrorCode != 0 || answer.BaseOffset != 0 {
		t.Errorf("the sequence after a refusal: code %d at %d, want offset 0", answer.ErrorCode, answer.BaseOffset)
	}
}

// TestVersions: message sets of old clients and batches of all codecs are judged alike.
func TestVersions(t *testing.T) {
	p := server(t)
	strict, permissive := unused("strict"), unused("permissive")
	p.createTopic(t, strict, strictValues...)
	p.createTopic(t, permissive, append(strictValues, "kelp.schema.validation.mode=permissive")...)
	id := 0
	for _, topic := range []string{strict, permissive} {
		id = p.register(t, topic+"-value", sr.TypeAvro, `"string"`).id
	}
	writers := map[string][]kgo.Opt{}
	for _, v := range []*kversion.Versions{kversion.V0_8_2(), kversion.V0_9_0(), kversion.V0_10_0(), kversion.V0_11_0(), kversion.V2_0_0()} {
		writers[v.VersionGuess()] = []kgo.Opt{kgo.MaxVersions(v), kgo.DisableIdempotentWrite()}
	}
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(),
		"zstd": kgo.ZstdCompression(),
	} {
		writers[name] = []kgo.Opt{kgo.ProducerBatchCompression(codec)}
	}
	good, bad := framed(id, append([]byte{0xd0, 0xf}, make([]byte, 1000)...)...), slices.Repeat([]byte("bad"), 300)
	var stored []suite.Record
	var marks []string
	for name, opts := range writers {
		cl := p.client(t, opts...)
		for _, value := range [][]byte{good, bad, good} {
			err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: strict, Value: value}).FirstErr()
			if value[0] == 0 && err != nil || value[0] != 0 && !errors.Is(err, kerr.InvalidRecord) {
				t.Errorf("%s, strict: %v", name, err)
			}
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: permissive, Value: value}).FirstErr(); err != nil {
				t.Errorf("%s, permissive: %v", name, err)
			}
			stored = append(stored, suite.Record{Value: value})
			marks = append(marks, map[bool]string{true: "", false: "value: no schema envelope"}[value[0] == 0])
		}
	}
	compare(t, permissive, consume(t, p, permissive, len(stored)), stored, marks)
	for _, r := range consume(t, p, strict, 2*len(writers)) {
		if r.Value[0] != 0 || len(r.Headers) != 0 {
			t.Errorf("strict holds %.20q %v", r.Value, r.Headers)
		}
	}
}

// TestManyInFlight: with many batches of an idempotent producer under way, some of them bad, each good record whose producer
// was told that it is stored is there once and in order, and no bad one is.
func TestManyInFlight(t *testing.T) {
	p := server(t)
	topic := unused("flight")
	p.createTopic(t, topic, strictValues...)
	s := p.register(t, topic+"-value", sr.TypeAvro, `"int"`)
	cl := p.client(t, kgo.ProducerLinger(0), kgo.ProducerBatchMaxBytes(512))
	const n = 500
	var mu sync.Mutex
	taken := map[string]bool{}
	var wg sync.WaitGroup
	for i := range n {
		value := framed(s.id, fmt.Appendf(nil, "%0100d", i)...)
		if i%7 == 3 {
			value[0] = 'x'
		}
		wg.Add(1)
		cl.Produce(t.Context(), &kgo.Record{Topic: topic, Value: value}, func(r *kgo.Record, err error) {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				taken[string(r.Value)] = true
			}
		})
	}
	wg.Wait()
	if len(taken) == 0 {
		t.Error("nothing was taken")
	}
	last := ""
	for _, r := range consume(t, p, topic, len(taken)) {
		if v := string(r.Value); v[0] != 0 || !taken[v] || v <= last {
			t.Errorf("offset %d holds %q after %q, taken %t", r.Offset, v, last, taken[v])
		} else {
			last = v
		}
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: framed(s.id, 2)}).FirstErr(); err != nil {
		t.Errorf("the producer cannot go on: %v", err)
	}
}

// TestTransaction: a refused record leaves its transaction open: it can be aborted, and the next one commits.
func TestTransaction(t *testing.T) {
	p := server(t)
	topic := unused("txn")
	p.createTopic(t, topic, strictValues...)
	s := p.register(t, topic+"-value", sr.TypeAvro, `"string"`)
	cl := p.client(t, kgo.TransactionalID(unused("validated")))
	send := func(value ...byte) error {
		return cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: value}).FirstErr()
	}
	end := func(commit kgo.TransactionEndTry) {
		t.Helper()
		if err := cl.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := send(framed(s.id, 'a')...); err != nil {
			t.Fatal(err)
		}
		if err := send('b'); !errors.Is(err, kerr.InvalidRecord) {
			t.Fatal(err)
		}
		end(kgo.TryAbort)
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := send(framed(s.id, 'c')...); err != nil {
			t.Fatal(err)
		}
		end(kgo.TryCommit)
	}
	reader := p.client(t, kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	var got []string
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for len(got) < 2 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(got, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value[5:])) })
	}
	if !slices.Equal(got, []string{"c", "c"}) {
		t.Errorf("committed: %q", got)
	}
}

// TestTransactionsOfOthers: the transactional producers of other clients abort after a refusal and go on.
func TestTransactionsOfOthers(t *testing.T) {
	p := server(t)
	const java = "org.apache.kafka.common.InvalidRecordException: value: "
	for name, want := range map[string][]string{
		// librdkafka gives up the transaction after one that was refused and begins a new epoch, with Apache Kafka too.
		"confluent": {"", "INVALID_RECORD 87", "_PURGE_QUEUE", "", "INVALID_RECORD 87", "_PURGE_QUEUE", ""},
		"java":      {"", java, "", "", java, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			topic := unused(name)
			p.createTopic(t, topic, strictValues...)
			good := suite.Record{Value: framed(p.register(t, topic+"-value", sr.TypeAvro, `"string"`).id, 2, 'a')}
			bad := suite.Record{Value: []byte("bad")}
			said := p.foreignEach(t, name, topic, unused("id"), []suite.Record{good, bad, good, good, bad, good, good})
			stored := 0
			for i, words := range said {
				if words == "" {
					stored++
				}
				if (words == "") != (want[i] == "") || !strings.Contains(words, want[i]) {
					t.Errorf("record %d: %q, want %q", i, words, want[i])
				}
			}
			for _, r := range consume(t, p, topic, stored) {
				if r.Value[0] != 0 {
					t.Errorf("offset %d holds %q", r.Offset, r.Value)
				}
			}
		})
	}
}

// TestConfigs: validation is turned on and off while a topic is used, values are checked, and DescribeConfigs shows them.
func TestConfigs(t *testing.T) {
	p := server(t)
	topic := unused("configs")
	p.createTopic(t, topic)
	cl := p.client(t)
	admin := kadm.NewClient(cl)
	alter := func(key, value string) error {
		answers, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: key, Value: &value}}, topic)
		if err == nil {
			err = answers[0].Err
		}
		return err
	}
	send := func() error {
		return cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("v")}).FirstErr()
	}
	for _, step := range []struct {
		key, value string
		refused    bool
	}{
		{"confluent.value.schema.validation", "true", true},
		{"confluent.value.schema.validation", "false", false},
		{"confluent.key.schema.validation", "true", true},
		{"kelp.schema.validation.mode", "permissive", false},
		{"kelp.schema.validation.mode", "strict", true},
		{"confluent.key.schema.validation", "false", false},
	} {
		if err := alter(step.key, step.value); err != nil {
			t.Fatal(err)
		}
		if err := send(); step.refused != errors.Is(err, kerr.InvalidRecord) || !step.refused && err != nil {
			t.Errorf("%s=%s: %v", step.key, step.value, err)
		}
	}
	for key, value := range map[string]string{
		"confluent.value.schema.validation": "yes", "confluent.key.subject.name.strategy": "com.example.Mine",
		"kelp.schema.validation": "full", "kelp.schema.validation.mode": "lax", "kelp.schema.validation.unavailable": "open",
		"confluent.schema.validation.context.name": "a:b",
	} {
		if err := alter(key, value); !errors.Is(err, kerr.InvalidConfig) {
			t.Errorf("%s=%s: %v, want INVALID_CONFIG", key, value, err)
		}
	}
	shown, err := admin.DescribeTopicConfigs(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, c := range shown[0].Configs {
		values[c.Key] = c.MaybeValue()
	}
	for key, want := range map[string]string{
		"confluent.key.schema.validation": "false", "confluent.value.schema.validation": "false",
		"confluent.key.subject.name.strategy":      strategies + "TopicNameStrategy",
		"confluent.schema.validation.context.name": "default", "kelp.schema.validation": "id", "kelp.schema.validation.mode": "strict",
		"kelp.schema.validation.unavailable": "fail-closed",
	} {
		if got, ok := values[key]; !ok || got != want {
			t.Errorf("%s is shown as %q, want %q", key, got, want)
		}
	}
}
