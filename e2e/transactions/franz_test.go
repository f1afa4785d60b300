// Package transactions tests transactions with the clients that have them: a reader of committed records sees whole
// transactions only, each once and in order, whatever is restarted, fenced or aborted on the way.
package transactions

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
)

// deadline bounds a test; what it waits for normally takes seconds.
const deadline = 3 * time.Minute

func start(t *testing.T, topics ...string) (context.Context, *harness.Broker) {
	t.Helper()
	b := harness.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	for _, topic := range topics {
		if err := (franz.Client{Addr: b.Addr}).CreateTopic(ctx, topic, 2); err != nil {
			t.Fatal(err)
		}
	}
	return ctx, b
}

func client(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// committed reads the committed records of a topic once no transaction is open in it.
func committed(ctx context.Context, t *testing.T, addr, topic string) []string {
	t.Helper()
	c := client(t, addr, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	ends := settled(ctx, t, c, topic)
	var got []string
	at := map[int32]int64{}
	for {
		done := true
		ends.Each(func(o kadm.ListedOffset) { done = done && at[o.Partition] >= o.Offset })
		if done {
			return got
		}
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records: %v", len(got), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				got = append(got, string(r.Value))
			}
		})
		// Aborted records before the end are not given; ask where the reader stands.
		for p, o := range c.UncommittedOffsets()[topic] {
			at[p] = max(at[p], o.Offset)
		}
	}
}

// settled waits until every transaction in a topic has its markers, and gives the ends.
func settled(ctx context.Context, t *testing.T, c *kgo.Client, topic string) kadm.ListedOffsets {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		stable, err := kadm.NewClient(c).ListCommittedOffsets(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		ends, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
		if err != nil {
			t.Fatal(err)
		}
		open := false
		ends.Each(func(o kadm.ListedOffset) {
			s, _ := stable.Lookup(topic, o.Partition)
			open = open || s.Offset != o.Offset
		})
		if !open {
			return ends
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("a transaction stays open")
		}
	}
}

func transact(ctx context.Context, c *kgo.Client, topic string, end kgo.TransactionEndTry, values ...string) error {
	if err := c.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for i, v := range values {
		c.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i % 2), Value: []byte(v)}, nil)
	}
	if err := c.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return c.EndTransaction(ctx, end)
}

func TestCommittedAndAbortedTransactions(t *testing.T) {
	ctx, b := start(t, "t")
	producer := client(t, b.Addr, kgo.TransactionalID("one"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	want := map[string]bool{}
	for n := range 20 {
		values := []string{fmt.Sprint(n, "a"), fmt.Sprint(n, "b")}
		end := kgo.TransactionEndTry(n%3 != 2)
		if err := transact(ctx, producer, "t", end, values...); err != nil {
			t.Fatal(n, err)
		}
		for _, v := range values {
			want[v] = bool(end)
		}
		if n == 10 {
			if err := b.Restart(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, v := range committed(ctx, t, b.Addr, "t") {
		if !want[v] {
			t.Errorf("%s was aborted or comes twice", v)
		}
		delete(want, v)
	}
	for v, yes := range want {
		if yes {
			t.Errorf("%s is missing", v)
		}
	}
}

func TestTheSecondOfAnIDFencesTheFirst(t *testing.T) {
	ctx, b := start(t, "t")
	first := client(t, b.Addr, kgo.TransactionalID("one"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := first.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := first.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("zombie")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	second := client(t, b.Addr, kgo.TransactionalID("one"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := transact(ctx, second, "t", kgo.TryCommit, "good"); err != nil {
		t.Fatal(err)
	}
	err := first.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("late")}).FirstErr()
	if err == nil {
		err = first.EndTransaction(ctx, kgo.TryCommit)
	}
	if !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Error("the first goes on:", err)
	}
	if got := committed(ctx, t, b.Addr, "t"); len(got) != 1 || got[0] != "good" {
		t.Error(got)
	}
}
