package topic

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/storage/memory"
)

// cleaning is a compacted partition, a clock and a cleaner.
type cleaning struct {
	txnPartition
	set    *Set
	store  storage.Store
	now    time.Time
	config *cluster.TopicConfig
	c      *Cleaner
	notes  []string
}

func compacted(t *testing.T, store storage.Store, edit func(*cluster.TopicConfig)) *cleaning {
	t.Helper()
	config := &cluster.TopicConfig{
		MaxMessageBytes: 1 << 20, CompressionType: "producer", TimestampBeforeMaxMs: 1 << 60, TimestampAfterMaxMs: 1 << 60,
		Compact: true, DeleteRetentionMs: 1000, MaxCompactionLagMs: 1<<63 - 1,
		SegmentBytes: 1, SegmentMs: 1<<63 - 1, RetentionMs: -1, RetentionBytes: -1,
	}
	if edit != nil {
		edit(config)
	}
	x := &cleaning{store: store, now: time.UnixMilli(1_000_000), config: config}
	x.open(t)
	return x
}

// open takes the partition over again, as a start does.
func (x *cleaning) open(t *testing.T) {
	t.Helper()
	note := func(m string, args ...any) { x.notes = append(x.notes, fmt.Sprint(m, args)) }
	x.set = NewSet(x.store, func(storage.Partition) Options {
		return Options{
			Config: func() *cluster.TopicConfig { return x.config }, Now: func() time.Time { return x.now },
			ProducerExpirationMs: 1 << 60, Note: note,
		}
	})
	p, err := x.set.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	x.txnPartition = txnPartition{p, t}
	x.c = NewCleaner(x.set, CleanerOptions{Note: note})
}

// say writes records, each "key=value", "key" for a tombstone, in one batch.
func (x *cleaning) say(o batch.Options, records ...string) int64 {
	x.t.Helper()
	var recs []batch.Record
	for _, r := range records {
		k, v, isValue := strings.Cut(r, "=")
		rec := batch.Record{Key: []byte(k), TimestampMs: x.now.UnixMilli()}
		if isValue {
			rec.Value = []byte(v)
		}
		recs = append(recs, rec)
	}
	a, err := x.Produce(batch.Encode(recs, o), v1)
	if err != nil {
		x.t.Fatal(err)
	}
	if a.Verify != nil {
		a.Verify.Done(nil)
	}
	if err := a.Pending.Wait(x.t.Context()); err != nil {
		x.t.Fatal(err)
	}
	return a.Final().BaseOffset
}

// clean runs the cleaner after the clock has moved.
func (x *cleaning) clean(after time.Duration) {
	x.t.Helper()
	settled(x.t, x.Partition)
	if err := x.Checkpoint(x.t.Context(), true); err != nil { // as Upkeep does, in time
		x.t.Fatal(err)
	}
	x.now = x.now.Add(after)
	x.c.Run(x.t.Context())
	if len(x.notes) > 0 {
		x.t.Fatal(x.notes)
	}
}

// holds compares what a reader sees: "offset:key=value", "offset:abort", "offset-last:empty".
func (x *cleaning) holds(want string) {
	x.t.Helper()
	settled(x.t, x.Partition)
	if got := contents(x.t, x.Partition); got != want {
		x.t.Fatalf("\n got %s\nwant %s", got, want)
	}
}

func contents(t *testing.T, p *Partition) string {
	t.Helper()
	var all []string
	for at := p.LogStartOffset(); at < p.HighWatermark(); {
		span, err := p.Read(t.Context(), at, 1<<20, true)
		if err != nil {
			t.Fatal(err)
		}
		b, err := span.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 {
			break
		}
		for len(b) > 0 {
			h, err := batch.ReadHeader(b)
			if err != nil || h.VerifyCRC(b) != nil {
				t.Fatal(err)
			}
			if h.Count == 0 {
				all = append(all, fmt.Sprintf("%d-%d:empty", h.BaseOffset, h.LastOffset()))
			}
			for r, err := range batch.Records(b, 1<<20) {
				if err != nil {
					t.Fatal(err)
				}
				m, isMarker := batch.ReadMarker(r)
				switch {
				case h.Control() && isMarker:
					all = append(all, fmt.Sprintf("%d:%s", r.Offset, map[bool]string{false: "abort", true: "commit"}[m.Commit]))
				case r.Value == nil:
					all = append(all, fmt.Sprintf("%d:%s", r.Offset, r.Key))
				default:
					all = append(all, fmt.Sprintf("%d:%s=%s", r.Offset, r.Key, r.Value))
				}
			}
			at, b = h.LastOffset()+1, b[h.TotalBytes():]
		}
		span.Release()
	}
	return strings.Join(all, " ")
}

func plainCleaning(t *testing.T, edit func(*cluster.TopicConfig)) *cleaning {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { _ = s.Close() })
	return compacted(t, s, edit)
}

var nobody = batch.NoProducer()

func TestTheNewestRecordOfEachKeyStays(t *testing.T) {
	x := plainCleaning(t, nil)
	x.say(nobody, "a=1", "b=1", "a=2")
	x.say(nobody, "c=1", "b=2")
	x.say(nobody, "a=3")
	x.say(nobody, "c=2") // in the segment that is written to
	x.clean(0)
	x.holds("3:c=1 4:b=2 5:a=3 6:c=2")
	x.say(nobody, "d=1")
	x.clean(0)
	x.holds("4:b=2 5:a=3 6:c=2 7:d=1")
	before := x.log.Shape()
	x.clean(time.Hour) // nothing is dirty
	if after := x.log.Shape(); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("%v became %v", before, after)
	}
	if o, _, err := x.FindTime(t.Context(), 0); o != 4 || err != nil {
		t.Errorf("the first record is at 4, found %d, %v", o, err)
	}
}

// TestTombstonesGoInTwoPasses: a tombstone gets its delete horizon at the first pass and goes at one
// after it (KIP-534).
func TestTombstonesGoInTwoPasses(t *testing.T) {
	x := plainCleaning(t, nil)
	x.say(nobody, "a=1")
	x.say(nobody, "a", "b=1")
	x.say(nobody, "z=1")
	x.clean(0)
	x.holds("1:a 2:b=1 3:z=1")
	x.say(nobody, "y=1")
	x.clean(999 * time.Millisecond)
	x.holds("1:a 2:b=1 3:z=1 4:y=1")
	x.say(nobody, "x=1")
	x.clean(time.Millisecond)
	x.holds("2:b=1 3:z=1 4:y=1 5:x=1")
}

func TestWhatIsNeverCleaned(t *testing.T) {
	x := plainCleaning(t, func(c *cluster.TopicConfig) { c.MinCompactionLagMs = 10_000 })
	x.say(nobody, "a=1")
	x.say(nobody, "a=2")
	x.clean(5 * time.Second)
	x.holds("0:a=1 1:a=2") // too young, and the segment that is written to
	x.say(nobody, "a=3")
	x.clean(10 * time.Second)
	x.holds("1:a=2 2:a=3")
	x.config.MinCompactionLagMs = 0
	x.say(batch.Options{ProducerID: 7, Transactional: true}, "a=4") // undecided: 3
	x.say(nobody, "a=5")
	x.say(nobody, "a=6")
	x.clean(0)
	x.holds("2:a=3 3:a=4 4:a=5 5:a=6")
	x.mark(Marker{ProducerID: 7}, nil)
	x.say(nobody, "z=1")
	x.clean(0)
	x.holds("3-3:empty 5:a=6 6:abort 7:z=1") // its producer's sequence is in the hollow batch
}

func TestDirtyRatioAndLag(t *testing.T) {
	x := plainCleaning(t, func(c *cluster.TopicConfig) { c.MinCleanableDirtyRatio = 0.6 })
	x.say(nobody, "a=1")
	x.say(nobody, "b=1")
	x.say(nobody, "c=1")
	x.clean(0)
	x.say(nobody, "a=2")
	x.clean(0) // c and a are dirty: half, counting a and b
	x.holds("0:a=1 1:b=1 2:c=1 3:a=2")
	x.config.MaxCompactionLagMs = 60_000
	x.say(nobody, "z=1")
	x.clean(60 * time.Second)
	x.holds("0:a=1 1:b=1 2:c=1 3:a=2 4:z=1")
	x.clean(time.Millisecond)
	x.holds("1:b=1 2:c=1 3:a=2 4:z=1")
}

// TestTransactionsAreCleaned: aborted records go at once, a marker stays until its transaction has no
// record left and its horizon has passed, and the list of aborted transactions follows.
func TestTransactionsAreCleaned(t *testing.T) {
	x := plainCleaning(t, nil)
	txn := func(producer int64, sequence int32) batch.Options {
		return batch.Options{ProducerID: producer, BaseSequence: sequence, Transactional: true}
	}
	x.say(nobody, "a=0")
	x.say(txn(7, 0), "a=1", "b=1")
	x.say(txn(8, 0), "a=2")
	x.mark(Marker{ProducerID: 7}, nil)               // 4
	x.mark(Marker{ProducerID: 8, Commit: true}, nil) // 5
	x.say(txn(8, 1), "c=1")
	x.mark(Marker{ProducerID: 8, Commit: true}, nil) // 7
	x.say(nobody, "z=1")
	x.clean(0)
	x.holds("1-2:empty 3:a=2 4:abort 5:commit 6:c=1 7:commit 8:z=1")
	x.shows("high 9 stable 9 aborted 7:1-4")
	x.say(nobody, "a=3")
	x.say(nobody, "z=2")
	x.clean(0)
	x.holds("1-2:empty 4:abort 5:commit 6:c=1 7:commit 8:z=1 9:a=3 10:z=2")
	x.mark(Marker{ProducerID: 7, ProducerEpoch: 1, Commit: true}, nil) // 11: a new epoch, the hollow batch is not needed
	x.say(nobody, "y=1")
	x.say(nobody, "y=2")
	x.clean(2 * time.Second)
	x.holds("4:abort 5:commit 6:c=1 7:commit 9:a=3 10:z=2 11:commit 12:y=1 13:y=2")
	x.say(nobody, "y=3")
	x.clean(2 * time.Second)
	x.holds("4:abort 6:c=1 7:commit 9:a=3 10:z=2 11-11:empty 13:y=2 14:y=3")
	x.shows("high 15 stable 15")
	x.say(nobody, "y=4")
	x.clean(2 * time.Second)
	x.holds("6:c=1 7:commit 9:a=3 10:z=2 11-11:empty 14:y=3 15:y=4")
	x.open(t) // everything is replayed
	x.shows("high 16 stable 16")
	x.refuse(batch.Encode([]batch.Record{{Key: []byte("k")}}, txn(7, 3)), v1, nil, kerr.InvalidProducerEpoch)
}

// TestProducersOutliveCompaction: what a producer may send next is the same after its records are gone
// and everything is replayed.
func TestProducersOutliveCompaction(t *testing.T) {
	x := plainCleaning(t, nil)
	x.say(batch.Options{ProducerID: 7, BaseSequence: 0}, "a=1")
	x.say(batch.Options{ProducerID: 7, BaseSequence: 1}, "a=2", "b=2")
	x.say(nobody, "a=3", "b=3")
	x.say(nobody, "z=1")
	x.clean(0)
	x.holds("1-2:empty 3:a=3 4:b=3 5:z=1")
	x.open(t)
	seven := func(sequence int32, keys ...string) []byte {
		var recs []batch.Record
		for _, k := range keys {
			recs = append(recs, batch.Record{Key: []byte(k)})
		}
		return batch.Encode(recs, batch.Options{ProducerID: 7, BaseSequence: sequence})
	}
	x.put(seven(1, "a", "b"), Client{}, 1) // a repeat
	x.refuse(seven(4, "a"), Client{}, nil, kerr.OutOfOrderSequenceNumber)
	x.put(seven(3, "a"), Client{}, 6)
}

func TestKeysThatDoNotFitTakeSeveralPasses(t *testing.T) {
	x := plainCleaning(t, func(c *cluster.TopicConfig) { c.SegmentBytes = 4000 })
	x.c.o.DedupeBytes = mapShards * firstSlots * slotBytes // about 3,700 keys
	want := map[string]int64{}
	for i := range 400 {
		var recs []string
		for j := range 50 {
			k := fmt.Sprint("key", (i*37+j*11)%9000)
			recs = append(recs, k+"=v")
			want[k] = int64(i*50 + j)
		}
		x.say(nobody, recs...)
	}
	for range 3 { // the end goes into a segment of its own
		x.say(nobody, strings.Repeat("z", 3900)+"=1")
	}
	x.clean(0)
	found := 0
	for _, r := range strings.Fields(contents(t, x.Partition)) {
		var offset int64
		var key string
		if _, err := fmt.Sscanf(strings.Replace(r, "=", " ", 1), "%d:%s", &offset, &key); err != nil {
			t.Fatal(err)
		}
		if newest, ours := want[key]; ours {
			found++
			if newest != offset {
				t.Fatalf("%s is at %d, its newest at %d", key, offset, newest)
			}
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d keys", found, len(want))
	}
	x.say(nobody, "a=1")
	x.c.o.DedupeBytes = 0 // no room at all
	x.now = x.now.Add(time.Second)
	x.say(nobody, strings.Repeat("z", 3900)+"=1")
	x.say(nobody, strings.Repeat("z", 3900)+"=1")
	x.c.Run(t.Context())
	if len(x.notes) != 1 || !strings.Contains(x.notes[0], errNoRoom.Error()) {
		t.Errorf("%q", x.notes)
	}
}

// TestDamageIsNotCleaned: a batch with a wrong checksum must not get a right one.
func TestDamageIsNotCleaned(t *testing.T) {
	x := plainCleaning(t, nil)
	x.say(nobody, "a=1")
	x.say(nobody, "a=2")
	x.say(nobody, "a=3")
	bad := batch.Encode([]batch.Record{{Key: []byte("a"), Value: []byte("1")}}, nobody)
	bad[len(bad)-2]++
	damage := func(yield func(storage.Batch, error) bool) { yield(storage.Batch{Base: 0, Count: 1, Bytes: bad}, nil) }
	if err := x.log.(storage.Compactor).Replace(t.Context(), 0, 1, damage); err != nil {
		t.Fatal(err)
	}
	settled(t, x.Partition)
	x.c.Run(t.Context())
	if len(x.notes) != 1 || !strings.Contains(x.notes[0], storage.ErrCorrupt.Error()) {
		t.Errorf("%q", x.notes)
	}
	x.c.Run(t.Context()) // it is left alone
	if len(x.notes) != 1 || len(x.log.Shape().Segments) != 3 {
		t.Errorf("%q, %v", x.notes, x.log.Shape())
	}
}

func TestAThrottledCleanerTakesItsTime(t *testing.T) {
	th := throttle{perSecond: 1 << 20}
	began := time.Now()
	for range 10 {
		if err := th.wait(t.Context(), 10<<10); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 90*time.Millisecond {
		t.Errorf("100 KiB at 1 MiB/s took %s", took)
	}
	if err := (&throttle{perSecond: 1}).wait(canceled(t), 100); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestADeletedKeyStaysDeleted: a batch that reaches over the start of the log is not rewritten, so the
// tombstones of its keys must stay as long as it does.
func TestADeletedKeyStaysDeleted(t *testing.T) {
	x := plainCleaning(t, func(c *cluster.TopicConfig) { c.Delete, c.DeleteRetentionMs = true, 0 })
	x.say(nobody, "a=1", "b=1", "c=1")
	x.say(nobody, "b")
	x.say(nobody, "d=1", "d=2")
	x.say(nobody, "z=1")
	settled(t, x.Partition)
	if low, err := x.DeleteRecords(t.Context(), 1); err != nil || low != 1 {
		t.Fatal(low, err)
	}
	for i := range 4 {
		x.clean(time.Second)
		x.say(nobody, fmt.Sprint("y=", i))
	}
	if got := contents(t, x.Partition); !strings.Contains(got, "3:b ") {
		t.Fatalf("b is back, its tombstone is gone: %s", got)
	}
	if low, err := x.DeleteRecords(t.Context(), 3); err != nil || low != 3 {
		t.Fatal(low, err)
	}
	x.clean(time.Second)
	if got := contents(t, x.Partition); strings.Contains(got, "3:b ") {
		t.Fatalf("nothing needs the tombstone any more: %s", got)
	}
}
