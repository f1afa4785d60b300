package seaweedmq

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	rounds  = flag.Int("rounds", 1, "times that each of Kelp, the broker and the filer is killed under load")
	records = flag.Int("records", 100_000, "records of the test that counts them")
)

// load produces to a topic until stopped, through whatever is killed, and counts what was acknowledged.
type load struct {
	acked atomic.Int64
	stop  context.CancelFunc
	done  chan struct{}
}

func (p *place) load(t *testing.T, topic string, partitions int32) *load {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &load{stop: stop, done: make(chan struct{})}
	cl := p.kafka(t, kgo.ProducerLinger(5*time.Millisecond), kgo.RecordDeliveryTimeout(5*time.Minute), kgo.MaxBufferedRecords(5000))
	go func() {
		defer close(l.done)
		pause := time.NewTicker(2 * time.Millisecond)
		defer pause.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			r := &kgo.Record{Topic: topic, Partition: int32(n) % partitions, Key: fmt.Appendf(nil, "key %d", n), Value: fmt.Appendf(nil, "value %d", n)}
			cl.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) {
				if err == nil {
					l.acked.Add(1)
				}
			})
			if n%5 == 0 {
				<-pause.C
			}
		}
		if err := cl.Flush(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	return l
}

// until waits until so many more records were acknowledged.
func (l *load) until(t *testing.T, more int64) {
	t.Helper()
	want := l.acked.Load() + more
	for deadline := time.Now().Add(2 * time.Minute); l.acked.Load() < want; time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // polls
		if time.Now().After(deadline) {
			t.Fatalf("%d records were acknowledged, want %d", l.acked.Load(), want)
		}
	}
}

// Kelp, the broker and the filer are killed again and again under load: at the end every record is in the filer, in
// order, and what is there twice is what the documentation admits.
func TestKills(t *testing.T) {
	p := start(t)
	p.topic(t, "kills", 3, "kelp.seaweedmq.publish=structured")
	p.topic(t, "kills-raw", 1, "kelp.seaweedmq.publish=raw")
	l, raw := p.load(t, "kills", 3), p.load(t, "kills-raw", 1)
	l.until(t, 2000)
	p.flushing(t, "kills")
	for range *rounds {
		for _, each := range []struct {
			name         string
			kill, resume func() error
		}{
			{"kelp", p.broker.Kill, p.broker.Resume},
			{"broker", p.weed.Broker.Kill, p.weed.Broker.Resume},
			{"filer", p.weed.Filers[0].Kill, p.weed.Filers[0].Resume},
			{"broker again, and kelp at once", func() error {
				if err := p.weed.Broker.Kill(); err != nil {
					return err
				}
				return p.broker.Kill()
			}, func() error {
				if err := p.weed.Broker.Resume(); err != nil {
					return err
				}
				return p.broker.Resume()
			}},
		} {
			t.Logf("%s: %d acknowledged, kill %s", time.Now().Format(time.TimeOnly), l.acked.Load(), each.name)
			if err := each.kill(); err != nil {
				t.Fatal(err)
			}
			if err := each.resume(); err != nil {
				t.Fatal(err)
			}
			l.until(t, 1000)
			p.flushing(t, "kills") // so that the next kill meets streams that work
		}
	}
	l.stop()
	raw.stop()
	<-l.done
	<-raw.done
	p.mirrored(t, "kills")
	p.mirrored(t, "kills-raw")
	t.Logf("%s: %d records, %d repeats\n%s", time.Now().Format(time.TimeOnly), l.acked.Load(), p.compare(t, "kills"), p.status(t))
	p.compareRaw(t, "kills-raw")
}

// flushing waits until the filer has got more of a topic.
func (p *place) flushing(t *testing.T, topic string) {
	t.Helper()
	first := int64(-1)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) { //nolint:forbidigo // polls
		committed, err := p.admin.FetchOffsets(t.Context(), "kelp-seaweedmq")
		if o, ok := committed.Lookup(topic, 0); err == nil && ok {
			if first < 0 {
				first = o.At
			} else if o.At > first {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not in the filer\n%s\n%s", topic, p.status(t), p.broker.Tail())
		}
	}
}

// compareRaw compares a raw topic of unique records with Kafka's.
func (p *place) compareRaw(t *testing.T, topic string) {
	t.Helper()
	for i, entries := range p.entries(t, topic) {
		seen := map[string]bool{}
		var order []string
		for _, e := range entries {
			one := string(e.Key) + "=" + string(e.Value)
			if !seen[one] {
				order = append(order, one)
			}
			seen[one] = true
		}
		t.Logf("%s/%d: %d entries, %d records", topic, i, len(entries), len(order))
		kafka := p.consume(t, topic)[int32(i)]
		if len(kafka) != len(order) {
			t.Fatalf("%s/%d: %d records, want %d", topic, i, len(order), len(kafka))
		}
		for n, r := range kafka {
			if want := string(r.Key) + "=" + string(r.Value); order[n] != want {
				t.Fatalf("%s/%d: record %d is %s, want %s", topic, i, n, order[n], want)
			}
		}
	}
}

// Many records, counted and compared by a sum of offsets, keys and values.
func (p *place) many(t *testing.T) {
	p.topic(t, "many", 4, "kelp.seaweedmq.publish=structured")
	cl := p.kafka(t, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MaxBufferedRecords(50_000))
	began := time.Now()
	value := make([]byte, 100)
	for n := range *records {
		cl.Produce(t.Context(), &kgo.Record{Topic: "many", Key: fmt.Append(nil, n), Value: append(fmt.Append(nil, n), value...)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	produced := time.Since(began)
	p.mirrored(t, "many")
	t.Logf("%d records produced in %s, in the filer after %s", *records, produced, time.Since(began))
	sums := func(each func(add func(partition int32, offset int64, key, value []byte))) (n int, sum uint64) {
		each(func(partition int32, offset int64, key, value []byte) {
			h := fnv.New64a()
			_, _ = fmt.Fprintf(h, "%d/%d %d %d ", partition, offset, len(key), len(value))
			_, _ = h.Write(key)
			_, _ = h.Write(value)
			n, sum = n+1, sum+h.Sum64()
		})
		return n, sum
	}
	wantN, want := sums(func(add func(int32, int64, []byte, []byte)) {
		for i, all := range p.consume(t, "many") {
			for _, r := range all {
				add(i, r.Offset, r.Key, r.Value)
			}
		}
	})
	gotN, got := sums(func(add func(int32, int64, []byte, []byte)) {
		for i, entries := range p.entries(t, "many") {
			for _, r := range rows(t, entries) {
				add(int32(i), r["kafka_offset"].GetInt64Value(), r["kafka_key"].GetBytesValue(), r["kafka_value"].GetBytesValue())
			}
		}
	})
	if gotN != *records || wantN != gotN || want != got {
		t.Errorf("%d records with sum %x, Kafka has %d with %x", gotN, got, wantN, want)
	}
}
