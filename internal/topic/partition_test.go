package topic

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
)

var id = storage.Partition{Topic: [16]byte{1}}

func options() Options {
	return Options{
		Config: func() *cluster.TopicConfig {
			return &cluster.TopicConfig{
				MaxMessageBytes: 1000, CompressionType: "producer", TimestampBeforeMaxMs: 1 << 60, TimestampAfterMaxMs: 1000, Delete: true,
			}
		},
		Now:                  func() time.Time { return time.UnixMilli(5000) },
		ProducerExpirationMs: 1 << 60,
	}
}

func opened(t *testing.T, dir string) (*embedded.Store, *Partition) {
	t.Helper()
	s, err := embedded.Open(dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(t.Context(), s, id, options())
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

func of(producer int64, epoch int16, sequence int32, times ...int64) []byte {
	var recs []batch.Record
	for _, ms := range times {
		recs = append(recs, batch.Record{TimestampMs: ms, Value: []byte("v")})
	}
	return batch.Encode(recs, batch.Options{ProducerID: producer, ProducerEpoch: epoch, BaseSequence: sequence})
}

func TestIdempotentProducersAcrossARestart(t *testing.T) {
	dir := t.TempDir()
	s, p := opened(t, dir)
	put := func(b []byte, offset int64, want error) {
		t.Helper()
		a, err := p.Produce(b, Client{})
		if want != nil || err != nil {
			if !errors.Is(err, want) {
				t.Fatalf("%v, want %v", err, want)
			}
			return
		}
		if a.Pending != nil {
			if err := a.Pending.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if a.BaseOffset != offset {
			t.Fatalf("offset %d, want %d", a.BaseOffset, offset)
		}
	}
	put(of(9, 0, 0, 1, 2), 0, nil)
	put(of(9, 0, 2, 3), 2, nil)
	put(of(9, 0, 0, 1, 2), 0, nil) // the same again: the first offset
	put(of(9, 0, 7, 1), 0, kerr.OutOfOrderSequenceNumber)
	put(of(9, 1, 3, 1), 0, kerr.OutOfOrderSequenceNumber)
	put(of(9, 1, 0, 4), 3, nil)
	put(of(9, 0, 3, 1), 0, kerr.InvalidProducerEpoch)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, p = opened(t, dir)
	defer s.Close()
	if p.HighWatermark() != 4 {
		t.Fatal(p.HighWatermark())
	}
	put(of(9, 1, 0, 4), 3, nil)
	put(of(9, 1, 1, 5), 4, nil)
	put(of(9, 0, 3, 1), 0, kerr.InvalidProducerEpoch)
}

func TestTimesAreFoundInsideBatches(t *testing.T) {
	s, p := opened(t, t.TempDir())
	defer s.Close()
	for _, times := range [][]int64{{10, 30, 20}, {15}, {40}} {
		a, err := p.Produce(of(-1, -1, -1, times...), Client{})
		if err != nil || a.Pending.Wait(t.Context()) != nil {
			t.Fatal(err)
		}
	}
	f := func(at, offset, ms int64) {
		t.Helper()
		if o, m, err := p.FindTime(t.Context(), at); o != offset || m != ms || err != nil {
			t.Errorf("at %d: %d %d %v", at, o, m, err)
		}
	}
	f(0, 0, 10)
	f(16, 1, 30)
	f(31, 4, 40)
	f(41, -1, -1)
	if low, err := p.DeleteRecords(t.Context(), 1); low != 1 || err != nil {
		t.Fatal(low, err)
	}
	f(0, 1, 30)
	if o, ms, err := p.MaxTimestamp(t.Context()); o != 4 || ms != 40 || err != nil {
		t.Fatal(o, ms, err)
	}
}

func TestBadBatchesGetKafkasCodes(t *testing.T) {
	s, p := opened(t, t.TempDir())
	defer s.Close()
	f := func(b []byte, want *kerr.Error) {
		t.Helper()
		if _, err := p.Produce(b, Client{}); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	f(nil, kerr.InvalidRecord)
	f(of(-1, -1, -1, make([]int64, 200)...), kerr.MessageTooLarge)
	f(make([]byte, 70), kerr.InvalidRecord)
	f(of(-1, -1, -1, 6001), kerr.InvalidTimestamp)
	torn := of(-1, -1, -1, 1)
	torn[len(torn)-1]++
	f(torn, kerr.CorruptMessage)
	if p.HighWatermark() != 0 {
		t.Fatal("something was stored")
	}
}
