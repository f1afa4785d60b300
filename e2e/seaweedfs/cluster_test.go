package seaweedfs

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
	"kelp/e2e/suite"
)

// binaryOf builds the kelp under test.
func binaryOf(t *testing.T) string {
	t.Helper()
	b, err := harness.Built(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Each filer with an embedded store of its own sees late what is written to the other: a node refuses
// to choose, goes where it is told to, and afterwards no node goes elsewhere.
func TestSeveralFilers(t *testing.T) {
	w := harness.StartCluster(t, harness.ClusterOptions{Masters: 3, Filers: 2})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	kelp := binaryOf(t)
	refused := func(store, why string) {
		t.Helper()
		p := begin(t, kelp, "--store", store)
		if err := p.ends(ctx); err == nil || !strings.Contains(p.log.String(), why) {
			t.Fatalf("%s: %v, want a refusal with %q\n%s", store, err, why, p.log)
		}
	}
	awaitFilers(ctx, t, w)
	refused(w.Store("kelp"), "metadata stores of their own")
	first := begin(t, kelp, "--store", w.Store("kelp")+"?collection=kelp&replication=000&filer="+w.Filers[1].Addr)
	await(ctx, t, "http://"+first.http+"/readyz", http.StatusOK, "ok")
	refused(w.Store("kelp")+"?filer="+w.Filers[0].Addr, "is written through filer "+w.Filers[1].Addr)
	// Without a name a node finds the right one; and another master leads.
	second := begin(t, kelp, "--store", w.Store("kelp"))
	await(ctx, t, "http://"+second.http+"/readyz", http.StatusServiceUnavailable, "standing by")
	c := franz.Client{Addr: first.kafka}
	if err := c.CreateTopic(ctx, "t", 1); err != nil {
		t.Fatal(err)
	}
	records := []suite.Record{{TimestampMs: 1000, Key: []byte("k"), Value: []byte(strings.Repeat("large enough for a volume server ", 1000))}}
	if err := c.Produce(ctx, "t", "none", records); err != nil {
		t.Fatal(err)
	}
	leader := leaderOf(ctx, t, w)
	if err := leader.Kill(); err != nil {
		t.Fatal(err)
	}
	// The filer goes to the new leader by itself, and a node that comes now asks the masters that are left.
	third := begin(t, kelp, "--store", w.Store("kelp"))
	await(ctx, t, "http://"+third.http+"/readyz", http.StatusServiceUnavailable, "standing by")
	if text, err := w.Shell(ctx, "collection.list"); err != nil || !strings.Contains(text, `"kelp"`) {
		t.Fatalf("the collection is not used: %v %s", err, text)
	}
	records[0].Offset = 1
	if err := c.Produce(ctx, "t", "none", records); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*process{second, third} {
		end(ctx, t, p)
	}
	end(ctx, t, first)
	last := begin(t, kelp, "--store", w.Store("kelp"))
	await(ctx, t, "http://"+last.http+"/readyz", http.StatusOK, "ok")
	got, err := franz.Client{Addr: last.kafka}.Consume(ctx, "t", 0, 0, 2)
	if err != nil || string(got[1].Value) != string(records[0].Value) {
		t.Fatal(err)
	}
	end(ctx, t, last)
}

func end(ctx context.Context, t *testing.T, p *process) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.ends(ctx); err != nil {
		t.Error(err)
	}
}

// awaitFilers waits until the masters know all filers: before, a node could not know better.
func awaitFilers(ctx context.Context, t *testing.T, w *harness.Cluster) {
	t.Helper()
	for {
		text, _ := w.Shell(ctx, "cluster.ps")
		known := 0
		for _, f := range w.Filers {
			if strings.Contains(text, f.HTTP) {
				known++
			}
		}
		if known == len(w.Filers) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the masters do not know all filers: %s\n%s", text, w.Tails())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func leaderOf(ctx context.Context, t *testing.T, w *harness.Cluster) *harness.Weed {
	t.Helper()
	for _, m := range w.Masters {
		if _, text := page(ctx, "http://"+m.HTTP+"/cluster/status"); strings.Contains(text, `"IsLeader":true`) {
			return m
		}
	}
	t.Fatal("no master leads")
	return nil
}

// With certificates for gRPC, HTTPS on volume servers and keys for all tokens, SeaweedFS and Kelp read
// one security.toml. Who has none is not let in.
func TestSecurity(t *testing.T) {
	dir := t.TempDir()
	toml := harness.Certificates(t, dir)
	w := harness.StartCluster(t, harness.ClusterOptions{Security: toml})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	kelp := binaryOf(t)
	file := filepath.Join(w.Masters[0].Dir(), "security.toml")
	p := begin(t, kelp, "--store", w.Store("kelp"), "--store-security", file)
	await(ctx, t, "http://"+p.http+"/readyz", http.StatusOK, "ok")
	large := strings.Repeat("large enough for a volume server ", 500)
	roundTrip := func(p *process, topic string) {
		t.Helper()
		c := franz.Client{Addr: p.kafka}
		if err := c.CreateTopic(ctx, topic, 1); err != nil {
			t.Fatal(err)
		}
		for i := range 40 { // more than the file ids that one call brings
			record := suite.Record{Offset: int64(i), TimestampMs: 1000, Key: []byte("k"), Value: []byte(large)}
			if err := c.Produce(ctx, topic, "none", []suite.Record{record}); err != nil {
				t.Fatal(err)
			}
		}
	}
	roundTrip(p, "file")
	end(ctx, t, p)
	flags := []string{
		"--store-ca", filepath.Join(dir, "ca.pem"), "--store-cert", filepath.Join(dir, "cert.pem"), "--store-key", filepath.Join(dir, "key.pem"),
		"--store-https", "--store-jwt-key", harness.WriteKey, "--store-jwt-read-key", harness.ReadKey,
	}
	p = begin(t, kelp, append([]string{"--store", w.Store("kelp"), "--memory", "16MiB"}, flags...)...)
	await(ctx, t, "http://"+p.http+"/readyz", http.StatusOK, "ok")
	got, err := franz.Client{Addr: p.kafka}.Consume(ctx, "file", 0, 0, 40)
	if err != nil || string(got[39].Value) != large {
		t.Fatal(err)
	}
	roundTrip(p, "flags")
	end(ctx, t, p)
	plain := begin(t, kelp, "--store", w.Store("kelp"))
	await(ctx, t, "http://"+plain.http+"/readyz", http.StatusServiceUnavailable, "waiting for SeaweedFS")
	end(ctx, t, plain)
	wrong := begin(t, kelp, "--store", w.Store("kelp"), "--store-ca", filepath.Join(dir, "ca.pem"))
	if err := wrong.ends(ctx); err == nil || !strings.Contains(wrong.log.String(), "needs all three") {
		t.Fatalf("an authority alone: %v\n%s", err, wrong.log)
	}
}

// When no volume takes more, producers are told KAFKA_STORAGE_ERROR; consumers read on, and so do
// small batches, which lie in the filer. With a new volume server everything goes on by itself. So it
// does on volumes that somebody has marked as read-only.
func TestVolumesFull(t *testing.T) {
	w := harness.StartCluster(t, harness.ClusterOptions{VolumeMax: 2, VolumeMB: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	p := begin(t, binaryOf(t), "--store", w.Store("kelp"))
	await(ctx, t, "http://"+p.http+"/readyz", http.StatusOK, "ok")
	client, err := kgo.NewClient(kgo.SeedBrokers(p.kafka), kgo.DefaultProduceTopic("full"), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1), kgo.RecordRetries(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, "full"); err != nil {
		t.Fatal(err)
	}
	produce := func(bytes int) error {
		return client.ProduceSync(ctx, &kgo.Record{Value: []byte(strings.Repeat("x", bytes))}).FirstErr()
	}
	acked := 0
	for err = produce(500_000); err == nil; err = produce(500_000) {
		acked++
		if acked > 100 {
			t.Fatal("two volumes of 1 MB took 50 MB")
		}
	}
	if !isStorageError(err) {
		t.Fatalf("full volumes: %v, want KAFKA_STORAGE_ERROR", err)
	}
	if acked == 0 {
		t.Fatal("two volumes of 1 MB took nothing")
	}
	w.AddVolume()
	retry := func(what string, bytes int) {
		t.Helper()
		for {
			if err = produce(bytes); err == nil {
				acked++
				return
			}
			if !isStorageError(err) && ctx.Err() == nil {
				t.Fatalf("%s: %v", what, err)
			}
			if ctx.Err() != nil {
				t.Fatalf("%s: %v\n%s", what, err, p.log)
			}
		}
	}
	retry("a new volume server", 500_000)
	got, err := franz.Client{Addr: p.kafka}.Consume(ctx, "full", 0, 0, acked)
	if err != nil || len(got) < acked {
		t.Fatalf("%d of %d: %v", len(got), acked, err)
	}
	end(ctx, t, p)
}

func isStorageError(err error) bool {
	return err != nil && (strings.Contains(err.Error(), kerr.KafkaStorageError.Message) || strings.Contains(err.Error(), kgo.ErrRecordRetries.Error()))
}
