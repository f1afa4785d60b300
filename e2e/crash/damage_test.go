package crash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
)

const damagedRecords = 30 // of each partition

func valueOf(partition int32, n int) string {
	return fmt.Sprintf("record %d of partition %d.", n, partition)
}

// flipBit flips one bit of the text in the one file of the folder that holds it.
func flipBit(t *testing.T, folder, text string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(b, []byte(text)); i >= 0 {
			found++
			b[i] ^= 4
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found != 1 {
		t.Fatalf("%q is in %d of %d files", text, found, len(names))
	}
}

// readUntilDamage consumes a partition from an offset on until it says KAFKA_STORAGE_ERROR.
func readUntilDamage(ctx context.Context, t *testing.T, addr string, partition int32, from int64) (values []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.KeepRetryableFetchErrors(), kgo.ConsumePartitions(
		map[string]map[int32]kgo.Offset{"damaged": {partition: kgo.NewOffset().At(from)}}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, kerr.KafkaStorageError) {
				t.Fatalf("partition %d: %v", partition, e.Err)
			}
			return values
		}
	}
}

// TestDamageIsReportedAndTheRestServes: after a kill one bit is flipped in the middle of a partition and
// one in the newest record of another. Both are KAFKA_STORAGE_ERROR, nothing wrong is served and nothing
// acknowledged is cut; the third partition notices nothing, and takes records.
func TestDamageIsReportedAndTheRestServes(t *testing.T) {
	dir := t.TempDir()
	b, err := harness.OpenWith(harness.Kelp, dir, harness.Options{KelpFlags: harness.InFolder})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Close(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := (franz.Client{Addr: b.Addr}).CreateTopic(ctx, "damaged", 3); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	put := func(partition int32, value string) {
		t.Helper()
		r := &kgo.Record{Topic: "damaged", Partition: partition, Value: []byte(value)}
		if err := client.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	write := func(from, to int) {
		for n := from; n < to; n++ {
			for p := range int32(3) {
				put(p, valueOf(p, n))
			}
		}
	}
	write(0, damagedRecords-5)
	if err := b.Restart(); err != nil { // what partitions remember is saved
		t.Fatal(err)
	}
	write(damagedRecords-5, damagedRecords)
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "data", "log")
	flipBit(t, folder, valueOf(1, 12))
	flipBit(t, folder, valueOf(2, damagedRecords-1))
	if err := b.Resume(); err != nil {
		t.Fatal(err)
	}

	values := readUntilDamage(ctx, t, b.Addr, 1, 0)
	if len(values) != 12 || values[11] != valueOf(1, 11) {
		t.Errorf("before the damage %d records were served, want 12", len(values))
	}
	if values := readUntilDamage(ctx, t, b.Addr, 1, 12); len(values) != 0 {
		t.Errorf("damage was served as %q", values)
	}
	for p, from := range map[int32]int64{0: 0, 1: 13} { // behind it, and what is whole
		put(p, "after the damage")
		records, err := franz.Client{Addr: b.Addr}.Consume(ctx, "damaged", p, from, damagedRecords+1-int(from))
		if err != nil || string(records[len(records)-1].Value) != "after the damage" || string(records[0].Value) != valueOf(p, int(from)) {
			t.Errorf("partition %d from %d: %d records, %v", p, from, len(records), err)
		}
	}
	if values := readUntilDamage(ctx, t, b.Addr, 2, damagedRecords-1); len(values) != 0 {
		t.Errorf("the newest record was damaged and served as %q", values)
	}
}
