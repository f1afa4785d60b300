package seaweedfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"kelp/internal/storage"
)

// scheduleSeeds is how many schedules a plain test run takes; -seeds FROM-TO sets a range.
const scheduleSeeds = 25

var seedRange = flag.String("seeds", "", "FROM-TO: the seeds of the schedules")

// TestSchedules runs several nodes on one simulated SeaweedFS, in virtual time: calls are lost,
// held up for longer than leases last, repeated and left unanswered; nodes are closed, killed,
// paused and go on, and two of them think at once that they own the log. What clients were told is
// then checked for linearizability.
func TestSchedules(t *testing.T) {
	from, to := uint64(1), uint64(scheduleSeeds)
	if *seedRange != "" {
		a, b, _ := strings.Cut(*seedRange, "-")
		var errs [2]error
		from, errs[0] = strconv.ParseUint(a, 10, 64)
		to, errs[1] = strconv.ParseUint(b, 10, 64)
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
	}
	var total tally
	for seed := from; seed <= to; seed++ {
		if !t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newSchedule(t, seed).run(&total) })
		}) {
			t.Fatalf("seed %d fails", seed)
		}
	}
	t.Logf("%d schedules: %+v", to-from+1, total)
	if total.Acknowledged == 0 || total.Unknown == 0 || total.Zombies == 0 || total.Reads == 0 {
		t.Fatal("the schedules do not try what they are for")
	}
}

// tally is what the schedules came to.
type tally struct{ Acknowledged, Unknown, Refused, Reads, Stale, Zombies, Replaced int }

// schedule is one run.
type schedule struct {
	t      *testing.T
	s      *sim
	o      Options
	random *rand.Rand
	clock  atomic.Int64 // orders what clients do: virtual time stands still for most of it
	parts  []storage.Partition
	fences atomic.Int64 // clock of the newest fence

	mu     sync.Mutex // guards all below
	value  uint64
	told   [][]told // of each partition
	zombie int
	count  tally
}

// told is one operation and what the client was told.
type told struct {
	client    int
	call, ret int64
	value     uint64   // appended, or
	read      []uint64 // the whole log
	offset    int64
	unknown   bool // no answer: it may have been appended, or be appended later
	stale     bool // another owner had fenced this one before it was asked: it may not know yet
}

func newSchedule(t *testing.T, seed uint64) *schedule {
	d := &schedule{
		t: t, s: newSim(seed), o: quick(), random: rand.New(rand.NewPCG(seed, 2)),
		parts: []storage.Partition{{Topic: [16]byte{1}}, {Topic: [16]byte{2}, Index: 1}},
	}
	d.told = make([][]told, len(d.parts))
	d.s.fenced = func([16]byte) { d.fences.Store(d.clock.Add(1)) }
	d.s.faults = []float64{0, 0.02, 0.1, 0.3}[d.random.IntN(4)]
	d.s.slow = []time.Duration{0, time.Millisecond, 50 * time.Millisecond}[d.random.IntN(3)]
	d.o.Patience = []time.Duration{50 * time.Millisecond, time.Second, 10 * time.Second}[d.random.IntN(3)]
	d.o.SettleAfter, d.o.Upkeep = 100*time.Millisecond, 20*time.Millisecond
	d.o.SettleBytes, d.o.SnapshotChunks, d.o.chunksPerFolder = 200, 1+d.random.IntN(20), uint64(1+d.random.IntN(10))
	d.o.Window = []time.Duration{0, time.Millisecond}[d.random.IntN(2)]
	return d
}

// owner is one node with its store.
type owner struct {
	way    *node
	st     *Store
	fenced int64 // clock of its fence
	done   sync.WaitGroup
	stop   chan struct{}
}

func (d *schedule) run(total *tally) {
	ctx := d.t.Context()
	var owners []*owner
	for round := range 2 + d.random.IntN(5) {
		w := d.begin(ctx, round, owners)
		owners = append(owners, w)
		d.rest(5 * time.Second)
		switch d.random.IntN(4) {
		case 0:
			w.end()
		case 1: // killed: its calls under way may still arrive
			w.way.dead.Store(true)
			w.st.end()
			w.end()
		case 2: // paused for longer than any lease; it goes on while others own the log
			gate := make(chan struct{})
			w.way.gate.Store(&gate)
			pause := time.Duration(d.random.Int64N(int64(time.Minute)))
			w.done.Go(func() {
				time.Sleep(pause) //nolint:forbidigo // virtual
				w.way.gate.Store(nil)
				close(gate)
			})
		default: // it goes on, beside the next one
			d.zombie++
		}
	}
	d.rest(2 * time.Minute)
	d.s.mu.Lock()
	d.s.faults = 0
	d.s.mu.Unlock()
	for _, w := range owners {
		w.end()
	}
	d.s.late.Wait()
	d.check(ctx)
	d.count.Zombies = d.zombie
	total.add(d.count)
}

func (d *schedule) rest(most time.Duration) {
	time.Sleep(time.Duration(d.random.Int64N(int64(most)))) //nolint:forbidigo // virtual
}

func (w *owner) end() {
	select {
	case <-w.stop:
		return
	default:
	}
	close(w.stop)
	w.done.Wait()
	_ = w.st.Close()
}

// begin opens the log at a new node and lets clients use it.
func (d *schedule) begin(ctx context.Context, round int, before []*owner) *owner {
	w := &owner{way: &node{sim: d.s}, stop: make(chan struct{})}
	for attempt := 0; ; attempt++ {
		if attempt == 3 { // an owner may be so busy that nobody catches up; leases are what keeps others from trying then
			for _, b := range before {
				b.end()
			}
		}
		st, err := Open(ctx, w.way, d.o)
		if err == nil {
			w.st = st
			break
		}
		if errors.Is(err, storage.ErrCorrupt) {
			d.t.Fatal(err)
		}
	}
	w.fenced = d.fences.Load()
	for i := range d.parts {
		c := &client{d: d, w: w, part: i, id: round*len(d.parts) + i, random: rand.New(rand.NewPCG(d.random.Uint64(), 3))}
		w.done.Go(func() { c.run(ctx) })
	}
	return w
}

// client uses one partition at one node: appends, several under way at a time, and reads.
type client struct {
	d      *schedule
	w      *owner
	part   int
	id     int
	random *rand.Rand
	log    storage.Log
	next   int64
}

func (c *client) run(ctx context.Context) {
	p := c.d.parts[c.part]
	var pending sync.WaitGroup
	defer pending.Wait()
	for {
		select {
		case <-c.w.stop:
			return
		case <-time.After(time.Duration(c.random.Int64N(int64(300 * time.Millisecond)))):
		}
		if c.log == nil {
			if err := c.w.st.Create(ctx, p); err != nil {
				continue
			}
			log, err := c.w.st.Open(ctx, p, storage.OpenOptions{Epoch: c.w.st.Epoch()})
			if err != nil {
				continue
			}
			c.log = log
			_, c.next = log.Bounds()
		}
		switch n := c.random.IntN(10); {
		case n < 6:
			for range 1 + c.random.IntN(3) {
				c.append(ctx, &pending)
			}
		case n < 9:
			c.read(ctx)
		default:
			c.replace(ctx)
		}
		if c.log.(*log).failed.Load() {
			pending.Wait()
			c.log = nil // it is opened anew
		}
	}
}

func (c *client) append(ctx context.Context, pending *sync.WaitGroup) {
	d := c.d
	d.mu.Lock()
	d.value++
	v := d.value
	d.mu.Unlock()
	b := make([]byte, []int{8, 100, inlineBytes + 1}[c.random.IntN(3)])
	binary.BigEndian.PutUint64(b, v)
	op := told{client: c.id, call: d.clock.Add(1), value: v, offset: c.next}
	p := c.log.Append(storage.Batch{Base: c.next, Count: 1, Bytes: b})
	c.next++
	pending.Go(func() {
		err := p.Wait(ctx)
		op.ret = d.clock.Add(1)
		d.mu.Lock()
		defer d.mu.Unlock()
		switch {
		case err == nil:
			d.count.Acknowledged++
		case errors.Is(err, storage.ErrOutOfRange):
			d.t.Errorf("append at %d: %v", op.offset, err)
		default: // whatever it says: only an acknowledgement promises anything
			op.unknown = true
			d.count.Unknown++
		}
		d.told[c.part] = append(d.told[c.part], op)
	})
}

func (c *client) read(ctx context.Context) {
	d := c.d
	op := told{client: 1000 + c.id, call: d.clock.Add(1)}
	op.stale = d.fences.Load() > c.w.fenced
	got, err := contents(ctx, c.log)
	op.ret = d.clock.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case err == nil:
		op.read = got
		d.told[c.part] = append(d.told[c.part], op)
		d.count.Reads++
		if op.stale {
			d.count.Stale++
		}
	case errors.Is(err, storage.ErrCorrupt), errors.Is(err, storage.ErrOutOfRange):
		d.t.Errorf("read: %v", err)
	default:
		d.count.Refused++
	}
}

// contents reads a whole log.
func contents(ctx context.Context, l storage.Log) (got []uint64, err error) {
	_, end := l.Bounds()
	for from := int64(0); from < end; {
		span, err := l.Read(ctx, storage.ReadRange{From: from, Before: end, MaxBytes: 1 << 14, AtLeastOne: true})
		if err != nil {
			return nil, err
		}
		parts := span.(storage.Buffered).AppendBuffers(nil)
		for _, b := range parts {
			if len(b) < 8 || len(bytes.Trim(b[8:], "\x00")) > 0 {
				return nil, fmt.Errorf("%w: %d bytes that nobody appended", storage.ErrCorrupt, len(b))
			}
			got = append(got, binary.BigEndian.Uint64(b))
		}
		if from += int64(len(parts)); len(parts) == 0 {
			return nil, fmt.Errorf("%w: nothing at %d of %d", storage.ErrCorrupt, from, end)
		}
		span.Release()
	}
	return got, nil
}

// replace compacts a range into what it holds already, which nobody may notice.
func (c *client) replace(ctx context.Context) {
	got, err := contents(ctx, c.log)
	if err != nil || len(got) == 0 {
		return
	}
	from := c.random.IntN(len(got))
	to := from + 1 + c.random.IntN(len(got)-from)
	var with iter.Seq2[storage.Batch, error] = func(yield func(storage.Batch, error) bool) {
		for i := from; i < to; i++ {
			b := make([]byte, 8)
			binary.BigEndian.PutUint64(b, got[i])
			if !yield(storage.Batch{Base: int64(i), Count: 1, Bytes: b}, nil) {
				return
			}
		}
	}
	if c.log.(storage.Compactor).Replace(ctx, int64(from), int64(to), with) == nil {
		c.d.mu.Lock()
		c.d.count.Replaced++
		c.d.mu.Unlock()
	}
}

// check opens the log once more and judges what clients were told.
func (d *schedule) check(ctx context.Context) {
	st, err := Open(ctx, &node{sim: d.s}, d.o)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	for i, p := range d.parts {
		if err := st.Create(ctx, p); err != nil {
			d.t.Fatal(err)
		}
		l, err := st.Open(ctx, p, storage.OpenOptions{Epoch: st.Epoch()})
		if err != nil {
			d.t.Fatal(err)
		}
		got, err := contents(ctx, l)
		if err != nil {
			d.t.Fatal(err)
		}
		d.judge(append(d.told[i], told{client: 9999, call: d.clock.Add(1), ret: d.clock.Add(1), read: got}), got)
	}
}

// judge checks a partition's history. final is what the log holds in the end.
func (d *schedule) judge(history []told, final []uint64) {
	var ops []porcupine.Operation
	for _, op := range history {
		if op.unknown {
			at := slices.Index(final, op.value)
			if at < 0 {
				continue // it never took place
			}
			op.offset, op.ret = int64(at), d.clock.Load()+1 // it took place at some time
		}
		ops = append(ops, porcupine.Operation{ClientId: len(ops), Input: op, Call: op.call, Output: op, Return: op.ret})
	}
	if porcupine.CheckOperationsTimeout(logModel, ops, time.Minute) != porcupine.Ok {
		for _, op := range history {
			d.t.Logf("%+v", op)
		}
		d.t.Fatalf("not linearizable; the log holds %v", final)
	}
}

// logModel is a log: an append puts its value at the end and is told that place, a read sees all
// of it; one that was asked of an owner already fenced sees a beginning of it.
var logModel = porcupine.Model{
	Init: func() any { return []uint64(nil) },
	Step: func(state, input, _ any) (bool, any) {
		log, op := state.([]uint64), input.(told)
		switch {
		case op.value == 0 && op.stale:
			return len(op.read) <= len(log) && slices.Equal(op.read, log[:len(op.read)]), log
		case op.value == 0:
			return slices.Equal(op.read, log), log
		}
		return op.offset == int64(len(log)), append(log[:len(log):len(log)], op.value)
	},
	Equal: func(a, b any) bool { return slices.Equal(a.([]uint64), b.([]uint64)) },
}

func (t *tally) add(o tally) {
	t.Acknowledged += o.Acknowledged
	t.Unknown += o.Unknown
	t.Refused += o.Refused
	t.Reads += o.Reads
	t.Stale += o.Stale
	t.Zombies += o.Zombies
	t.Replaced += o.Replaced
}
