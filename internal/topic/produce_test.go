package topic

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage/memory"
)

// configured opens a partition in memory whose topic has the options' configs as edit changes them.
func configured(t *testing.T, edit func(*cluster.TopicConfig)) *Partition {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { _ = s.Close() })
	o := options()
	c := o.Config()
	edit(c)
	o.Config = func() *cluster.TopicConfig { return c }
	p, err := Open(t.Context(), s, id, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func stored(t *testing.T, p *Partition) []byte {
	t.Helper()
	span, err := p.Read(t.Context(), 0, 1<<20, true)
	if err != nil {
		t.Fatal(err)
	}
	defer span.Release()
	b, err := span.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{}, b...)
}

func TestTheTopicsCompressionTypeDecides(t *testing.T) {
	for name, want := range map[string]batch.Codec{
		"producer": batch.Snappy, "uncompressed": batch.None, "gzip": batch.Gzip, "snappy": batch.Snappy, "lz4": batch.LZ4, "zstd": batch.Zstd,
	} {
		t.Run(name, func(t *testing.T) {
			p := configured(t, func(c *cluster.TopicConfig) { c.CompressionType, c.GzipLevel, c.LZ4Level, c.ZstdLevel = name, -1, 9, 3 })
			sent, err := batch.Recompress(of(-1, -1, -1, 10, 20), batch.Snappy, 0, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			a, err := p.Produce(append([]byte{}, sent...), Client{})
			if err != nil || a.Pending.Wait(t.Context()) != nil {
				t.Fatal(err)
			}
			got := stored(t, p)
			h, err := batch.Validate(got, 1<<20, nil)
			if err != nil || h.Codec() != want || h.Count != 2 || h.MaxTimestampMs != 20 {
				t.Errorf("stored %+v, %v, want codec %d", h, err, want)
			}
			if want == batch.Snappy && string(got[batch.HeaderBytes:]) != string(sent[batch.HeaderBytes:]) {
				t.Error("the producer's bytes were changed without need")
			}
		})
	}
}

func TestLogAppendTimeReplacesTimestamps(t *testing.T) {
	p := configured(t, func(c *cluster.TopicConfig) { c.LogAppendTime = true })
	a, err := p.Produce(of(-1, -1, -1, 10, 1<<50), Client{}) // neither is looked at
	if err != nil || a.Pending.Wait(t.Context()) != nil || a.LogAppendTimeMs != 5000 {
		t.Fatalf("%+v %v", a, err)
	}
	for rec, err := range batch.Records(stored(t, p), 1<<20) {
		if err != nil || rec.TimestampMs != 5000 {
			t.Errorf("record %d has time %d, %v", rec.Offset, rec.TimestampMs, err)
		}
	}
}

// TestRefusedRecordsAreNamed: nothing of a batch with a bad record is stored (KIP-467).
func TestRefusedRecordsAreNamed(t *testing.T) {
	f := func(name string, edit func(*cluster.TopicConfig), want *kerr.Error, b []byte, records ...int32) {
		t.Run(name, func(t *testing.T) {
			p := configured(t, edit)
			_, err := p.Produce(b, Client{})
			rejected, ok := errors.AsType[*Rejected](err)
			if !ok || !errors.Is(err, want) || len(rejected.Records) != len(records) {
				t.Fatalf("%v, want %v at %v", err, want, records)
			}
			for i, r := range rejected.Records {
				if r.Index != records[i] || r.Message == "" {
					t.Errorf("record %d %q, want %d", r.Index, r.Message, records[i])
				}
			}
			if p.HighWatermark() != 0 {
				t.Error("something was stored")
			}
		})
	}
	f("too late", func(c *cluster.TopicConfig) { c.TimestampAfterMaxMs = 100 }, kerr.InvalidTimestamp, of(-1, -1, -1, 5100, 5101, 1), 1)
	f("too early", func(c *cluster.TopicConfig) { c.TimestampBeforeMaxMs = 100 }, kerr.InvalidTimestamp, of(-1, -1, -1, 4899, 4900, 5), 0, 2)
	keyed := batch.Encode([]batch.Record{{Key: []byte("k")}, {Value: []byte("no key")}, {Key: []byte{}}}, batch.NoProducer())
	f("compacted without a key", func(c *cluster.TopicConfig) { c.Compact = true }, kerr.InvalidRecord, keyed, 1)
}

func TestSilentProducersAreForgotten(t *testing.T) {
	s := memory.New()
	defer s.Close()
	o := options()
	now := o.Now()
	o.ProducerExpirationMs, o.Now = 60_000, func() time.Time { return now }
	p, err := Open(t.Context(), s, id, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Produce(of(9, 0, 4, 1), Client{}); err != nil {
		t.Fatal(err)
	}
	if len(p.Producers()) != 1 {
		t.Fatal("not remembered")
	}
	now = now.Add(59_999 * time.Millisecond)
	if err := p.Clean(t.Context()); err != nil || len(p.Producers()) != 1 {
		t.Fatalf("forgotten early, %v", err)
	}
	now = now.Add(time.Millisecond)
	if err := p.Clean(t.Context()); err != nil || len(p.Producers()) != 0 {
		t.Fatalf("still remembered, %v", err)
	}
}
