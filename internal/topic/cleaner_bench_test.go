package topic

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/storage/memory"
)

// BenchmarkCleaner compacts 32 MiB of records of about 1 KiB, 100 in a batch, four of each key. MB/s
// are of the bytes before compaction; each is read twice, for its keys and to be kept or dropped.
func BenchmarkCleaner(b *testing.B) {
	for codec := batch.None; codec <= batch.Zstd; codec++ {
		b.Run(fmt.Sprint("codec=", codec), func(b *testing.B) {
			const batches = 320
			r := rand.New(rand.NewPCG(1, 2))
			var stored [][]byte
			total := 0
			for range batches {
				recs := make([]batch.Record, 100)
				for i := range recs {
					value := make([]byte, 1000)
					for j := 0; j < len(value); j += 1 + r.IntN(4) { // something that compresses
						value[j] = byte(r.IntN(256))
					}
					recs[i] = batch.Record{Key: fmt.Append(nil, "key-", r.IntN(batches*100/4)), Value: value}
				}
				enc, err := batch.Recompress(batch.Encode(recs, batch.NoProducer()), codec, 1, 1<<20)
				if codec == batch.None {
					enc, err = batch.Encode(recs, batch.NoProducer()), nil
				}
				if err != nil {
					b.Fatal(err)
				}
				stored = append(stored, enc)
				total += len(enc)
			}
			b.SetBytes(int64(total))
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				c, p := benchmarkLog(b, stored)
				b.StartTimer()
				c.Run(b.Context())
				if p.cleaned.Load() == 0 {
					b.Fatal("nothing was cleaned")
				}
				b.ReportMetric(float64(p.Bytes())/float64(total), "left")
			}
		})
	}
}

func benchmarkLog(b *testing.B, stored [][]byte) (*Cleaner, *Partition) {
	b.Helper()
	s := memory.New()
	b.Cleanup(func() { _ = s.Close() })
	config := &cluster.TopicConfig{
		MaxMessageBytes: 1 << 20, CompressionType: "producer", TimestampBeforeMaxMs: 1 << 60, TimestampAfterMaxMs: 1 << 60,
		Compact: true, DeleteRetentionMs: 1000, MaxCompactionLagMs: 1<<63 - 1, SegmentBytes: 4 << 20, SegmentMs: 1<<63 - 1,
	}
	set := NewSet(s, func(storage.Partition) Options {
		return Options{Config: func() *cluster.TopicConfig { return config }, Now: time.Now, ProducerExpirationMs: 1 << 60}
	})
	p, err := set.Get(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	for _, records := range stored {
		a, err := p.Produce(append([]byte{}, records...), Client{})
		if err != nil || a.Pending.Wait(b.Context()) != nil {
			b.Fatal(err)
		}
	}
	settled(b, p)
	return NewCleaner(set, CleanerOptions{DedupeBytes: 128 << 20}), p
}
