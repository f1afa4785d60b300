package seaweedfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/bench/bare"
	"kelp/bench/turns"
	"kelp/e2e/harness"
)

// produce is the load of a producer for each partition.
func produce(d time.Duration, to int32) turns.Scenario {
	sc := turns.Scenario{
		Name: "seaweedfs-produce", Doc: "Records of 1 KiB from 8 producers to 8 partitions for a time, acks=all, linger 5 ms, 2 franz-go clients; " +
			"idempotent. SeaweedFS's gateway gets a client for each partition, not idempotent: it cannot do with less.",
	}
	if to == 1 {
		sc.Name, sc.Doc = "seaweedfs-produce-1", "The same from one producer to one partition."
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := createTopic(ctx, t, sc.Name, to); err != nil {
			return err
		}
		if _, err := produceFor(ctx, t, sc.Name, to, d/3); err != nil {
			return err
		}
		var bytes int64
		u, calls, counted, err := measure(ctx, t, func() (err error) {
			bytes, err = produceFor(ctx, t, sc.Name, to, d)
			return err
		})
		if err != nil {
			return err
		}
		t.RecordBytes(bytes, u)
		if counted {
			t.Record("requests/MB", calls/(float64(bytes)/1e6))
		}
		return nil
	}
	return sc
}

// produceFor produces for a while, and until all of it is acknowledged.
func produceFor(ctx context.Context, t *turns.Turn, topic string, to int32, d time.Duration) (bytes int64, err error) {
	values := bare.Values(1024, valueBytes, 1)
	var acked atomic.Int64
	var failed atomic.Pointer[error]
	var cls []*kgo.Client
	n := min(clients, to)
	if t.Kind == harness.Gateway {
		n = to // its answer to a request with several partitions cannot be read
	}
	for range n {
		cl, err := producer(t, topic, 5*time.Millisecond)
		if err != nil {
			return 0, err
		}
		defer cl.Close()
		cls = append(cls, cl)
	}
	until := time.Now().Add(d)
	var wg sync.WaitGroup
	for p := range to {
		wg.Go(func() {
			promise := func(r *kgo.Record, err error) {
				if err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				acked.Add(int64(len(r.Value)))
			}
			for i := 0; failed.Load() == nil && time.Now().Before(until); i++ {
				cls[p%n].Produce(ctx, &kgo.Record{Partition: p, Value: values[i%len(values)]}, promise)
			}
		})
	}
	wg.Wait()
	for _, cl := range cls {
		if err := cl.Flush(ctx); err != nil {
			return 0, err
		}
	}
	if err := failed.Load(); err != nil {
		return 0, fmt.Errorf("produce: %w", *err)
	}
	return acked.Load(), nil
}

func consume(d time.Duration, most int64) turns.Scenario {
	sc := turns.Scenario{
		Name: "seaweedfs-consume", Doc: "Catch-up from the first offset of 8 partitions with one franz-go client, which decodes every record, after Kelp " +
			"was started again: nothing is in its memory. What is read is what the load of the produce scenario left in a third of its time.",
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := createTopic(ctx, t, sc.Name, partitions); err != nil {
			return err
		}
		bytes, err := produceFor(ctx, t, sc.Name, partitions, d/3)
		if err != nil {
			return err
		}
		bytes = min(bytes, most)
		if t.Kind == "kelp" {
			if err := t.Restart(); err != nil {
				return err
			}
		}
		u, calls, counted, err := measure(ctx, t, func() error { return read(ctx, t, sc.Name, bytes) })
		if err != nil {
			return err
		}
		t.RecordBytes(bytes, u)
		if counted {
			t.Record("requests/MB", calls/(float64(bytes)/1e6))
		}
		return nil
	}
	return sc
}

// read consumes so many bytes from the first offsets on.
func read(ctx context.Context, t *turns.Turn, topic string, bytes int64) error {
	from := map[int32]kgo.Offset{}
	for p := range int32(partitions) {
		from[p] = kgo.NewOffset().AtStart()
	}
	cl, err := client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return err
	}
	defer cl.Close()
	for got := int64(0); got < bytes; {
		stalled, cancel := context.WithTimeout(ctx, patience)
		fetches := cl.PollFetches(stalled)
		cancel()
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("after %d of %d bytes: %w", got, bytes, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got += int64(len(r.Value)) })
	}
	return nil
}

const (
	latencyEvery = time.Millisecond
	latencyBytes = 100
)

func latency(d time.Duration) turns.Scenario {
	sc := turns.Scenario{
		Name: "seaweedfs-e2e", Doc: "1,000 records of 100 bytes a second, one partition, acks=all, no linger: from the call of Produce to its " +
			"acknowledgement, and to the record in the hands of a consumer in the same process.",
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := createTopic(ctx, t, sc.Name, 1); err != nil {
			return err
		}
		p, err := producer(t, sc.Name, 0)
		if err != nil {
			return err
		}
		defer p.Close()
		c, err := client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			sc.Name: {0: kgo.NewOffset().AtStart()},
		}))
		if err != nil {
			return err
		}
		defer c.Close()
		warm := int(d / latencyEvery / 2)
		total := warm + int(d/latencyEvery)
		l := &latencies{epoch: time.Now(), acked: make([]time.Duration, total), seen: make([]time.Duration, 0, total)}
		before, counted, err := requests(ctx, t)
		if err != nil {
			return err
		}
		if err := l.run(ctx, p, c, total); err != nil {
			return err
		}
		after, _, err := requests(ctx, t)
		if err != nil {
			return err
		}
		percentiles(t, "ack", l.acked[warm:])
		percentiles(t, "end to end", l.seen[warm:])
		if counted {
			t.Record("requests/s", (after-before)/time.Since(l.epoch).Seconds())
		}
		return nil
	}
	return sc
}

// latencies of records in their order.
type latencies struct {
	epoch       time.Time
	acked, seen []time.Duration
}

func (l *latencies) run(ctx context.Context, p, c *kgo.Client, total int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(total)*latencyEvery+patience)
	defer cancel()
	seen := make(chan error, 1)
	go func() {
		for len(l.seen) < total {
			fetches := c.PollFetches(ctx)
			if err := fetches.Err(); err != nil {
				seen <- err
				return
			}
			now := time.Since(l.epoch)
			fetches.EachRecord(func(r *kgo.Record) { l.seen = append(l.seen, now-time.Duration(binary.BigEndian.Uint64(r.Value[1:]))) })
		}
		seen <- nil
	}()
	var failed error
	var mu sync.Mutex
	for i := range total {
		if wait := time.Until(l.epoch.Add(time.Duration(i) * latencyEvery)); wait > 0 {
			time.Sleep(wait)
		}
		sent := time.Since(l.epoch)
		value := make([]byte, latencyBytes)
		value[0] = 1 // what begins with 0 is a schema id to the gateway
		binary.BigEndian.PutUint64(value[1:], uint64(sent))
		p.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			l.acked[i], failed = time.Since(l.epoch)-sent, errors.Join(failed, err)
		})
	}
	err := p.Flush(ctx)
	mu.Lock()
	defer mu.Unlock()
	return errors.Join(err, failed, <-seen)
}

func percentiles(t *turns.Turn, what string, took []time.Duration) {
	slices.Sort(took)
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50", .5}, {"p99", .99}} {
		t.Record(fmt.Sprintf("%s %s ms", what, q.name), float64(took[int(float64(len(took)-1)*q.at)])/float64(time.Millisecond))
	}
}

func idle(d time.Duration) turns.Scenario {
	sc := turns.Scenario{
		Name: "seaweedfs-idle", Doc: "A topic of 8 partitions that was written to a while ago, and one member of a group that reads it and gets nothing.",
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := createTopic(ctx, t, sc.Name, partitions); err != nil {
			return err
		}
		p, err := producer(t, sc.Name, 0)
		if err != nil {
			return err
		}
		defer p.Close()
		if err := p.ProduceSync(ctx, &kgo.Record{Value: make([]byte, valueBytes)}).FirstErr(); err != nil {
			return err
		}
		c, err := client(t, kgo.ConsumeTopics(sc.Name), kgo.ConsumerGroup("idle"),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.PollFetches(ctx).Err(); err != nil {
			return err
		}
		if err := c.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
		life, end := context.WithCancel(ctx)
		polled := make(chan struct{})
		go func() {
			defer close(polled)
			for life.Err() == nil {
				c.PollFetches(life)
			}
		}()
		time.Sleep(3 * time.Second) // what the load before it left behind comes to rest
		u, calls, counted, err := measure(ctx, t, func() error { time.Sleep(d); return nil })
		end()
		<-polled
		if err != nil {
			return err
		}
		t.Record("CPU ms/s", float64(u.CPU.Milliseconds())/u.Elapsed.Seconds())
		if len(t.Behind) > 0 {
			t.Record("SeaweedFS CPU ms/s", float64(u.BehindCPU.Milliseconds())/u.Elapsed.Seconds())
		}
		if counted {
			t.Record("requests/s", calls/u.Elapsed.Seconds())
		}
		return nil
	}
	return sc
}
