package validate

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/storage"
	"kelp/internal/storage/memory"
	"kelp/internal/topic"
)

// BenchmarkProduce appends batches of 100 Avro records of 1 KiB without validation, with ids and with payloads.
func BenchmarkProduce(b *testing.B) {
	r := openRegistry(b)
	text := `{"type":"record","name":"R","fields":[{"name":"id","type":"long"},{"name":"tags","type":{"type":"array","items":"string"}},` +
		`{"name":"amount","type":"double"},{"name":"body","type":"string"}]}`
	known := register(b, r, "t-value", schema.Avro, text)
	payload := []byte{2, 4, 6, 'a', 'b', 'c', 6, 'd', 'e', 'f', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xd0, 0xf}
	payload = append(payload, bytes.Repeat([]byte("x"), 1000)...)
	recs := slices.Repeat([]batch.Record{{TimestampMs: 1, Key: []byte("key"), Value: framed(known.ID, payload...)}}, 100)
	whole := batch.Encode(recs, batch.NoProducer())
	for name, rules := range map[string]*cluster.Validation{
		"off": nil, "id": {Value: true, ValueStrategy: cluster.TopicNameStrategy},
		"payload": {Value: true, ValueStrategy: cluster.TopicNameStrategy, Payload: true},
	} {
		b.Run(name, func(b *testing.B) {
			v := open(b, r, nil)
			config := &cluster.TopicConfig{
				MaxMessageBytes: 1 << 20, CompressionType: "producer", TimestampBeforeMaxMs: 1 << 60, TimestampAfterMaxMs: 1 << 60, Validation: rules,
			}
			t := cluster.Topic{Name: "t", Config: config}
			if rules != nil {
				if _, err := produce(b, v, "t", *rules, recs[0]); err != nil {
					b.Fatal(err)
				}
			}
			p, err := topic.Open(context.Background(), memory.New(), storage.Partition{Topic: [16]byte{9}}, topic.Options{
				Now: time.Now, Config: func() *cluster.TopicConfig { return config }, ProducerExpirationMs: 1 << 40,
			})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(whole)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Produce(whole, topic.Client{Inspection: v.Inspect(t)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
