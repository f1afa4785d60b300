// Package txn holds the loads of transactions: how many are committed by one producer and by many, how long a commit
// takes, and how fast a reader of committed records catches up. The client is franz-go.
package txn

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/bench/bare"
	"kelp/bench/turns"
)

const (
	recordsPerTxn = 10
	valueBytes    = 100
	catchUpTxns   = 400 // of catchUpRecords each
	catchUpRecord = 1000
	catchUpPerTxn = 500
)

// Scenarios of this package; commits are measured for the duration.
func Scenarios(d time.Duration) []turns.Scenario {
	return []turns.Scenario{commits(d, 1), commits(d, 16), catchUp()}
}

// commits measures producers that each commit one small transaction after the other, to a partition of its own.
func commits(d time.Duration, producers int) turns.Scenario {
	sc := turns.Scenario{
		Name: fmt.Sprintf("txn-%d", producers),
		Doc: fmt.Sprintf("%d transactional producers, each committing transactions of %d records of %d bytes one after the other, acks=all. "+
			"The latency is that of EndTransaction. franz-go.", producers, recordsPerTxn, valueBytes),
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := bare.CreateTopic(t.Addr, sc.Name, int32(producers)); err != nil {
			return err
		}
		var clients []*kgo.Client
		for p := range producers {
			c, err := producer(t.Addr, fmt.Sprint(sc.Name, "-", p))
			if err != nil {
				return err
			}
			defer c.Close()
			clients = append(clients, c)
		}
		if _, err := commitFor(ctx, clients, sc.Name, d/2); err != nil { // the JVM compiles meanwhile
			return err
		}
		var took []time.Duration
		u, err := t.Measure(func() (err error) {
			took, err = commitFor(ctx, clients, sc.Name, d)
			return err
		})
		if err != nil {
			return err
		}
		n := float64(len(took))
		slices.Sort(took)
		t.Record("transactions/s", n/u.Elapsed.Seconds())
		t.Record("commit p50 ms", ms(took[len(took)/2]))
		t.Record("commit p99 ms", ms(took[len(took)*99/100]))
		t.Record("CPU µs/transaction", float64(u.CPU.Microseconds())/n)
		return nil
	}
	return sc
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func producer(addr, id string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID(id), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionTimeout(time.Minute))
}

// commitFor commits transactions with all clients for a while and gives how long each commit took.
func commitFor(ctx context.Context, clients []*kgo.Client, topic string, d time.Duration) ([]time.Duration, error) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex // guards all and failed
		all    []time.Duration
		failed error
	)
	until := time.Now().Add(d)
	for p, c := range clients {
		wg.Go(func() {
			var took []time.Duration
			var err error
			for err == nil && time.Now().Before(until) {
				var one time.Duration
				one, err = transact(ctx, c, topic, int32(p), recordsPerTxn, valueBytes)
				took = append(took, one)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	return all, failed
}

// transact commits one transaction and gives how long its end took.
func transact(ctx context.Context, c *kgo.Client, topic string, partition int32, records, size int) (time.Duration, error) {
	if err := c.BeginTransaction(); err != nil {
		return 0, err
	}
	var promise kgo.FirstErrPromise
	for range records {
		c.Produce(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: make([]byte, size)}, promise.Promise())
	}
	if err := promise.Err(); err != nil {
		return 0, err
	}
	began := time.Now()
	err := c.EndTransaction(ctx, kgo.TryCommit)
	return time.Since(began), err
}

// catchUp measures a reader of committed records in a log in which every fourth transaction was aborted.
func catchUp() turns.Scenario {
	sc := turns.Scenario{
		Name: "txn-catch-up",
		Doc: fmt.Sprintf("Reading committed records from the start of a partition of %d transactions of %d records of %d bytes, every fourth of which "+
			"was aborted. MB/s counts what is given to the reader. franz-go.", catchUpTxns, catchUpPerTxn, catchUpRecord),
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := bare.CreateTopic(t.Addr, sc.Name, 1); err != nil {
			return err
		}
		c, err := producer(t.Addr, sc.Name)
		if err != nil {
			return err
		}
		defer c.Close()
		want := 0
		for n := range catchUpTxns {
			if err := fill(ctx, c, sc.Name, n%4 != 3); err != nil {
				return err
			}
			if n%4 != 3 {
				want += catchUpPerTxn
			}
		}
		if err := read(ctx, t.Addr, sc.Name, want); err != nil { // the JVM compiles meanwhile
			return err
		}
		u, err := t.Measure(func() error { return read(ctx, t.Addr, sc.Name, want) })
		if err != nil {
			return err
		}
		t.RecordBytes(int64(want)*catchUpRecord, u)
		return nil
	}
	return sc
}

func fill(ctx context.Context, c *kgo.Client, topic string, commit bool) error {
	if err := c.BeginTransaction(); err != nil {
		return err
	}
	for range catchUpPerTxn {
		c.Produce(ctx, &kgo.Record{Topic: topic, Value: make([]byte, catchUpRecord)}, nil)
	}
	if err := c.Flush(ctx); err != nil {
		return err
	}
	return c.EndTransaction(ctx, kgo.TransactionEndTry(commit))
}

func read(ctx context.Context, addr, topic string, want int) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return err
	}
	defer c.Close()
	for got := 0; got < want; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		got += fetches.NumRecords()
	}
	return nil
}
