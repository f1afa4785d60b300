package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// The torture: random operations on a few partitions over a file system in memory; at a random call
// the power goes, and what a disk may then hold is opened and compared with what was acknowledged.

// tortureSeeds is how many seeds a plain test run takes; -seeds FROM-TO sets a range.
const tortureSeeds = 30

var seedRange = flag.String("seeds", "", "FROM-TO: the seeds of the torture")

// tried is one batch as the driver gave it.
type tried struct {
	base, count int64
	bytes       string
	acked       bool
	failed      bool // it may be there or not, unless another has its place
}

// model is what one partition may and must hold.
type model struct {
	batches []tried // appended, in order
	start   int64   // acknowledged trim
	tried   int64   // the furthest trim that was asked for
	checks  []int64 // checkpoints asked for
	checked int     // how many of them were acknowledged
	gone    bool    // deletion acknowledged
	going   bool    // deletion asked for
	made    bool    // an append was acknowledged: the partition must be there
	// thinned is the ranges that a Replace was asked for: batches in them may be missing.
	thinned []offsets
	removed map[int64]bool // batches that an acknowledged Replace took away
}

type driver struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	sync   bool
	store  *Store

	mu      sync.Mutex // guards models, which the crash reads from a goroutine of the store
	models  map[storage.Partition]*model
	logs    map[storage.Partition]storage.Log
	next    map[storage.Partition]int64
	topics  byte
	filler  int
	storm   atomic.Bool // calls fail now and then
	stormed bool        // there was a storm in this life
	faults  *rand.Rand  // guarded by live's lock
	kind    vfs.Op      // that fails in this life, empty for all
	failAt  int         // the one call that fails; 0: none
	calls   int         // of the life; guarded by live's lock
	ops     int         // operations of a life
}

func (m *model) clone() *model {
	c := *m
	c.batches, c.checks, c.thinned = slices.Clone(m.batches), slices.Clone(m.checks), slices.Clone(m.thinned)
	c.removed = map[int64]bool{}
	for k := range m.removed {
		c.removed[k] = true
	}
	return &c
}

func TestTorture(t *testing.T) {
	from, to := seedsOf(t, tortureSeeds)
	eachSeed(t, from, to, torture)
}

// seedsOf is the range of -seeds, or 1 to n without it.
func seedsOf(t *testing.T, n uint64) (from, to uint64) {
	if *seedRange == "" {
		return 1, n
	}
	a, b, _ := strings.Cut(*seedRange, "-")
	var errs [2]error
	from, errs[0] = strconv.ParseUint(a, 10, 64)
	to, errs[1] = strconv.ParseUint(b, 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return from, to
}

// eachSeed runs several seeds at a time until one fails.
func eachSeed(t *testing.T, from, to uint64, run func(*testing.T, uint64)) {
	var wg sync.WaitGroup
	seeds := make(chan uint64)
	for range 4 {
		wg.Go(func() {
			for seed := range seeds {
				if !t.Failed() {
					run(t, seed)
				}
			}
		})
	}
	for seed := from; seed <= to; seed++ {
		seeds <- seed
	}
	close(seeds)
	wg.Wait()
}

func newDriver(t *testing.T, seed uint64) *driver {
	d := &driver{
		t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), models: map[storage.Partition]*model{},
		logs: map[storage.Partition]storage.Log{}, next: map[storage.Partition]int64{}, ops: 60,
	}
	d.sync = d.random.IntN(4) > 0
	return d
}

// torture runs some lives of one store, each ended by a crash.
func torture(t *testing.T, seed uint64) {
	d := newDriver(t, seed)
	disk := vfs.NewMem()
	for life := range 3 {
		disk = d.live(disk, life)
		if disk == nil || t.Failed() {
			return
		}
	}
}

func (d *driver) fatal(format string, args ...any) {
	d.t.Errorf("seed %d, error at call %d (repeat with go test ./internal/storage/embedded -run %s -seeds %d-%d): %s",
		d.seed, d.failAt, d.t.Name(), d.seed, d.seed, fmt.Sprintf(format, args...))
}

// live runs operations until the power goes, and gives the disk that is left.
func (d *driver) live(disk *vfs.Mem, life int) *vfs.Mem {
	crashAt := d.random.IntN(400)
	crashRandom := rand.New(rand.NewPCG(d.seed, uint64(life)+100))
	var mu sync.Mutex
	var left *vfs.Mem
	var then map[storage.Partition]*model
	d.calls = 0
	crash := func() { // called with mu held
		d.mu.Lock()
		defer d.mu.Unlock()
		then = map[storage.Partition]*model{}
		for id, m := range d.models {
			then[id] = m.clone()
		}
		left = disk.CrashClone(crashRandom)
	}
	d.faults = rand.New(rand.NewPCG(d.seed, uint64(life)+200))
	fs := &vfs.Faulty{FS: disk, Fault: func(op vfs.Op, _ string) error {
		mu.Lock()
		defer mu.Unlock()
		if d.calls++; d.calls == crashAt {
			crash()
		}
		if d.calls == d.failAt {
			return errStorm
		}
		if d.storm.Load() && (op == d.kind || d.kind == "") && d.faults.IntN(4) == 0 {
			return errStorm
		}
		return nil
	}}
	d.kind = stormy[d.faults.IntN(len(stormy))]
	o := Options{
		Sync: d.sync, FileBytes: 2048 << d.random.IntN(4), FS: fs, MemoryBytes: 1 << d.random.IntN(20), OpenFiles: 1 + d.random.IntN(8),
	}
	s, err := Open("log", o)
	if d.failAt > 0 && errors.Is(err, errStorm) { // the next start must find everything
		s, err = Open("log", o)
	}
	if err != nil {
		d.fatal("life %d: open: %v", life, err)
		return nil
	}
	d.store, d.stormed = s, d.failAt > 0
	clear(d.logs)
	d.work(d.ops)
	if err := s.Close(); err != nil {
		d.fatal("life %d: close: %v", life, err)
	}
	mu.Lock()
	if left == nil {
		crash()
	}
	mu.Unlock()
	if !d.verify(left.CrashClone(crashRandom), then, life) {
		return nil
	}
	for range flipsOfLife {
		d.flip(left.CrashClone(crashRandom), crashRandom, life)
	}
	return left
}

// stormy are the calls that fail in a storm, alone or all together.
var stormy = []vfs.Op{"", vfs.OpWrite, vfs.OpSync, vfs.OpCreate, vfs.OpSyncDir, vfs.OpPreallocate, vfs.OpTruncate, vfs.OpRemove}

var errStorm = errors.New("injected")

func (d *driver) work(n int) {
	defer d.storm.Store(false)
	for range n {
		if d.random.IntN(15) == 0 {
			on := d.random.IntN(3) == 0
			d.storm.Store(on)
			d.stormed = d.stormed || on
		}
		switch k := d.random.IntN(20); {
		case k < 13 || len(d.models) == 0:
			d.append()
		case k < 15:
			d.trim()
		case k < 16:
			d.checkpoint()
		case k < 18:
			d.thin()
		case k < 19:
			d.reopen()
		default:
			d.remove()
		}
		if d.t.Failed() {
			return
		}
	}
}

// pick gives a partition that is there, sometimes a new one.
func (d *driver) pick() (storage.Partition, *model, storage.Log) {
	d.mu.Lock()
	var ids []storage.Partition
	for id, m := range d.models {
		if !m.going {
			ids = append(ids, id)
		}
	}
	d.mu.Unlock()
	slices.SortFunc(ids, func(a, b storage.Partition) int { return int(a.Topic[0]) - int(b.Topic[0]) })
	var id storage.Partition
	if len(ids) == 0 || len(ids) < 4 && d.random.IntN(4) == 0 {
		d.topics++
		id = storage.Partition{Topic: [16]byte{d.topics}}
		d.mu.Lock()
		d.models[id] = &model{removed: map[int64]bool{}}
		d.mu.Unlock()
	} else {
		id = ids[d.random.IntN(len(ids))]
	}
	if d.logs[id] == nil {
		d.open(id)
	}
	return id, d.models[id], d.logs[id]
}

func (d *driver) open(id storage.Partition) {
	ctx := context.Background()
	if err := d.store.Create(ctx, id); err != nil {
		d.fatal("create: %v", err)
	}
	o := storage.OpenOptions{Settings: storage.Settings{SegmentBytes: int64(d.random.IntN(1000))}}
	var l storage.Log
	for try := 0; ; try++ { // writing goes on by itself when the calls do not fail any more
		var err error
		if l, err = d.store.Open(ctx, id, o); err == nil {
			break
		}
		if !d.forgive(err) || try == 1000 {
			d.fatal("open: %v", err)
			return
		}
		d.storm.Store(false)
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // polls
	}
	d.logs[id] = l
	_, d.next[id] = l.Bounds()
}

// forgive says that an error is what injected errors may lead to.
func (d *driver) forgive(err error) bool { return d.stormed && errors.Is(err, storage.ErrUnavailable) }

func (d *driver) reopen() {
	id, _, _ := d.pick()
	d.open(id)
}

// append writes a few batches at once and waits for them.
func (d *driver) append() {
	id, m, l := d.pick()
	if l == nil {
		return
	}
	var pending []storage.Pending
	for range 1 + d.random.IntN(5) {
		d.filler++
		size := 1 + d.random.IntN(200)
		if d.random.IntN(20) == 0 {
			size = copyBelow + d.random.IntN(1000)
		}
		b := binary.BigEndian.AppendUint64(nil, uint64(d.filler))
		b = append(b, strings.Repeat(string(rune('a'+d.filler%26)), size)...)
		base, count := d.next[id], int32(1+d.random.IntN(3))
		if d.random.IntN(10) == 0 {
			base += 2 // a hole
		}
		d.mu.Lock()
		m.batches = append(m.batches, tried{base: base, count: int64(count), bytes: string(b)})
		d.mu.Unlock()
		pending = append(pending, l.Append(storage.Batch{Base: base, Count: count, MaxTimestampMs: int64(d.filler), Bytes: b}))
		d.next[id] = base + int64(count)
	}
	d.settle(id, m, pending)
}

// settle waits for appends, which are the newest of the model.
func (d *driver) settle(id storage.Partition, m *model, pending []storage.Pending) {
	failed := false
	for i, p := range pending {
		err := p.Wait(context.Background())
		if err != nil && !d.forgive(err) {
			d.fatal("append: %v", err)
			return
		}
		if err == nil && failed {
			d.fatal("an append was acknowledged after one before it had failed")
		}
		failed = failed || err != nil
		d.mu.Lock()
		b := &m.batches[len(m.batches)-len(pending)+i]
		b.acked, b.failed = err == nil, err != nil
		m.made = m.made || err == nil
		d.mu.Unlock()
	}
	if failed {
		delete(d.logs, id)
		d.open(id)
	}
}

func (d *driver) trim() {
	id, m, l := d.pick()
	if l == nil {
		return
	}
	start, end := l.Bounds()
	to := start + d.random.Int64N(end-start+1)
	d.mu.Lock()
	m.tried = max(m.tried, to)
	d.mu.Unlock()
	if err := l.TrimBefore(context.Background(), to); err != nil {
		if d.forgive(err) {
			return
		}
		d.fatal("trim %s: %v", id, err)
		return
	}
	d.mu.Lock()
	m.start = max(m.start, to)
	d.mu.Unlock()
}

func (d *driver) checkpoint() {
	_, m, l := d.pick()
	if l == nil {
		return
	}
	_, end := l.Bounds()
	d.mu.Lock()
	m.checks = append(m.checks, end)
	d.mu.Unlock()
	if err := l.SaveCheckpoint(context.Background(), end, fmt.Appendf(nil, "check %d", end)); err != nil {
		if d.forgive(err) {
			return
		}
		d.fatal("checkpoint: %v", err)
		return
	}
	d.mu.Lock()
	m.checked = len(m.checks)
	d.mu.Unlock()
}

// thin replaces a range by some of its batches.
func (d *driver) thin() {
	id, m, l := d.pick()
	if l == nil {
		return
	}
	start, end := l.Bounds()
	d.mu.Lock()
	var keep []storage.Batch
	var gone []int64
	from, to := int64(-1), int64(-1)
	for _, b := range m.batches {
		if m.removed[b.base] || !b.acked || b.base < start || b.base+b.count > end || d.random.IntN(4) == 0 && from < 0 {
			continue
		}
		if from < 0 {
			from = b.base
		}
		to = b.base + b.count
		if d.random.IntN(2) == 0 {
			keep = append(keep, storage.Batch{Base: b.base, Count: int32(b.count), Bytes: []byte(b.bytes)})
		} else {
			gone = append(gone, b.base)
		}
	}
	if from >= 0 {
		m.thinned = append(m.thinned, offsets{from, to})
	}
	d.mu.Unlock()
	if from < 0 {
		return
	}
	with := func(yield func(storage.Batch, error) bool) {
		for _, b := range keep {
			if !yield(b, nil) {
				return
			}
		}
	}
	if err := l.(storage.Compactor).Replace(context.Background(), from, to, iter.Seq2[storage.Batch, error](with)); err != nil {
		if d.forgive(err) {
			return
		}
		d.fatal("replace %d to %d of %s: %v", from, to, id, err)
		return
	}
	d.mu.Lock()
	for _, base := range gone {
		m.removed[base] = true
	}
	d.mu.Unlock()
}

func (d *driver) remove() {
	id, m, _ := d.pick()
	d.mu.Lock()
	m.going = true
	d.mu.Unlock()
	if err := d.store.Delete(context.Background(), id); err != nil {
		if d.forgive(err) {
			delete(d.logs, id)
			return
		}
		d.fatal("delete: %v", err)
		return
	}
	delete(d.logs, id)
	d.mu.Lock()
	m.gone = true
	d.mu.Unlock()
}

// verify opens what the crash left and compares it with what was known at that moment.
func (d *driver) verify(disk *vfs.Mem, then map[storage.Partition]*model, life int) bool {
	var lines bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := Open("log", Options{Sync: d.sync, FileBytes: 4096, FS: disk, MemoryBytes: 1, Logger: logger})
	if err != nil {
		d.fatal("life %d: open after the crash: %v", life, err)
		return false
	}
	defer s.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.models {
		if then[id] == nil {
			then[id] = &model{removed: map[int64]bool{}}
		}
	}
	for p := range s.Partitions(context.Background()) {
		if then[p] == nil || then[p].gone && d.sync {
			d.fatal("life %d: partition %s was invented or came back", life, p)
		}
	}
	for id, m := range then {
		d.verifyPartition(s, id, m, d.models[id], life)
	}
	if d.t.Failed() {
		for id, m := range d.models {
			d.t.Logf("%s: thinned %v removed %v start %d tried %d going %v", id, m.thinned, m.removed, m.start, m.tried, m.going)
		}
		names, _ := disk.List("log")
		d.t.Logf("%v\n%s", names, lines.String())
		for _, name := range names {
			if f, err := disk.Open("log/" + name); err == nil && strings.HasSuffix(name, "log") {
				chunks, end, err := listChunks(f, parseSeq(name))
				size, _ := f.Size()
				d.t.Logf("%s: %+v end %d of %d %v", name, chunks, end, size, err)
			}
		}
		for id, st := range s.parts {
			for _, v := range st.views {
				d.t.Logf("%s: %+v %+v closed %v", id, v.ref(), *v.shown(), v.closed)
			}
		}
	}
	if n := s.damages(); n > 0 {
		d.fatal("life %d: damage was reported %d times: %s", life, n, lines.String())
	}
	d.models = then
	return !d.t.Failed()
}

func (s *Store) damages() int { return int(s.damageCount.Load()) }

func (d *driver) verifyPartition(s *Store, id storage.Partition, m, later *model, life int) {
	bad := func(format string, args ...any) {
		d.fatal("life %d, sync %v, partition %s: %s", life, d.sync, id, fmt.Sprintf(format, args...))
	}
	l, err := s.Open(context.Background(), id, storage.OpenOptions{})
	if errors.Is(err, storage.ErrNotFound) {
		if m.made && !m.going && d.sync {
			bad("it is gone")
		}
		m.going = true // the driver makes a new one
		return
	}
	if err != nil {
		bad("open: %v", err)
		return
	}
	if m.going { // not yet durably gone: the next life deletes it again
		if err := s.Delete(context.Background(), id); err != nil {
			bad("delete: %v", err)
		}
		return
	}
	start, end := l.Bounds()
	if d.sync && start < m.start || start > later.tried {
		bad("starts at %d, trimmed to %d, at most %d", start, m.start, later.tried)
	}
	held := map[string]bool{}
	for from := start; from < end; {
		span, err := l.Read(context.Background(), storage.ReadRange{From: from, MaxBytes: 1, AtLeastOne: true})
		if err != nil {
			bad("read at %d: %v", from, err)
			return
		}
		b, err := span.Bytes()
		if err != nil {
			bad("read at %d: %v", from, err)
			return
		}
		got := string(b)
		span.Release()
		if got == "" {
			break
		}
		i := slices.IndexFunc(later.batches, func(t tried) bool { return t.bytes == got && t.base+t.count > from })
		if i < 0 {
			bad("at %d there is %q, which was not appended there", from, got[8:])
			return
		}
		held[got] = true
		from = later.batches[i].base + later.batches[i].count
	}
	reached := 0
	for i, b := range later.batches {
		there := held[b.bytes]
		thinned := slices.ContainsFunc(later.thinned, func(o offsets) bool { return b.base >= o.from && b.base < o.to })
		acked := i < len(m.batches) && m.batches[i].acked
		switch {
		case there && m.removed[b.base] && d.sync && !b.failed:
			bad("batch at %d came back", b.base)
		case !there && acked && d.sync && b.base+b.count > start && !thinned:
			bad("acknowledged batch at %d is lost", b.base)
		case there:
			reached = i + 1
		}
	}
	for i := range reached {
		b := later.batches[i]
		thinned := slices.ContainsFunc(later.thinned, func(o offsets) bool { return b.base >= o.from && b.base < o.to })
		if !held[b.bytes] && b.base+b.count > start && !thinned && !b.failed {
			bad("batch at %d is missing before others", b.base)
		}
	}
	if at, blob, err := l.Checkpoint(context.Background()); err == nil {
		if !slices.Contains(later.checks, at) || string(blob) != fmt.Sprintf("check %d", at) {
			bad("checkpoint %d %q was not saved", at, blob)
		}
	} else if m.checked > 0 && d.sync {
		bad("checkpoint: %v", err)
	}
	// What is there now is what the next life starts from.
	kept := []tried{}
	for _, b := range later.batches {
		if held[b.bytes] {
			b.acked, b.failed = true, false
			kept = append(kept, b)
		}
	}
	*m = model{
		batches: kept, start: start, tried: start, checks: later.checks, checked: m.checked, made: true,
		removed: map[int64]bool{},
	}
	if !d.sync {
		m.checked = 0
	}
	if end > 0 {
		d.next[id] = end
	}
}

func parseSeq(name string) uint64 {
	n, _ := strconv.ParseUint(name[strings.Index(name, "-")+1:strings.Index(name, ".")], 16, 64)
	return n
}
