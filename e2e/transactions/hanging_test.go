package transactions

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
)

// lost are transactional ids of the same length as what damage makes of them.
const (
	lost    = "lost-by-coordinator"
	damaged = "LOST-BY-COORDINATOR"
)

// forget takes the records with the transactional ids that begin with lost out of the log of a stopped server, as a disk may:
// their checksums no longer hold, and a repair gives them up. The records that the producers wrote do not name the ids.
func forget(t *testing.T, b *harness.Broker, folder string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found += bytes.Count(text, []byte(lost))
		if err := os.WriteFile(name, bytes.ReplaceAll(text, []byte(lost), []byte(damaged)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Fatalf("no record of the coordinator in %v", names)
	}
	tool(t, b.Binary(), "log", "repair", folder, "--yes")
}

// hanging gives the partitions in the table of hanging transactions that a tool prints.
func hanging(table string) (partitions []string) {
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "t" {
			partitions = append(partitions, fields[0]+"/"+fields[1])
		}
	}
	return partitions
}

// A transaction that no coordinator knows keeps readers of committed records waiting for ever: an operator finds it and ends it,
// with Apache Kafka's tool and with kelp txn. Only Kelp's log can be made to forget, so this is not run against Apache Kafka.
func TestATransactionThatTheCoordinatorLost(t *testing.T) {
	dir := t.TempDir()
	b, err := harness.OpenWith(harness.Kelp, dir, harness.Options{KelpFlags: harness.InFolder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := (franz.Client{Addr: b.Addr}).CreateTopic(ctx, "t", 2); err != nil {
		t.Fatal(err)
	}
	hang := func(id string, partition int32) {
		c := client(t, b.Addr, kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		// The tool looks at transactions whose last record is older than a timeout in minutes.
		old := &kgo.Record{Topic: "t", Partition: partition, Value: []byte("hangs"), Timestamp: time.Now().Add(-time.Hour)}
		if err := c.ProduceSync(ctx, old).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	hang(lost+"-0", 0)
	hang(lost+"-1", 1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	forget(t, b, filepath.Join(dir, "data", "log"))
	if err := b.Resume(); err != nil {
		t.Fatal(err)
	}
	plain := client(t, b.Addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for p := range int32(2) {
		if err := plain.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: p, Value: []byte("after")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	listed, err := kadm.NewClient(plain).ListTransactions(ctx, nil, nil)
	if err != nil || len(listed) != 0 {
		t.Fatalf("the coordinator knows %v (%v)", listed, err)
	}
	stable := func() (at [2]int64) {
		offsets, err := kadm.NewClient(plain).ListCommittedOffsets(ctx, "t")
		if err != nil {
			t.Fatal(err)
		}
		for p := range at {
			o, _ := offsets.Lookup("t", int32(p))
			at[p] = o.Offset
		}
		return at
	}
	if at := stable(); at != [2]int64{0, 0} {
		t.Fatalf("readers of committed records come to %v past a transaction that hangs", at)
	}

	find := []string{"find-hanging", "--broker-id", "1", "--max-transaction-timeout", "1", "--topic", "t"}
	if found := hanging(kafkaTransactions(t, b.Addr, find...)); strings.Join(found, " ") != "t/0 t/1" {
		t.Errorf("the tool finds %v", found)
	}
	kafkaTransactions(t, b.Addr, "abort", "--topic", "t", "--partition", "0", "--start-offset", "0")
	if at := stable(); at != [2]int64{3, 0} {
		t.Errorf("after one was ended readers come to %v", at)
	}
	kelp := func(args ...string) string {
		return tool(t, b.Binary(), append([]string{"txn", "--server", b.Addr}, args...)...)
	}
	if found := hanging(kelp("abort", "--find", "--topic", "t")); strings.Join(found, " ") != "t/1" {
		t.Errorf("kelp finds %v", found)
	}
	wants(t, kelp("abort", "--topic", "t", "--partition", "1", "--start-offset", "0"), "aborted the transaction of producer")
	if found := hanging(kafkaTransactions(t, b.Addr, find...)); len(found) != 0 {
		t.Errorf("nothing hangs any more, and the tool finds %v", found)
	}
	if got := committed(ctx, t, b.Addr, "t"); strings.Join(got, " ") != "after after" {
		t.Error(got)
	}
	// The ids are free for whoever comes.
	if _, err := initProducer(ctx, t, plain, lost+"-0", time.Minute); err != nil {
		t.Error(err)
	}
}
