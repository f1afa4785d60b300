package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/bench/bare"
	"kelp/bench/turns"
)

const (
	latencyEvery = time.Millisecond // one record
	latencyBytes = 100              // of a value
)

// RecordPercentiles gives latencies to the report.
func RecordPercentiles(t *turns.Turn, took []time.Duration) {
	slices.Sort(took)
	for _, q := range []struct {
		name string
		at   float64
	}{{"p50 ms", .5}, {"p99 ms", .99}, {"p99.9 ms", .999}} {
		t.Record(q.name, ms(took[int(float64(len(took)-1)*q.at)]))
	}
}

// latency is from the call of Produce to the record out of PollFetches.
func latency(s Size) turns.Scenario {
	sc := turns.Scenario{
		Name: "e2e", Doc: "End to end at 1,000 records of 100 bytes a second, one partition, acks=all, no linger: from the call of Produce to the record " +
			"in the hands of a consumer in the same process. franz-go.",
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := bare.CreateTopic(t.Addr, sc.Name, 1); err != nil {
			return err
		}
		producer, err := kgo.NewClient(kgo.SeedBrokers(t.Addr), kgo.DefaultProduceTopic(sc.Name), kgo.ProducerLinger(0))
		if err != nil {
			return err
		}
		defer producer.Close()
		consumer, err := kgo.NewClient(kgo.SeedBrokers(t.Addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
			sc.Name: {0: kgo.NewOffset().AtStart()},
		}))
		if err != nil {
			return err
		}
		defer consumer.Close()
		warm := int(s.Duration / latencyEvery) // as many as count, or a cold JIT is measured
		total := 2 * warm
		took := make([]time.Duration, 0, total)
		done := make(chan error, 1)
		epoch := time.Now()
		go func() {
			for len(took) < total {
				fetches := consumer.PollFetches(ctx)
				if err := fetches.Err(); err != nil {
					done <- err
					return
				}
				now := time.Since(epoch)
				fetches.EachRecord(func(r *kgo.Record) {
					took = append(took, now-time.Duration(binary.BigEndian.Uint64(r.Value)))
				})
			}
			done <- nil
		}()
		err = paced(ctx, total, done, func() error {
			value := make([]byte, latencyBytes)
			binary.BigEndian.PutUint64(value, uint64(time.Since(epoch)))
			producer.Produce(ctx, &kgo.Record{Value: value}, nil)
			return nil
		})
		if err == nil {
			RecordPercentiles(t, took[warm:total])
		}
		return err
	}
	return sc
}

// paced sends total records, one each latencyEvery however long answers take, and waits for done.
func paced(ctx context.Context, total int, done <-chan error, send func() error) error {
	began := time.Now()
	for i := range total {
		if d := time.Until(began.Add(time.Duration(i) * latencyEvery)); d > 0 {
			time.Sleep(d)
		}
		if err := send(); err != nil {
			return err
		}
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Minute):
		return fmt.Errorf("not every record came back within a minute")
	}
}

// latencyBare is the same over two bare sockets.
func latencyBare(s Size) turns.Scenario {
	sc := turns.Scenario{
		Name: "e2e-bare", Doc: "The same over two bare sockets: from before the write of the produce request to after the read of the fetch response.",
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := bare.CreateTopic(t.Addr, sc.Name, 1); err != nil {
			return err
		}
		in, err := bare.Dial(t.Addr)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := bare.Dial(t.Addr)
		if err != nil {
			return err
		}
		defer out.Close()
		warm := int(s.Duration / latencyEvery) // as many as count, or a cold JIT is measured
		total := 2 * warm
		epoch := time.Now()
		took := make([]time.Duration, 0, total)
		done, answered := make(chan error, 1), make(chan error, 1)
		go func() { done <- follow(out, sc.Name, total, epoch, &took) }()
		go func() { // answers of the producer
			for range total {
				if _, err := in.ReadResponse(); err != nil {
					answered <- err
					return
				}
			}
			answered <- nil
		}()
		values := bare.Values(1, latencyBytes, 1)
		err = paced(ctx, total, done, func() error {
			binary.BigEndian.PutUint64(values[0], uint64(time.Since(epoch)))
			_, err := in.Write(bare.Produce(sc.Name, 0, bare.Batch(values, false, time.Now().UnixMilli())))
			return err
		})
		if err == nil {
			err = <-answered
		}
		if err == nil {
			RecordPercentiles(t, took[warm:total])
		}
		return err
	}
	return sc
}

// follow long-polls partition 0 from its start and notes how old each record is.
func follow(c *bare.Conn, topic string, total int, epoch time.Time, took *[]time.Duration) error {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 11, 500, 1, fetchMaxBytes, -1
	ft, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	ft.Topic, p.PartitionMaxBytes = topic, fetchPartitionBytes
	ft.Partitions = append(ft.Partitions, p)
	req.Topics = append(req.Topics, ft)
	for len(*took) < total {
		resp, err := c.Ask(req)
		if err != nil {
			return err
		}
		now := time.Since(epoch)
		part := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if part.ErrorCode != 0 {
			return fmt.Errorf("%w: code %d", errFetch, part.ErrorCode)
		}
		for b := part.RecordBatches; len(b) >= 61; {
			n := 12 + int(binary.BigEndian.Uint32(b[8:]))
			if n > len(b) {
				break
			}
			// The value is the last but the header count, which is one byte.
			sent := time.Duration(binary.BigEndian.Uint64(b[n-1-latencyBytes:]))
			*took = append(*took, now-sent)
			req.Topics[0].Partitions[0].FetchOffset++
			b = b[n:]
		}
	}
	return nil
}
