package transactions

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
)

// startWith starts the chosen server with further settings.
func startWith(t *testing.T, o harness.Options, topics ...string) (context.Context, *harness.Broker) {
	t.Helper()
	b, err := harness.OpenWith(harness.Target(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	for _, topic := range topics {
		if err := (franz.Client{Addr: b.Addr}).CreateTopic(ctx, topic, 2); err != nil {
			t.Fatal(err)
		}
	}
	return ctx, b
}

// eventually asks until something holds.
func eventually(ctx context.Context, t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: waited in vain", what)
		}
	}
}

// An open transaction keeps readers waiting for no longer than its producer said, and the producer can no longer commit it.
func TestAnOverdueTransactionIsAborted(t *testing.T) {
	web := harness.FreeAddr(t)
	ctx, b := startWith(t, harness.Options{
		KelpFlags:       []string{"--transaction-abort-check-interval", "100ms", "--http", web},
		KafkaProperties: []string{"transaction.abort.timed.out.transaction.cleanup.interval.ms=100"},
	}, "t")
	producer := client(t, b.Addr, kgo.TransactionalID("slow"), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionTimeout(time.Second))
	if err := producer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := producer.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("late")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(client(t, b.Addr))
	state := func() kadm.DescribedTransaction {
		described, err := admin.DescribeTransactions(ctx, "slow")
		if err != nil {
			t.Fatal(err)
		}
		return described["slow"]
	}
	before := state()
	eventually(ctx, t, "the abort of what is overdue", func() bool { return state().State == "CompleteAbort" })
	if after := state(); after.ProducerID != before.ProducerID || after.ProducerEpoch != before.ProducerEpoch+1 {
		t.Errorf("producer %d/%d became %d/%d", before.ProducerID, before.ProducerEpoch, after.ProducerID, after.ProducerEpoch)
	}
	// By KIP-890 the epoch before is that of the transaction which has just ended, and it did not end so.
	if err := producer.EndTransaction(ctx, kgo.TryCommit); !errors.Is(err, kerr.InvalidTxnState) {
		t.Errorf("the commit of what was aborted: %v", err)
	}
	if got := committed(ctx, t, b.Addr, "t"); len(got) != 0 {
		t.Error(got)
	}
	if b.Kind == harness.Kelp {
		wants(t, scrape(t, web), `kelp_transactions_overdue_total 1`, `kelp_transactions_ended_total{end="abort"} 1`,
			`kelp_transactional_ids{state="CompleteAbort"} 1`, `kelp_transaction_seconds_count 1`)
	}
}

// scrape gives the metrics.
func scrape(t *testing.T, web string) string {
	t.Helper()
	resp, err := http.Get("http://" + web + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func initProducer(ctx context.Context, t *testing.T, c *kgo.Client, id string, timeout time.Duration) (producerID int64, err error) {
	t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &id, int32(timeout.Milliseconds())
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return resp.ProducerID, kerr.ErrorForCode(resp.ErrorCode)
}

// A producer may ask for a timeout up to transaction.max.timeout.ms.
func TestTheLongestTimeoutOfATransaction(t *testing.T) {
	ctx, b := startWith(t, harness.Options{
		KelpFlags: []string{"--transaction-max-timeout", "20s"}, KafkaProperties: []string{"transaction.max.timeout.ms=20000"},
	})
	c := client(t, b.Addr)
	if _, err := initProducer(ctx, t, c, "long", 20*time.Second+time.Millisecond); !errors.Is(err, kerr.InvalidTransactionTimeout) {
		t.Errorf("more than the longest timeout: %v", err)
	}
	if _, err := initProducer(ctx, t, c, "long", 20*time.Second); err != nil {
		t.Errorf("the longest timeout: %v", err)
	}
}

// A transactional id that nobody uses is forgotten: its producer cannot go on, and whoever comes next gets another producer id.
func TestAnUnusedTransactionalIDExpires(t *testing.T) {
	ctx, b := startWith(t, harness.Options{
		KelpFlags: []string{"--transactional-id-expiration", "1s", "--transactional-id-check-interval", "100ms"},
		KafkaProperties: []string{
			"transactional.id.expiration.ms=1000", "transaction.remove.expired.transaction.cleanup.interval.ms=100",
		},
	}, "t")
	producer := client(t, b.Addr, kgo.TransactionalID("forgotten"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := transact(ctx, producer, "t", kgo.TryCommit, "kept"); err != nil {
		t.Fatal(err)
	}
	first, _, err := producer.ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, b.Addr)
	eventually(ctx, t, "the id is forgotten", func() bool {
		described, err := kadm.NewClient(c).DescribeTransactions(ctx, "forgotten")
		if err != nil {
			t.Fatal(err)
		}
		return errors.Is(described["forgotten"].Err, kerr.TransactionalIDNotFound)
	})
	if err := transact(ctx, producer, "t", kgo.TryCommit, "lost"); !errors.Is(err, kerr.InvalidProducerIDMapping) {
		t.Errorf("the producer of a forgotten id goes on: %v", err)
	}
	if second, err := initProducer(ctx, t, c, "forgotten", time.Minute); err != nil || second == first {
		t.Errorf("producer id %d again, or %v", second, err)
	}
	if got := committed(ctx, t, b.Addr, "t"); strings.Join(got, " ") != "kept" {
		t.Error(got)
	}
}
