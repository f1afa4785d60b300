package topic

import (
	"slices"
	"sync/atomic"
)

// Limits bound what all partitions of a set together remember of their clients. They are looked at
// by each Upkeep, so that what a second brings may come on top.
type Limits struct {
	// Producers: the longest silent of all partitions are forgotten first, as with Options.MaxProducers.
	// 0 is a million.
	Producers int
	// Aborted is how many aborted transactions are listed whose records are still kept: while there are
	// more no transaction begins, as readers of committed records could not be told. 0 is a million.
	Aborted int
}

// maxAborted is the default of Limits.Aborted: 32 bytes each.
const maxAborted = 1_000_000

// overLimit is the part of the limit by which producers go below it, so that few Upkeeps look for them.
const overLimit = 10

// limiter keeps the limits of a set.
type limiter struct {
	Limits
	producers, aborted atomic.Int64 // what the last Upkeep found
	crowded            atomic.Bool  // no transaction may begin
}

// Limit sets the limits; without it they are the defaults. It is called before partitions are opened.
func (s *Set) Limit(l Limits) {
	if l.Producers == 0 {
		l.Producers = maxProducers
	}
	if l.Aborted == 0 {
		l.Aborted = maxAborted
	}
	s.limits.Limits = l
}

// Remembered is how many producers and aborted transactions all partitions remembered lately.
func (s *Set) Remembered() (producers, aborted int64) {
	return s.limits.producers.Load(), s.limits.aborted.Load()
}

// keepLimits counts, forgets producers beyond the limit and says whether transactions may begin.
func (s *Set) keepLimits(all []*opening) {
	producers, aborted := 0, 0
	for _, o := range all {
		n, a := o.p.remembers()
		producers, aborted = producers+n, aborted+a
	}
	s.limits.aborted.Store(int64(aborted))
	if crowded := aborted > s.limits.Aborted; s.limits.crowded.Swap(crowded) != crowded && len(all) > 0 {
		what := "transactions may begin again"
		if crowded {
			what = "no transaction may begin: too many aborted ones are kept; shorten the retention of their topics or raise the limit"
		}
		all[0].p.o.note(what, "aborted", aborted, "limit", s.limits.Aborted)
	}
	if over := producers - s.limits.Producers; over > 0 {
		producers -= forgetSilent(all, over+s.limits.Producers/overLimit)
	}
	s.limits.producers.Store(int64(producers))
}

// forgetSilent forgets so many of the producers that are silent for longest, if they have no
// transaction open.
func forgetSilent(all []*opening, n int) (forgotten int) {
	var seen []int64
	for _, o := range all {
		o.p.mu.Lock()
		for _, known := range o.p.producers {
			seen = append(seen, known.seenMs)
		}
		o.p.mu.Unlock()
	}
	if len(seen) == 0 {
		return 0
	}
	slices.Sort(seen)
	until := seen[min(n, len(seen))-1]
	for _, o := range all {
		o.p.mu.Lock()
		for id, known := range o.p.producers {
			if forgotten < n && known.seenMs <= until && known.txnStart == none {
				delete(o.p.producers, id)
				forgotten++
			}
		}
		o.p.mu.Unlock()
	}
	return forgotten
}

// remembers counts what is kept of clients.
func (p *Partition) remembers() (producers, aborted int) {
	p.mu.Lock()
	producers = len(p.producers)
	p.mu.Unlock()
	p.txns.mu.Lock()
	defer p.txns.mu.Unlock()
	return producers, len(p.txns.aborted)
}

// mayBegin says whether a transactional batch may come: it belongs to a transaction that is open
// here, or another one may begin. The partition's lock is held.
func (p *Partition) mayBegin(producerID int64) bool {
	if p.o.limits == nil || !p.o.limits.crowded.Load() {
		return true
	}
	known := p.producers[producerID]
	return known != nil && known.txnStart != none
}
