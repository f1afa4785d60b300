package topic

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
)

// BenchmarkProduceBesideCleaning is one producer of a batch of 1 KiB every millisecond, acknowledged after a
// sync, while another topic takes 64 KiB every two milliseconds and is compacted all the time, or not at
// all. It needs a real disk: TMPDIR says which.
func BenchmarkProduceBesideCleaning(b *testing.B) {
	for _, cleaning := range []bool{false, true} {
		b.Run(fmt.Sprintf("cleaning=%v", cleaning), func(b *testing.B) { besideCleaning(b, cleaning) })
	}
}

func besideCleaning(b *testing.B, cleaning bool) {
	s, err := embedded.Open(b.TempDir(), embedded.Options{Sync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	config := func(compact bool) *cluster.TopicConfig {
		return &cluster.TopicConfig{
			MaxMessageBytes: 1 << 20, CompressionType: "producer", TimestampBeforeMaxMs: 1 << 60, TimestampAfterMaxMs: 1 << 60,
			Compact: compact, Delete: !compact, RetentionMs: -1, RetentionBytes: -1,
			DeleteRetentionMs: 1000, MaxCompactionLagMs: 1<<63 - 1, SegmentBytes: 8 << 20, SegmentMs: 1<<63 - 1,
		}
	}
	compacted := storage.Partition{Topic: [16]byte{2}}
	set := NewSet(s, func(p storage.Partition) Options {
		return Options{Config: func() *cluster.TopicConfig { return config(p == compacted) }, Now: time.Now, ProducerExpirationMs: 1 << 60}
	})
	get := func(id storage.Partition) *Partition {
		p, err := set.Get(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	quiet, busy := get(id), get(compacted)
	ctx, stop := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { fillKeys(ctx, b, busy) })
	var runs atomic.Int64
	if cleaning {
		wg.Go(func() {
			c := NewCleaner(set, CleanerOptions{DedupeBytes: 64 << 20})
			for before := busy.cleaned.Load(); ctx.Err() == nil; before = busy.cleaned.Load() {
				c.Run(ctx)
				if busy.cleaned.Load() != before {
					runs.Add(1)
				}
			}
		})
	}
	value := batch.Encode([]batch.Record{{Value: make([]byte, 1024)}}, batch.NoProducer())
	took := make([]time.Duration, 0, b.N)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for b.Loop() {
		<-tick.C
		began := time.Now()
		a, err := quiet.Produce(slices.Clone(value), Client{})
		if err == nil {
			err = a.Pending.Wait(b.Context())
		}
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	for name, q := range map[string]float64{"p50-ms": .5, "p99-ms": .99} {
		b.ReportMetric(float64(took[int(float64(len(took)-1)*q)])/1e6, name)
	}
	b.ReportMetric(float64(runs.Load()), "cleanings")
}

// fillKeys writes 64 records of 1 KiB with keys out of ten thousand, again and again.
func fillKeys(ctx context.Context, b *testing.B, p *Partition) {
	r := rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		recs := make([]batch.Record, 64)
		for i := range recs {
			recs[i] = batch.Record{Key: fmt.Append(nil, "key-", r.IntN(10_000)), Value: make([]byte, 1000)}
		}
		if _, err := p.Produce(batch.Encode(recs, batch.NoProducer()), Client{}); err != nil && ctx.Err() == nil {
			b.Error(err)
			return
		}
	}
}
