package transactions

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/e2e/transactions/copiers"
)

const perPartition = 100 // numbers in each half of a copy

// copied lets a client copy a topic over a restart of the server, and gives the epoch that its producer then has.
func copied(t *testing.T, name string, most int16) int16 {
	ctx, b := start(t, "from", "to")
	c := client(t, b.Addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if most >= 0 {
		finalize(ctx, t, c, most)
	}
	if err := copiers.Fill(ctx, c, "from", 0, perPartition); err != nil {
		t.Fatal(err)
	}
	job := copiers.Copy{Addr: b.Addr, ID: "copier", Group: "copiers", From: "from", To: "to"}
	copier := copiers.Start(t, name, job)
	check := func(n int) {
		t.Helper()
		if err := copiers.Check(ctx, b.Addr, "to", n); err != nil {
			t.Fatalf("%v\n%s", err, copier.Said())
		}
	}
	check(perPartition)
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	c = client(t, b.Addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := copiers.Fill(ctx, c, "from", perPartition, perPartition); err != nil {
		t.Fatal(err)
	}
	check(2 * perPartition)
	copier.Stop()
	admin := kadm.NewClient(client(t, b.Addr)) // its connection is from after the restart
	// The reader may have seen the last commit before its marker was with the group.
	offsets, err := admin.FetchOffsets(kadm.RequireStable(ctx), "copiers")
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(copiers.Partitions) {
		if o, _ := offsets.Lookup("from", p); o.At != 2*perPartition {
			t.Errorf("partition %d: %d is committed, want %d", p, o.At, 2*perPartition)
		}
	}
	described, err := admin.DescribeTransactions(ctx, "copier")
	if err != nil {
		t.Fatal(err)
	}
	return described["copier"].ProducerEpoch
}

func TestCopy(t *testing.T) {
	for _, name := range []string{"franz", "sarama", "confluent"} { // Java has a test of its own
		t.Run(name, func(t *testing.T) { copied(t, name, -1) })
	}
}

// The Java client speaks the protocol that transaction.version allows: its epoch tells which.
func TestJavaSpeaksTheFinalizedProtocol(t *testing.T) {
	t.Run("second", func(t *testing.T) {
		if epoch := copied(t, "java", 2); epoch < 10 {
			t.Errorf("epoch %d: the ends of transactions did not bump it", epoch)
		}
	})
	t.Run("first", func(t *testing.T) {
		if epoch := copied(t, "java", 0); epoch > 5 {
			t.Errorf("epoch %d: the ends of transactions bumped it", epoch)
		}
	})
}

// finalize caps the protocol of transactions.
func finalize(ctx context.Context, t *testing.T, c *kgo.Client, level int16) {
	t.Helper()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.TimeoutMillis = 10_000
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.UpgradeType = "transaction.version", level, 2
	if level == 2 {
		u.UpgradeType = 1
	}
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		t.Fatal(err)
	}
}
