package crash

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
)

// onSmallDisk mounts a file system of 220 MiB, which no other process sees, on the data folder.
func onSmallDisk(dir string) []string {
	return []string{
		"unshare", "--user", "--map-root-user", "--mount", "sh", "-ec",
		`mkdir -p "$0"; mount -t tmpfs -o size=220m tmpfs "$0"; exec "$@"`, filepath.Join(dir, "data"),
	}
}

// TestAFullDisk: while there is no room produce is refused with KAFKA_STORAGE_ERROR and everything
// acknowledged is read; a topic is deleted, and the same producer goes on without a restart.
func TestAFullDisk(t *testing.T) {
	dir := t.TempDir()
	prefix := onSmallDisk(dir)
	if out, err := exec.Command(prefix[0], append(prefix[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("this system gives tests no file system of their own (%v: %s); the log's own tests fill one in memory", err, out)
	}
	b, err := harness.OpenWith(harness.Kelp, dir, harness.Options{KelpPrefix: prefix, KelpFlags: harness.InFolder})
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
	for _, topic := range []string{"kept", "filler"} {
		if err := (franz.Client{Addr: b.Addr}).CreateTopic(ctx, topic, 1); err != nil {
			t.Fatal(err)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.DisableIdempotentWrite(), kgo.MetadataMinAge(50*time.Millisecond), kgo.RecordRetries(2),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	value := make([]byte, 512<<10)
	put := func(topic string) error {
		return client.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: 0, Value: value}).FirstErr()
	}
	if err := put("kept"); err != nil {
		t.Fatal(err)
	}
	acked := 0
	for ; ; acked++ {
		if err := put("filler"); err != nil {
			if !errors.Is(err, kerr.KafkaStorageError) {
				t.Fatalf("after %d records: %v", acked, err)
			}
			break
		}
	}
	if acked < 50 {
		t.Errorf("full after %d records", acked)
	}
	if err := put("kept"); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("another topic on a full disk: %v", err)
	}
	records, err := franz.Client{Addr: b.Addr}.Consume(ctx, "filler", 0, 0, acked)
	if err != nil || len(records) != acked {
		t.Errorf("%d of %d records are read on a full disk: %v", len(records), acked, err)
	}
	if _, err := kadm.NewClient(client).DeleteTopics(ctx, "filler"); err != nil {
		t.Fatalf("delete a topic on a full disk: %v", err)
	}
	for err = put("kept"); err != nil; err = put("kept") { // until space is back
		if ctx.Err() != nil {
			t.Fatalf("after the topic was deleted: %v\n%s", err, b.Tail())
		}
	}
	end, err := kadm.NewClient(client).ListEndOffsets(ctx, "kept")
	if offset, _ := end.Lookup("kept", 0); err != nil || offset.Offset < 2 {
		t.Errorf("the topic ends at %d, %v", offset.Offset, err)
	}
}
