package seaweedfs

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/e2e/diff"
	"kelp/e2e/franz"
	"kelp/e2e/harness"
)

// While SeaweedFS is away, producers and who changes topics or commits offsets are told an error that
// they may try again, what is in memory can be read, and the process is alive and not ready. When it is
// back everything goes on by itself.
func TestAway(t *testing.T) {
	w := harness.StartSeaweedFS(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	p := begin(t, binaryOf(t), "--store", w.Store("kelp"))
	await(ctx, t, "http://"+p.http+"/readyz", http.StatusOK, "ok")
	client, err := kgo.NewClient(kgo.SeedBrokers(p.kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "away"); err != nil {
		t.Fatal(err)
	}
	// One try each, so that the answer of the server is seen and not what the client makes of it.
	produce := func() error { return produceOnce(ctx, client, "away") }
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	if err := w.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := produce(); !errors.Is(err, kerr.KafkaStorageError) {
		t.Fatalf("produce: %v, want KAFKA_STORAGE_ERROR", err)
	}
	await(ctx, t, "http://"+p.http+"/readyz", http.StatusServiceUnavailable, "SeaweedFS")
	await(ctx, t, "http://"+p.http+"/healthz", http.StatusOK, "ok")
	if resp, err := admin.CreateTopic(ctx, 1, 1, nil, "other"); err == nil && !kerr.IsRetriable(resp.Err) {
		t.Fatalf("create a topic: %v, want an error that may be tried again", resp.Err)
	}
	if got, err := (franz.Client{Addr: p.kafka}).Consume(ctx, "away", 0, 0, 1); err != nil || len(got) != 1 {
		t.Fatalf("what is in memory: %d records, %v", len(got), err)
	}
	if err := w.Resume(); err != nil {
		t.Fatal(err)
	}
	again := func(what string, try func() error) {
		t.Helper()
		for err := try(); err != nil; err = try() {
			select {
			case <-ctx.Done():
				t.Fatalf("%s after SeaweedFS is back: %v", what, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	again("produce", produce)
	again("create a topic", func() error {
		_, err := admin.CreateTopic(ctx, 1, 1, nil, "other")
		if errors.Is(err, kerr.TopicAlreadyExists) { // a try whose answer was an error took place
			return nil
		}
		return err
	})
	again("commit", func() error {
		var offsets kadm.Offsets
		offsets.Add(kadm.Offset{Topic: "away", Partition: 0, At: 1, LeaderEpoch: -1})
		resp, err := admin.CommitOffsets(ctx, "group", offsets)
		if err != nil {
			return err
		}
		return resp.Error()
	})
	await(ctx, t, "http://"+p.http+"/readyz", http.StatusOK, "ok")
	end(ctx, t, p)
}

// produceOnce sends one batch and gives the server's error.
func produceOnce(ctx context.Context, client *kgo.Client, topic string) error {
	meta, err := kadm.NewClient(client).Metadata(ctx, topic)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 30_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = topic, meta.Topics[topic].ID
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = diff.Batch(func(*kmsg.RecordBatch) {}, "value")
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := client.Broker(int(meta.Controller)).Request(ctx, req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode)
}
