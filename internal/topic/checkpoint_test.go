package topic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
	"kelp/internal/storage/memory"
)

// counted counts the bytes that are read from logs and fails what it is told to.
type counted struct {
	storage.Store
	read   int
	broken error // of appends and of opening
}

type countedLog struct {
	storage.Log
	s *counted
}

func (s *counted) Open(ctx context.Context, id storage.Partition, o storage.OpenOptions) (storage.Log, error) {
	if s.broken != nil {
		return nil, s.broken
	}
	l, err := s.Store.Open(ctx, id, o)
	return &countedLog{l, s}, err
}

func (l *countedLog) Read(ctx context.Context, r storage.ReadRange) (storage.Span, error) {
	span, err := l.Log.Read(ctx, r)
	if err == nil {
		l.s.read += span.Len()
	}
	return span, err
}

func (l *countedLog) Append(b storage.Batch) storage.Pending {
	if l.s.broken != nil {
		return lost{l.s.broken}
	}
	return l.Log.Append(b)
}

// lost is an append that has failed.
type lost struct{ err error }

func (p lost) Wait(context.Context) error { return p.err }

func (lost) Done() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// books is what a partition knows, to compare; when a producer was seen is left out.
func books(p *Partition) string {
	s := fmt.Sprintf("stable %d aborted %v cleaned %d", p.LastStableOffset(), p.txns.aborted, p.cleaned.Load())
	all := map[int64]producer{}
	for id, known := range p.producers {
		c := *known
		c.seenMs, c.bare = 0, false
		all[id] = c
	}
	return s + fmt.Sprint(all)
}

// TestACheckpointTakesThePlaceOfReplaying: what is known after a start is the same with any prefix of
// the log described by the checkpoint, and only the rest is read.
func TestACheckpointTakesThePlaceOfReplaying(t *testing.T) {
	steps := []func(p txnPartition){
		func(p txnPartition) { p.put(inTxn(7, 0, 0, 2), v1, 0) },
		func(p txnPartition) { p.put(of(8, 3, 0, 1), Client{}, 2) },
		func(p txnPartition) { p.put(inTxn(9, 1, 0, 1), v1, 3) },
		func(p txnPartition) { p.mark(Marker{ProducerID: 7, CoordinatorEpoch: 5}, nil) },
		func(p txnPartition) { p.put(of(8, 3, 1, 1), Client{}, 5) },
		func(p txnPartition) {
			p.mark(Marker{ProducerID: 9, ProducerEpoch: 2, TransactionVersion: 2, Commit: true}, nil)
		},
		func(p txnPartition) { p.put(inTxn(9, 2, 0, 1), v1, 7) },
		func(p txnPartition) { p.put(of(8, 3, 2, 1), Client{}, 8) },
	}
	for saved := range len(steps) + 1 {
		s := &counted{Store: memory.New()}
		p := txnPartition{reopened(t, s), t}
		for i, step := range steps {
			if i == saved {
				settled(t, p.Partition)
				if err := p.Checkpoint(t.Context(), true); err != nil {
					t.Fatal(err)
				}
			}
			step(p)
		}
		settled(t, p.Partition)
		if saved == len(steps) {
			if err := p.Checkpoint(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		want := books(p.Partition)
		s.read = 0
		again := reopened(t, s)
		if got := books(again); got != want {
			t.Errorf("with a checkpoint after %d steps:\n%s, want\n%s", saved, got, want)
		}
		if saved == len(steps) && s.read != 0 {
			t.Errorf("%d bytes were replayed though the checkpoint says it all", s.read)
		}
		if repeated, err := again.Produce(of(8, 3, 1, 1), Client{}); err != nil || repeated.BaseOffset != 5 || repeated.Pending != nil {
			t.Errorf("a repeat after a start: %+v %v", repeated, err)
		}
		_ = s.Close()
	}
}

func TestABadCheckpointIsReplayed(t *testing.T) {
	s := memory.New()
	defer s.Close()
	p := txnPartition{reopened(t, s), t}
	p.put(inTxn(7, 0, 0, 2), v1, 0)
	p.mark(Marker{ProducerID: 7}, nil)
	settled(t, p.Partition)
	want := books(p.Partition)
	p.mu.Lock()
	good := p.encode()
	p.mu.Unlock()
	for i := range len(good) + 1 {
		bad := append([]byte{}, good...)
		if i < len(good) {
			bad[i] ^= 0x20
		} else {
			bad = bad[:3]
		}
		if err := p.log.SaveCheckpoint(t.Context(), 3, bad); err != nil {
			t.Fatal(err)
		}
		noted := 0
		o := options()
		o.Note = func(string, ...any) { noted++ }
		again, err := Open(t.Context(), s, id, o)
		if err != nil || books(again) != want || noted != 1 {
			t.Fatalf("byte %d flipped: %v, %d notes\n%s, want\n%s", i, err, noted, books(again), want)
		}
		p.Partition = again
	}
}

func FuzzCheckpoint(f *testing.F) {
	p := &Partition{o: Options{MaxProducers: 10}, producers: map[int64]*producer{}}
	p.remember(batch.Header{ProducerID: 5, Attributes: 16, BaseSequence: 3, LastOffsetDelta: 2}, 9, 1)
	p.txns.aborted = []Aborted{{1, 2, 3, 4}}
	f.Add(p.encode())
	f.Fuzz(func(t *testing.T, blob []byte) {
		if len(blob) > checkpointHeaderBytes { // past the checksum
			blob[0] = checkpointVersion
			binary.BigEndian.PutUint32(blob[1:], crc32.Checksum(blob[checkpointHeaderBytes:], castagnoli))
		}
		p := &Partition{producers: map[int64]*producer{}}
		if err := p.decode(blob); err != nil {
			return
		}
		again := &Partition{producers: map[int64]*producer{}}
		if err := again.decode(p.encode()); err != nil || !reflect.DeepEqual(p.producers, again.producers) {
			t.Fatalf("%v: %v and %v", err, p.producers, again.producers)
		}
	})
}

// TestAFailedLogIsOpenedAgain: after an append failed nothing enters until storage works; then what is
// known of producers is what is stored.
func TestAFailedLogIsOpenedAgain(t *testing.T) {
	s := &counted{Store: memory.New()}
	defer s.Close()
	now := time.UnixMilli(5000)
	set := NewSet(s, func(storage.Partition) Options {
		o := options()
		o.Now = func() time.Time { return now }
		return o
	})
	get := func() txnPartition {
		p, err := set.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return txnPartition{p, t}
	}
	get().put(of(8, 0, 0, 1), Client{}, 0)
	s.broken = storage.ErrUnavailable
	for range 2 {
		a, err := get().Produce(of(8, 0, 1, 1), Client{})
		if err == nil && a.Pending != nil {
			err = a.Pending.Wait(t.Context())
		}
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
		if err := set.Upkeep(t.Context()); !errors.Is(err, storage.ErrUnavailable) {
			t.Fatalf("%v: the operator is not told", err)
		}
	}
	if b := stored(t, get().Partition); len(b) == 0 {
		t.Fatal("what is stored cannot be read")
	}
	s.broken = nil
	now = now.Add(time.Minute)
	if err := set.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	get().put(of(8, 0, 1, 1), Client{}, 1)
	get().put(of(8, 0, 1, 1), Client{}, 1)
	get().refuse(of(8, 0, 3, 1), Client{}, nil, kerr.OutOfOrderSequenceNumber)
	if err := set.Drop(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := set.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for p := range s.Partitions(t.Context()) {
		t.Errorf("%s came back", p)
	}
}

func TestProducersAreBounded(t *testing.T) {
	s := memory.New()
	defer s.Close()
	o := options()
	now := o.Now()
	o.MaxProducers, o.Now = 100, func() time.Time { now = now.Add(time.Millisecond); return now }
	p, err := Open(t.Context(), s, id, o)
	if err != nil {
		t.Fatal(err)
	}
	x := txnPartition{p, t}
	x.put(inTxn(1000, 0, 0, 1), v1, 0)
	for i := range int64(300) {
		x.put(of(i, 0, 0, 1), Client{}, i+1)
		if n := len(p.Producers()); n > 100 {
			t.Fatalf("%d producers are remembered", n)
		}
	}
	if p.producers[299] == nil || p.producers[0] != nil || p.producers[1000] == nil {
		t.Error("the newest, or the one with an open transaction, was forgotten in place of the oldest")
	}
}

// BenchmarkStart opens a partition that 100,000 producers have written to, once or ten times each, from a
// checkpoint and by replaying everything. Compare the two in turns: only the ratio means something.
func BenchmarkStart(b *testing.B) {
	const producers = 100_000
	for _, rounds := range []int32{1, 10} {
		for _, saved := range []bool{true, false} {
			b.Run(fmt.Sprintf("batches=%d/checkpoint=%v", rounds, saved), func(b *testing.B) {
				s, err := embedded.Open(b.TempDir(), embedded.Options{})
				if err != nil {
					b.Fatal(err)
				}
				p, err := Open(b.Context(), s, id, options())
				if err != nil {
					b.Fatal(err)
				}
				var last Appended
				for sequence := range rounds {
					for i := range int64(producers) {
						if last, err = p.Produce(of(i, 0, sequence, 1), Client{}); err != nil {
							b.Fatal(err)
						}
					}
				}
				if err := last.Pending.Wait(b.Context()); err != nil {
					b.Fatal(err)
				}
				if saved {
					if err := p.Checkpoint(b.Context(), true); err != nil {
						b.Fatal(err)
					}
				}
				for b.Loop() {
					if p, err = Open(b.Context(), s, id, options()); err != nil {
						b.Fatal(err)
					}
				}
				if len(p.producers) != producers {
					b.Fatal(len(p.producers))
				}
				_ = s.Close()
			})
		}
	}
}

// BenchmarkProducerMemory says what one producer costs, idle after one batch and busy.
func BenchmarkProducerMemory(b *testing.B) {
	for _, batches := range []int32{1, 5} {
		b.Run(fmt.Sprintf("batches=%d", batches), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(bytesPerProducer(100_000, batches), "B/producer")
			}
		})
	}
}

func TestMemoryPerProducerIsBounded(t *testing.T) {
	const most = 400
	if got := bytesPerProducer(20_000, 50); got > most {
		t.Errorf("%.0f bytes per producer, the limit is %d", got, most)
	}
}

func bytesPerProducer(producers int64, batches int32) float64 {
	before := heap()
	p := &Partition{o: Options{MaxProducers: maxProducers}, producers: map[int64]*producer{}}
	for sequence := range batches {
		for id := range producers {
			p.remember(batch.Header{ProducerID: id, BaseSequence: sequence}, int64(sequence), 1)
		}
	}
	after := heap()
	runtime.KeepAlive(p)
	return float64(after-before) / float64(producers)
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestDeletedRecordsLeaveTheirProducers: what only deleted batches said of a producer is in the
// checkpoint before they go, so that a start knows it.
func TestDeletedRecordsLeaveTheirProducers(t *testing.T) {
	s := memory.New()
	defer s.Close()
	p := txnPartition{reopened(t, s), t}
	p.put(of(8, 0, 0, 1), Client{}, 0)
	settled(t, p.Partition)
	if err := p.Checkpoint(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	p.put(of(8, 0, 1, 1, 2), Client{}, 1)
	settled(t, p.Partition)
	if low, err := p.DeleteRecords(t.Context(), -1); err != nil || low != 3 {
		t.Fatal(low, err)
	}
	p.Partition = reopened(t, s)
	p.put(of(8, 0, 3, 1), Client{}, 3)
}
