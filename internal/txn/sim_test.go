package txn_test

import (
	"flag"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"kelp/internal/batch"
	"kelp/internal/topic"
)

var (
	seeds = flag.Int("seeds", 40, "how many seeds the simulation runs")
	seed  = flag.Uint64("seed", 0, "run this seed alone")
)

// The shape of the simulation: producers copy as many input partitions of inputs records to both outputs.
const (
	producers  = 3
	inputs     = 24
	outputs    = 2
	maxSteps   = 100_000
	crashEvery = 300 // of the moments at which a server may crash
	tearEvery  = 20  // of the places between two records of one append
	pauseEvery = 30  // of the turns of a client
)

// TestReadersSeeWholeTransactionsOnce copies inputs with several producers of both protocols, in groups of both protocols or
// each alone. Some are killed, some are replaced while they go on as zombies, and the server crashes between any two records.
// It checks what a reader of committed records sees.
func TestReadersSeeWholeTransactionsOnce(t *testing.T) {
	from, n := uint64(1), *seeds
	if *seed != 0 {
		from, n = *seed, 1
	}
	for i := range uint64(n) {
		t.Run(fmt.Sprint("seed ", from+i), func(t *testing.T) { simulate(t, from+i) })
	}
}

// play is one run of a simulation.
type play struct {
	*server
	kind    int // of members
	running []*instance
	done    map[int]bool
}

// instance is a client at work. One that pauses does nothing until then, and may find that others took its place.
type instance struct {
	next   func() (struct{}, bool)
	stop   func()
	paused time.Time
}

// begin starts an instance of producer n.
func (p *play) begin(n int) {
	c := &client{
		s: p.server, n: n, as: newMember(p.kind, n), first: p.level < 2 || p.r.IntN(2) == 0,
		done: func(input int) { p.done[input] = true },
	}
	next, stop := iter.Pull(c.run())
	p.running = append(p.running, &instance{next: next, stop: stop})
}

// kill ends an instance without a word.
func (p *play) kill(i int) {
	p.running[i].stop()
	p.running = slices.Delete(p.running, i, i+1)
}

func simulate(t *testing.T, seed uint64) {
	t.Logf("repeat with: go test ./internal/txn -run %s -seed %d", "TestReadersSeeWholeTransactionsOnce", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	p := &play{server: newServer(t, r), kind: r.IntN(kinds), done: map[int]bool{}}
	defer p.store.Close()
	defer func() {
		for len(p.running) > 0 {
			p.kill(0)
		}
	}()
	for n := range producers {
		p.begin(n)
	}
	for step := 0; len(p.done) < producers || len(p.calls) > 0; step++ {
		if step > maxSteps {
			t.Fatalf("after %d steps only %v are done, %d markers are left: %+v", step, p.done, len(p.calls), p.did)
		}
		p.step()
	}
	for range 2 * producers { // what zombies left open is aborted in time
		p.now = p.now.Add(time.Hour)
		p.due()
		for len(p.calls) > 0 {
			p.surviving(func() { p.deliver(0) })
		}
	}
	t.Logf("kind %d, level %d: %+v", p.kind, p.level, p.did)
	p.check()
}

func (p *play) step() {
	p.now = p.now.Add(time.Duration(p.r.IntN(20)) * time.Millisecond)
	switch at := p.r.IntN(120); {
	case at == 0:
		p.start()
	case at == 1 && len(p.running) < 2*producers:
		p.begin(p.r.IntN(producers)) // whoever had the id goes on as a zombie
	case at == 2 && p.r.IntN(6) == 0:
		p.now = p.now.Add(time.Minute)
	case at == 3 && p.r.IntN(3) == 0 && len(p.running) > 0:
		p.kill(p.r.IntN(len(p.running)))
	case at == 4 && len(p.running) < producers:
		for n := range producers {
			p.begin(n)
		}
	case at < 10:
		p.due()
	case at < 30 && len(p.calls) > 0:
		p.surviving(func() { p.deliver(p.r.IntN(len(p.calls))) })
	case len(p.running) > 0:
		switch i := p.running[p.r.IntN(len(p.running))]; {
		case i.paused.After(p.now):
		case p.r.IntN(pauseEvery) == 0:
			i.paused = p.now.Add(time.Duration(p.r.Int64N(int64(2 * sessionTimeout))))
		default:
			i.next()
		}
	}
}

// check reads the outputs as a reader of committed records does.
func (s *server) check() {
	tags := [outputs]map[string]bool{}
	for out, p := range s.parts {
		tags[out] = map[string]bool{}
		for give := time.After(time.Minute); p.LastStableOffset() < s.ends[out]; { // the store tells the end a little later
			select {
			case <-time.After(time.Millisecond):
			case <-give:
				s.t.Fatalf("output %d: a transaction hangs from %d, the last ended at %d", out, p.LastStableOffset(), s.ends[out])
			}
		}
		next := map[string]int{}
		for _, r := range s.committed(p) {
			tags[out][string(r.Key)] = true
			var n, i int
			if _, err := fmt.Sscanf(string(r.Value), "%d:%d", &n, &i); err != nil {
				s.t.Fatal(err)
			}
			if key := strconv.Itoa(n); next[key] != i {
				s.t.Errorf("output %d: record %s of input %d comes at offset %d, want %d", out, r.Value, n, r.Offset, next[key])
			}
			next[strconv.Itoa(n)]++
		}
		for n := range producers {
			if next[strconv.Itoa(n)] != inputs {
				s.t.Errorf("output %d: %d of %d records of input %d", out, next[strconv.Itoa(n)], inputs, n)
			}
		}
	}
	if !maps.Equal(tags[0], tags[1]) {
		s.t.Errorf("half of a transaction is there: %v, %v", tags[0], tags[1])
	}
}

func (s *server) committed(p *topic.Partition) (out []batch.Record) {
	stable := p.LastStableOffset()
	aborted := map[int64][]topic.Aborted{}
	for _, a := range p.Aborted(0, stable) {
		aborted[a.ProducerID] = append(aborted[a.ProducerID], a)
	}
	for at := int64(0); at < stable; {
		span, err := p.Read(s.t.Context(), at, 1, true)
		if err != nil {
			s.t.Fatal(err)
		}
		b, err := span.Bytes()
		if err != nil {
			s.t.Fatal(err)
		}
		h, err := batch.ReadHeader(b)
		if err != nil {
			s.t.Fatal(err)
		}
		at = h.LastOffset() + 1
		gone := slices.ContainsFunc(aborted[h.ProducerID], func(a topic.Aborted) bool {
			return a.FirstOffset <= h.BaseOffset && h.BaseOffset < a.LastOffset
		})
		if !h.Control() && !gone {
			for r, err := range batch.Records(b, 1<<20) {
				if err != nil {
					s.t.Fatal(err)
				}
				r.Key, r.Value = slices.Clone(r.Key), slices.Clone(r.Value)
				out = append(out, r)
			}
		}
		span.Release()
	}
	return out
}
