package group

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

var (
	walks  = flag.Uint64("walks", 100, "seeds of TestWalk")
	oneWay = flag.Int64("seed", -1, "the one seed that TestWalk runs and shows step by step")
)

// TestWalk lets members of both protocols come, go, crash, lose answers and commit while the server
// restarts and topics grow. At every moment a partition has at most one owner, commits never go back,
// and when the storm is over every live member is served.
func TestWalk(t *testing.T) {
	var total walked
	for seed := range *walks {
		if *oneWay >= 0 && uint64(*oneWay) != seed {
			continue
		}
		w := newWalk(t, seed)
		w.trace = *oneWay >= 0
		w.run()
		if t.Failed() {
			t.Fatalf("seed %d: go test ./internal/group -run TestWalk -v -walks %d -seed %d shows it", seed, seed+1, seed)
		}
		total.add(w.did)
	}
	t.Logf("%d seeds: %+v", *walks, total)
	rarest := min(total.restarts, total.upgrades, total.downgrades, total.fenced, total.commits, total.lost)
	if *oneWay < 0 && rarest == 0 {
		t.Fatalf("the walk does not go everywhere: %+v", total)
	}
}

// walked counts what happened.
type walked struct{ steps, restarts, upgrades, downgrades, fenced, commits, refused, lost int }

func (a *walked) add(b walked) {
	a.steps += b.steps
	a.restarts += b.restarts
	a.upgrades += b.upgrades
	a.downgrades += b.downgrades
	a.fenced += b.fenced
	a.commits += b.commits
	a.refused += b.refused
	a.lost += b.lost
}

type spot struct {
	topic string
	index int32
}

type walk struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	o       Options
	m       *Machine
	now     time.Time
	ticket  statelog.Ticket
	ids     int
	timers  map[string]time.Time
	log     []statelog.Record
	waiting map[statelog.Ticket]*walker
	cluster *testTopics
	live    []*walker
	born    int
	next    map[spot]int64 // the largest offset whose commit was accepted
	calm    bool           // no more trouble
	did     walked
	trace   bool
}

// show logs what a step did.
func (w *walk) show(e statelog.Effects) {
	for _, n := range e.Notes {
		w.t.Log(w.did.steps, w.now.UnixMilli(), "note", n)
	}
	for _, r := range e.Records {
		w.t.Log(w.did.steps, w.now.UnixMilli(), "record", showRecord(w.cluster, r))
	}
	for _, r := range e.Replies {
		if to := w.waiting[r.To]; to != nil && r.Response != nil {
			w.t.Log(w.did.steps, w.now.UnixMilli(), "to", to.name, showResponse(w.cluster, r.Response.(kmsg.Response)))
		}
	}
}

// walker is a client: a consumer of one of the protocols.
type walker struct {
	id       string // as the server knows it, empty when it does not
	name     string
	consumer bool
	instance *string
	epoch    int32 // or generation
	leader   bool
	members  []kmsg.JoinGroupResponseMember
	state    string // join, sync, fine; or pending
	has      map[spot]bool
	at       map[spot]int64 // where it reads
	heard    time.Time
	full     bool // the next heartbeat says all
	asked    time.Time
	pending  statelog.Ticket
	saw      *testTopics // that a leader assigned
}

const walkSession = 10 * time.Second

func newWalk(t *testing.T, seed uint64) *walk {
	w := &walk{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 848)), now: time.UnixMilli(1_000_000), timers: map[string]time.Time{},
		waiting: map[statelog.Ticket]*walker{}, next: map[spot]int64{}, cluster: (&testTopics{}).with(map[string]string{"t": "4", "u": "2"}),
	}
	w.o = Defaults()
	w.o.InitialRebalanceDelay = 0
	w.o.Topics = func() Topics { return w.cluster }
	interval := time.Duration(w.rng.IntN(3)) * 2 * time.Second // for a third of the walks there is none
	w.o.Settings = func(string) Settings {
		return Settings{SessionTimeout: walkSession, HeartbeatInterval: time.Second, AssignmentInterval: interval}
	}
	w.m = New(w.o)
	return w
}

func (w *walk) run() {
	protocols := w.rng.IntN(3) // one, the other, both
	for range 120 {
		w.did.steps++
		switch n := w.rng.IntN(100); {
		case n < 8 && len(w.live) < 6:
			w.birth(protocols == 1 || protocols == 2 && w.rng.IntN(2) == 0)
		case n < 12 && len(w.live) > 0:
			w.leave(w.live[w.rng.IntN(len(w.live))])
		case n < 15 && len(w.live) > 0: // it crashes: nobody hears of it again
			i := w.rng.IntN(len(w.live))
			w.drop(w.live[i])
			w.live = slices.Delete(w.live, i, i+1)
		case n < 18:
			w.restart()
		case n < 20:
			w.cluster = w.cluster.with(map[string]string{"t": fmt.Sprint(4 + w.rng.IntN(4) + w.did.steps/40)})
		default:
			w.pass(time.Duration(w.rng.IntN(1500)) * time.Millisecond)
		}
		if w.t.Failed() {
			return
		}
	}
	w.settle()
}

// settle ends the trouble and waits until all have what is theirs.
func (w *walk) settle() {
	w.calm = true
	for len(w.live) == 0 {
		w.birth(protocolOf(w))
	}
	for range 150 {
		w.pass(time.Second)
	}
	owners := map[spot]*walker{}
	for _, c := range w.live {
		if c.state != "fine" {
			w.t.Errorf("seed %d: %s ends in state %q", w.seed, c.name, c.state)
		}
		if len(c.has) == 0 && len(w.live) <= 6 {
			w.t.Errorf("seed %d: %s ends with nothing", w.seed, c.name)
		}
		for s := range c.has {
			owners[s] = c
		}
	}
	for name, topic := range w.cluster.byName {
		for i := range topic.Partitions {
			if owners[spot{name, i}] == nil {
				w.t.Errorf("seed %d: nobody ends with %s/%d", w.seed, name, i)
			}
		}
	}
	if p, known := w.m.phaseOf("g"); !known || p != stable {
		w.t.Errorf("seed %d: the group ends %s", w.seed, p)
	}
}

func protocolOf(w *walk) bool { return w.rng.IntN(2) == 0 }

// pass lets time pass, timers ring and every client do its next thing.
func (w *walk) pass(d time.Duration) {
	until := w.now.Add(d)
	for {
		next := ""
		for key, at := range w.timers {
			if !at.After(until) && (next == "" || at.Before(w.timers[next]) || at.Equal(w.timers[next]) && key < next) {
				next = key
			}
		}
		if next == "" {
			break
		}
		w.now = w.timers[next]
		delete(w.timers, next)
		w.step(nil, func(in statelog.Input) statelog.Effects { return w.m.Timeout(in, next) })
	}
	w.now = until
	for _, c := range slices.Clone(w.live) {
		w.act(c)
	}
}

func (w *walk) birth(consumer bool) {
	w.born++
	c := &walker{name: fmt.Sprintf("m%d", w.born), consumer: consumer, state: "join", has: map[spot]bool{}, at: map[spot]int64{}, heard: w.now}
	if w.rng.IntN(4) == 0 {
		c.instance = &c.name
	}
	if consumer {
		c.id = c.name
	}
	w.live = append(w.live, c)
	w.act(c)
}

// step runs one step for a client; the answer, when there is one and it is not lost, reaches it.
func (w *walk) step(c *walker, f func(in statelog.Input) statelog.Effects) {
	w.ticket++
	if c != nil {
		w.waiting[w.ticket], c.pending, c.asked = c, w.ticket, w.now
	}
	was := w.m.consumers["g"] != nil
	e := f(statelog.Input{Now: w.now, Ticket: w.ticket, NewID: func() [16]byte {
		w.ids++
		return [16]byte{byte(w.ids >> 16), byte(w.ids >> 8), byte(w.ids)}
	}})
	for _, r := range e.Records {
		r.TimestampMs = w.now.UnixMilli()
		if err := w.m.Apply(r); err != nil {
			w.t.Fatal(err)
		}
		w.log = append(w.log, r)
	}
	is := w.m.consumers["g"] != nil
	if was && !is && w.m.groups["g"] != nil && len(w.m.groups["g"].members) > 0 {
		w.did.downgrades++
	}
	if g := w.m.consumers["g"]; !was && g != nil && g.classicMembers(nil) > 0 {
		w.did.upgrades++
	}
	for _, tm := range e.Timers {
		delete(w.timers, tm.Key)
		if !tm.At.IsZero() {
			w.timers[tm.Key] = tm.At
		}
	}
	w.machineIsSound()
	if w.trace {
		w.show(e)
	}
	for _, r := range e.Replies {
		to := w.waiting[r.To]
		delete(w.waiting, r.To)
		if to == nil || to.pending != r.To || !slices.Contains(w.live, to) {
			continue
		}
		if !w.calm && w.rng.IntN(20) == 0 {
			w.did.lost++ // the client asks again
			to.pending, to.full = 0, true
			continue
		}
		to.pending = 0
		w.heard(to, r.Response.(kmsg.Response))
	}
}

// machineIsSound holds for the machine alone: no partition of a consumer group has two members.
func (w *walk) machineIsSound() {
	g := w.m.consumers["g"]
	if g == nil {
		return
	}
	if w.m.groups["g"] != nil {
		w.t.Errorf("seed %d: the group is of both kinds", w.seed)
	}
	type place struct {
		topic [16]byte
		index int32
	}
	owner := map[place]string{}
	for _, mb := range g.members {
		for _, h := range []held{mb.assigned, mb.revoke} {
			for topic, indexes := range h {
				for index := range indexes {
					key := place{topic, index}
					if owner[key] != "" {
						w.t.Errorf("seed %d: %v is with %s and %s", w.seed, key, owner[key], mb.id)
					}
					owner[key] = mb.id
				}
			}
		}
	}
}

// restart loses what waits; the machine is built again from its records, now and then compacted.
func (w *walk) restart() {
	w.did.restarts++
	if w.rng.IntN(2) == 0 {
		w.log = slices.Collect(w.m.Records())
		w.rng.Shuffle(len(w.log), func(i, j int) { w.log[i], w.log[j] = w.log[j], w.log[i] })
	}
	w.m, w.timers = New(w.o), map[string]time.Time{}
	for _, r := range w.log {
		if err := w.m.Apply(r); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, c := range w.live {
		if c.pending != 0 {
			c.pending, c.full = 0, true
		}
	}
	clear(w.waiting)
	w.step(nil, func(in statelog.Input) statelog.Effects { return w.m.Loaded(in) })
}

// drop is a client that gives up all that it has.
func (w *walk) drop(c *walker) { clear(c.has); clear(c.at) }

// startOver is a client that the server does not know any more.
func (w *walk) startOver(c *walker) {
	w.did.fenced++
	w.drop(c)
	c.state, c.epoch = "join", 0
	if !c.consumer {
		c.id = ""
	}
}

// gain gives a client a partition. Whoever is alive and heard of must not have it.
func (w *walk) gain(c *walker, s spot) {
	if c.has[s] {
		return
	}
	for _, other := range w.live {
		if other != c && other.has[s] && w.now.Sub(other.heard) < walkSession {
			w.t.Errorf("seed %d step %d: %s gets %v, which %s still has", w.seed, w.did.steps, c.name, s, other.name)
		}
	}
	c.has[s] = true
	c.at[s] = w.next[s]
	if o := w.m.offsets["g"][partition(s)]; o != nil && o.at != w.next[s] || o == nil && w.next[s] != 0 {
		w.t.Errorf("seed %d: the offset of %v is not the one that was accepted", w.seed, s)
	}
}
