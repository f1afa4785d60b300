package api

import (
	"sync/atomic"

	"kelp/internal/storage"
)

// leastFetchBytes is what a fetch may read however little memory is left: with it one that is under
// way always gets on.
const leastFetchBytes = 64 << 10

// fetchMemory bounds what fetch responses on their way to clients keep in memory. A fetch reads less
// when others hold much; it never waits for them.
type fetchMemory struct {
	limit int64
	used  atomic.Int64
}

// take gives up to want bytes.
func (m *fetchMemory) take(want int) int {
	for {
		used := m.used.Load()
		n := min(int64(want), max(m.limit-used, leastFetchBytes))
		if m.used.CompareAndSwap(used, used+n) {
			return int(n)
		}
	}
}

func (m *fetchMemory) give(n int) { m.used.Add(-int64(n)) }

// settle gives back what was taken beyond what the responses hold: files leave without it.
func (f *fetched) settle(m *fetchMemory, taken int) {
	for i := range f.parts {
		p := &f.parts[i]
		if _, inMemory := p.span.(storage.Buffered); inMemory || p.span == nil {
			f.held += p.size()
		}
	}
	f.memory = m
	m.give(taken - f.held)
}

// free gives back what the response held, once.
func (f *fetched) free() {
	f.memory.give(f.held)
	f.held = 0
}
