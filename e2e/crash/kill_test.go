// Package crash kills the server under a working client and sends it what no client would send.
//
// The invariant of the kill loop: a partition holds the sequence 0, 1, 2, ... of one idempotent producer, without a
// hole, a repeat or a swap, and at least as far as it was acknowledged before the kill.
package crash

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
)

var (
	duration = flag.Duration("for", 8*time.Second, "how long to kill the server again and again, with each durability")
	seed     = flag.Uint64("seed", 0, "repeats the choice of moments of an earlier run; 0 draws one")
)

const partitions = 4

// writer produces ascending numbers to every partition and remembers how far each was acknowledged.
type writer struct {
	client *kgo.Client

	mu     sync.Mutex // guards the fields below
	acked  [partitions]int64
	total  int64
	failed error
	news   chan struct{} // closed and replaced when acked or failed change
}

func (w *writer) run(ctx context.Context) {
	for n := int64(0); ctx.Err() == nil; n++ {
		for p := range int32(partitions) {
			record := &kgo.Record{Topic: "crash", Partition: p, Value: strconv.AppendInt(nil, n, 10)}
			w.client.Produce(context.WithoutCancel(ctx), record, w.promise)
		}
	}
}

func (w *writer) promise(r *kgo.Record, err error) {
	n, _ := strconv.ParseInt(string(r.Value), 10, 64)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.failed = fmt.Errorf("partition %d, record %d: %w", r.Partition, n, err)
	case n != w.acked[r.Partition] || r.Offset != n:
		w.failed = fmt.Errorf("partition %d: record %d acknowledged at offset %d, after %d others",
			r.Partition, n, r.Offset, w.acked[r.Partition])
	default:
		w.acked[r.Partition]++
		w.total++
	}
	close(w.news)
	w.news = make(chan struct{})
}

// more waits for n more acknowledgements and returns what was acknowledged then.
func (w *writer) more(ctx context.Context, n int64) ([partitions]int64, error) {
	w.mu.Lock()
	goal := w.total + n
	for {
		acked, total, failed, news := w.acked, w.total, w.failed, w.news
		w.mu.Unlock()
		if failed != nil || total >= goal {
			return acked, failed
		}
		select {
		case <-news:
		case <-ctx.Done():
			return acked, fmt.Errorf("%d of %d acknowledged: %w", total, goal, ctx.Err())
		}
		w.mu.Lock()
	}
}

// TestKillLosesNothingAcknowledged: a kill ends the process, not the system, so both durabilities keep the promise.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	if *seed == 0 {
		*seed = rand.Uint64()
	}
	for _, durability := range []string{"fsync", "os"} {
		t.Run(durability, func(t *testing.T) { kill(t, []string{"--durability", durability}, restart) })
	}
	t.Run("seaweedfs", func(t *testing.T) {
		w := harness.StartSeaweedFS(t)
		kill(t, []string{"--store", w.Store("kelp")}, func(b *harness.Broker, random *rand.Rand) error {
			switch random.IntN(3) {
			case 0: // the node
				return restart(b, random)
			case 1: // what it keeps its records on
				return errors.Join(w.Kill(), w.Resume())
			default: // both
				return errors.Join(w.Kill(), b.Kill(), w.Resume(), b.Resume())
			}
		})
	})
}

func restart(b *harness.Broker, _ *rand.Rand) error { return errors.Join(b.Kill(), b.Resume()) }

// kill lets fault end something and bring it back, again and again.
func kill(t *testing.T, flags []string, fault func(*harness.Broker, *rand.Rand) error) {
	t.Logf("repeat with: go test ./crash -run %s -seed %d -for %s", t.Name(), *seed, *duration)
	random := rand.New(rand.NewPCG(*seed, 0))
	b, err := harness.OpenWith(harness.Target(), t.TempDir(), harness.Options{KelpFlags: flags})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("stop %s: %v", b.Kind, err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), *duration+2*time.Minute)
	defer cancel()
	if err := (franz.Client{Addr: b.Addr}).CreateTopic(ctx, "crash", partitions); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.MaxBufferedRecords(2000), kgo.ProducerBatchMaxBytes(16<<10))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	w := &writer{client: client, news: make(chan struct{})}
	producing, stop := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { w.run(producing) })
	defer done.Wait()
	defer stop()

	rounds := 0
	for end := time.Now().Add(*duration); time.Now().Before(end); rounds++ {
		if _, err := w.more(ctx, 1+random.Int64N(3000)); err != nil {
			t.Fatalf("round %d: %v", rounds, err)
		}
		if err := fault(b, random); err != nil {
			t.Fatalf("round %d: %v", rounds, err)
		}
		acked, err := w.more(ctx, 0)
		if err != nil {
			t.Fatal(err)
		}
		verify(ctx, t, b.Addr, acked)
	}
	stop()
	done.Wait()
	if err := client.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	acked, err := w.more(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	verify(ctx, t, b.Addr, acked)
	t.Logf("%d kills, %d records acknowledged", rounds, acked[0]*partitions)
}

// verify reads every partition from its start to its end.
func verify(ctx context.Context, t *testing.T, addr string, acked [partitions]int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, "crash")
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(partitions) {
		end, _ := ends.Lookup("crash", p)
		if end.Err != nil || end.Offset < acked[p] {
			t.Fatalf("partition %d ends at %d, %d were acknowledged (%v)", p, end.Offset, acked[p], end.Err)
		}
		records, err := franz.Client{Addr: addr}.Consume(ctx, "crash", p, 0, int(end.Offset))
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range records {
			if string(r.Value) != strconv.Itoa(i) || r.Offset != int64(i) {
				t.Fatalf("partition %d: offset %d holds record %s, want %d", p, r.Offset, r.Value, i)
			}
		}
	}
}
