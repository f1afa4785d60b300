package topic

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
	"kelp/internal/storage/memory"
	"kelp/internal/vfs"
)

var modelSeeds = flag.Int("model.seeds", 30, "seeds of the cleaner's model test")

// TestCleaningAgainstAModel writes, transacts, cleans, crashes and starts again at random. Whatever the
// cleaner did, a read_committed reader from any offset on sees of each key the newest committed record
// or, where that is a tombstone, nothing older; no aborted record; no record that was not written; and
// producers go on where they were. One seed alone: -run 'Model/memory/seed=7$', more of them: -model.seeds 1000.
func TestCleaningAgainstAModel(t *testing.T) {
	for name, disk := range map[string]func() disk{
		"memory":   func() disk { return &inPlace{Store: memory.New()} },
		"embedded": func() disk { return &powered{fs: vfs.NewMem()} },
	} {
		for seed := range *modelSeeds {
			t.Run(fmt.Sprintf("%s/seed=%d", name, seed), func(t *testing.T) {
				d := disk()
				m := &model{t: t, r: rand.New(rand.NewPCG(uint64(seed), 5)), disk: d, writers: map[int64]*writer{}}
				m.store = &crashing{Store: d.start(t, nil), after: -1}
				t.Cleanup(func() { _ = m.store.Close() })
				m.cleaning = compacted(t, m.store, func(c *cluster.TopicConfig) {
					c.SegmentBytes = int64(100 + m.r.IntN(1500))
					c.DeleteRetentionMs = int64(m.r.IntN(3000))
					c.MinCleanableDirtyRatio = m.r.Float64() / 2
					c.Delete = m.r.IntN(2) == 0
				})
				for range 120 {
					m.step()
				}
				m.check()
			})
		}
	}
}

// disk is where a model keeps its records.
type disk interface {
	// start opens the store anew: after a power loss with a random source, else after an orderly end.
	start(t *testing.T, lost *rand.Rand) storage.Store
}

// inPlace is a store that lives on over a start.
type inPlace struct{ storage.Store }

func (d *inPlace) start(*testing.T, *rand.Rand) storage.Store { return d.Store }

// powered is the embedded log on a disk whose power can be lost.
type powered struct {
	fs   *vfs.Mem
	last storage.Store
}

func (d *powered) start(t *testing.T, lost *rand.Rand) storage.Store {
	t.Helper()
	fs := d.fs
	if lost != nil {
		fs = d.fs.CrashClone(lost)
	}
	if d.last != nil {
		if err := d.last.Close(); err != nil && lost == nil {
			t.Fatal(err)
		}
	}
	s, err := embedded.Open("/data", embedded.Options{FS: fs, Sync: true, FileBytes: 16 << 10})
	if err != nil {
		t.Fatal(err)
	}
	d.fs, d.last = fs, s
	return s
}

// crashing is a store whose logs fail in the middle of replacing batches, before or after it is done.
type crashing struct {
	storage.Store
	after int // batches until it crashes; negative: never
	late  bool
}

var errCrash = errors.New("crashed")

type crashingLog struct {
	storage.Log
	s *crashing
}

func (s *crashing) Open(ctx context.Context, id storage.Partition, o storage.OpenOptions) (storage.Log, error) {
	l, err := s.Store.Open(ctx, id, o)
	return &crashingLog{l, s}, err
}

func (l *crashingLog) Replace(ctx context.Context, from, to int64, with iter.Seq2[storage.Batch, error]) error {
	c, ok := l.Log.(storage.Compactor)
	if !ok {
		return errors.New("no compactor")
	}
	err := c.Replace(ctx, from, to, func(yield func(storage.Batch, error) bool) {
		for b, err := range with {
			if l.s.after == 0 && !l.s.late {
				err = errCrash
			}
			l.s.after = max(-1, l.s.after-1)
			if !yield(b, err) {
				return
			}
		}
	})
	if err == nil && l.s.late && l.s.after <= 0 {
		err = errCrash
	}
	return err
}

// model is what was written and what may be read.
type model struct {
	*cleaning
	t       *testing.T
	r       *rand.Rand
	disk    disk
	store   *crashing
	records []modelRecord
	writers map[int64]*writer
	start   int64
	next    int64
	value   int
}

type modelRecord struct {
	offset     int64
	key, value string // value "": tombstone
	producer   int64  // with an open transaction, else -1
	aborted    bool
}

// writer is a transactional producer.
type writer struct {
	epoch    int16
	sequence int32
	first    int64 // of its open transaction, or -1
}

func (m *model) step() {
	switch m.r.IntN(13) {
	case 0, 1, 2, 3:
		m.write(batch.NoProducer(), -1)
	case 4, 5, 6:
		id := int64(1 + m.r.IntN(4))
		w := m.writers[id]
		if w == nil {
			w = &writer{first: -1}
			m.writers[id] = w
		}
		if w.first < 0 {
			w.first = m.next
		}
		n := m.write(batch.Options{ProducerID: id, ProducerEpoch: w.epoch, BaseSequence: w.sequence, Transactional: true}, id)
		w.sequence += int32(n)
	case 7, 8:
		m.end(int64(1 + m.r.IntN(4)))
	case 9, 10:
		m.cleanSome()
	case 11:
		m.restart()
	case 12:
		if m.config.Delete && m.next > m.start {
			m.trim()
		}
	}
}

// trim deletes records, as a client or retention does.
func (m *model) trim() {
	settled(m.t, m.Partition)
	m.start += m.r.Int64N(min(m.next-m.start, 8))
	if low, err := m.DeleteRecords(m.t.Context(), m.start); err != nil || low != m.start {
		m.t.Fatal(low, err)
	}
	m.check()
}

func (m *model) write(o batch.Options, producer int64) int {
	n := 1 + m.r.IntN(4)
	var recs []batch.Record
	for range n {
		key := fmt.Sprint("k", m.r.IntN(12))
		rec := batch.Record{Key: []byte(key), TimestampMs: m.now.UnixMilli()}
		m.value++
		value := fmt.Sprint("v", m.value)
		if m.r.IntN(5) == 0 {
			value = ""
		} else {
			rec.Value = []byte(value)
		}
		recs = append(recs, rec)
		m.records = append(m.records, modelRecord{m.next, key, value, producer, false})
		m.next++
	}
	b := batch.Encode(recs, o)
	if m.r.IntN(2) == 0 {
		var err error
		if b, err = batch.Recompress(b, batch.Codec(1+m.r.IntN(4)), 1, 1<<20); err != nil {
			m.t.Fatal(err)
		}
	}
	m.put(b, v1, m.next-int64(n))
	m.now = m.now.Add(time.Duration(m.r.IntN(200)) * time.Millisecond)
	return n
}

// end commits or aborts what a producer has open, under transaction.version 1 or 2.
func (m *model) end(id int64) {
	w := m.writers[id]
	if w == nil || w.first < 0 {
		return
	}
	commit := m.r.IntN(2) == 0
	marker := Marker{ProducerID: id, ProducerEpoch: w.epoch, Commit: commit}
	if m.r.IntN(2) == 0 {
		marker.TransactionVersion = epochBump
		w.epoch++
		w.sequence = 0
		marker.ProducerEpoch = w.epoch
	}
	m.mark(marker, nil)
	for i := range m.records {
		if r := &m.records[i]; r.producer == id {
			r.producer, r.aborted = -1, !commit
		}
	}
	w.first = -1
	m.next++
}

// cleanSome cleans, now and then with a crash in between.
func (m *model) cleanSome() {
	settled(m.t, m.Partition)
	m.now = m.now.Add(time.Duration(m.r.IntN(2000)) * time.Millisecond)
	m.store.after, m.store.late = -1, false
	if m.r.IntN(2) == 0 {
		m.store.after, m.store.late = m.r.IntN(20), m.r.IntN(2) == 0
	}
	m.c.Run(m.t.Context())
	if len(m.notes) > 0 {
		if !strings.Contains(m.notes[0], errCrash.Error()) {
			m.t.Fatal(m.notes)
		}
		m.notes = nil
		m.restart()
	}
	m.store.after, m.store.late = -1, false
	m.check()
}

func (m *model) restart() {
	if m.r.IntN(2) == 0 {
		settled(m.t, m.Partition)
		if err := m.Checkpoint(m.t.Context(), true); err != nil {
			m.t.Fatal(err)
		}
	}
	switch m.r.IntN(3) {
	case 0:
		m.store.Store = m.disk.start(m.t, m.r)
	case 1:
		m.store.Store = m.disk.start(m.t, nil)
	}
	m.open(m.t)
	m.check()
}

func (m *model) check() {
	m.t.Helper()
	settled(m.t, m.Partition)
	stable := m.next
	for _, w := range m.writers {
		if w.first >= 0 && w.first < m.start {
			stable = m.LastStableOffset() // a start may have forgotten a transaction whose beginning is deleted
			break
		}
		if w.first >= 0 {
			stable = min(stable, w.first)
		}
	}
	if got := m.LastStableOffset(); got != stable || m.HighWatermark() != m.next || m.LogStartOffset() != m.start {
		m.t.Fatalf("%d to %d, stable %d, want %d to %d, stable %d\n%s",
			m.LogStartOffset(), m.HighWatermark(), got, m.start, m.next, stable, contents(m.t, m.Partition))
	}
	m.read(m.start, stable)
	if stable > m.start {
		m.read(m.start+m.r.Int64N(stable-m.start), stable)
	}
}

// read reads as a read_committed consumer does and compares.
func (m *model) read(from, stable int64) {
	m.t.Helper()
	seen := map[int64]string{}
	for at := from; at < stable; {
		span, list, err := m.ReadCommitted(m.t.Context(), at, 1+m.r.IntN(3000), true)
		if err != nil {
			m.t.Fatal(err)
		}
		b, err := span.Bytes()
		if err != nil {
			m.t.Fatal(err)
		}
		if len(b) == 0 {
			break
		}
		at = consume(m.t, b, at, list, seen)
		span.Release()
	}
	newest, open := map[string]modelRecord{}, map[int64]bool{}
	written := map[int64]modelRecord{}
	for _, r := range m.records {
		open[r.offset] = r.producer >= 0
		if r.offset < from || r.offset >= stable || r.aborted || r.producer >= 0 {
			continue
		}
		newest[r.key], written[r.offset] = r, r
	}
	for offset, got := range seen {
		if open[offset] {
			continue
		}
		if r, ok := written[offset]; !ok || got != r.key+"="+r.value {
			m.t.Fatalf("from %d: %s at %d, written was %+v", from, got, offset, r)
		}
	}
	for key, r := range newest {
		if _, ok := seen[r.offset]; !ok && r.value != "" {
			m.t.Fatalf("from %d: the newest %s, at %d, is gone", from, key, r.offset)
		}
	}
	if from > m.start {
		return
	}
	for offset, got := range seen { // a tombstone that has gone took everything older with it
		key, _, _ := strings.Cut(got, "=")
		if last := newest[key]; last.value == "" {
			if _, ok := seen[last.offset]; !ok {
				m.t.Fatalf("%s at %d came back: its tombstone at %d is gone", got, offset, last.offset)
			}
		}
	}
}

// consume filters aborted records as clients do: with the list, in the order of first offsets.
func consume(t *testing.T, b []byte, from int64, list []Aborted, seen map[int64]string) (next int64) {
	t.Helper()
	aborted := map[int64]bool{}
	list = newCleanedTxns(list).aborted
	for len(b) > 0 {
		h, err := batch.ReadHeader(b)
		if err != nil || h.VerifyCRC(b) != nil {
			t.Fatal(err)
		}
		for len(list) > 0 && list[0].FirstOffset <= h.LastOffset() {
			aborted[list[0].ProducerID] = true
			list = list[1:]
		}
		for r, err := range batch.Records(b, 1<<20) {
			if err != nil {
				t.Fatal(err)
			}
			switch m, isMarker := batch.ReadMarker(r); {
			case h.Control() && isMarker && !m.Commit:
				delete(aborted, h.ProducerID)
			case h.Control(), r.Offset < from, h.Transactional() && aborted[h.ProducerID]:
			default:
				seen[r.Offset] = string(r.Key) + "=" + string(r.Value)
			}
		}
		next, b = h.LastOffset()+1, b[h.TotalBytes():]
	}
	return next
}
