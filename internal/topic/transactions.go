package topic

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// Aborted is one aborted transaction of a partition, from its first record to its marker.
type Aborted struct {
	ProducerID  int64
	FirstOffset int64
	LastOffset  int64 // of the marker
	// stable is the last stable offset once the marker was there: every transaction that ended
	// later began at or after it. A search may end here (Kafka's AbortedTxn does the same).
	stable int64
}

// transactions knows which offsets of a partition are decided. Its lock is taken below the
// partition's and never held over anything that waits, so that the store may call in.
type transactions struct {
	// unstable is the first offset of a transaction that is open or whose marker is not yet
	// durable; math.MaxInt64 when there is none. Written under mu.
	unstable atomic.Int64

	mu      sync.Mutex // guards all below
	ongoing []span     // by first offset
	ending  []span     // with a marker that is not yet durable, by last offset
	aborted []Aborted  // by last offset
}

// span is a transaction of one producer; last is the offset of its marker.
type span struct{ producerID, first, last int64 }

func byFirst(s span, first int64) int { return cmp.Compare(s.first, first) }

// begin notes the first batch of a transaction. Offsets only grow.
func (t *transactions) begin(producerID, first int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ongoing = append(t.ongoing, span{producerID: producerID, first: first})
	t.settle()
}

// end notes the marker of the transaction that began at first.
func (t *transactions) end(producerID, first, last int64, commit bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, found := slices.BinarySearchFunc(t.ongoing, first, byFirst); found {
		t.ongoing = slices.Delete(t.ongoing, i, i+1)
	}
	t.ending = append(t.ending, span{producerID, first, last})
	if !commit {
		stable := last + 1
		if len(t.ongoing) > 0 {
			stable = t.ongoing[0].first
		}
		t.aborted = append(t.aborted, Aborted{producerID, first, last, stable})
	}
	t.settle()
}

// durable says that everything before the high watermark is on disk.
func (t *transactions) durable(highWatermark int64) {
	if t.unstable.Load() == math.MaxInt64 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	done := 0
	for done < len(t.ending) && t.ending[done].last < highWatermark {
		done++
	}
	t.ending = slices.Delete(t.ending, 0, done)
	t.settle()
}

// settle is called with the lock held.
func (t *transactions) settle() {
	first := int64(math.MaxInt64)
	if len(t.ongoing) > 0 {
		first = t.ongoing[0].first
	}
	for _, s := range t.ending {
		first = min(first, s.first)
	}
	t.unstable.Store(first)
}

// between lists the aborted transactions that have records or their marker in [from, to).
func (t *transactions) between(from, to int64) []Aborted {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, _ := slices.BinarySearchFunc(t.aborted, from, func(a Aborted, from int64) int { return cmp.Compare(a.LastOffset, from) })
	var found []Aborted
	for _, a := range t.aborted[i:] {
		if a.FirstOffset < to {
			found = append(found, a)
		}
		if a.stable >= to {
			break
		}
	}
	return found
}

// trim forgets aborted transactions that lie wholly before the start of the log.
func (t *transactions) trim(start int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	gone := 0
	for gone < len(t.aborted) && t.aborted[gone].LastOffset < start {
		gone++
	}
	t.aborted = slices.Delete(t.aborted, 0, gone)
}

// load takes over what a checkpoint says.
func (t *transactions) load(producers map[int64]*producer, aborted []Aborted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ongoing, t.ending, t.aborted = nil, nil, aborted
	for id, s := range producers {
		if s.txnStart != none {
			t.ongoing = append(t.ongoing, span{producerID: id, first: s.txnStart})
		}
	}
	slices.SortFunc(t.ongoing, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	t.settle()
}

// drop forgets aborted transactions of which no record is left.
func (t *transactions) drop(dead []Aborted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	gone := make(map[Aborted]bool, len(dead))
	for _, a := range dead {
		gone[a] = true
	}
	t.aborted = slices.DeleteFunc(t.aborted, func(a Aborted) bool { return gone[a] })
}

// restore takes back what drop did.
func (t *transactions) restore(dead []Aborted) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.aborted = append(t.aborted, dead...)
	slices.SortFunc(t.aborted, func(a, b Aborted) int { return cmp.Compare(a.LastOffset, b.LastOffset) })
}
