package embedded

import (
	"slices"
	"sync"
	"sync/atomic"
)

// slabBytes is the memory that groups of appends are written from and the newest batches read from.
const slabBytes = 256 << 10

// slab is a piece of memory that is filled once, front to back.
type slab struct {
	buf   []byte
	used  int
	pins  atomic.Int32 // the tail's, groups' under way and readers'
	users []*state     // partitions with batches in it; the completer's own
}

var slabs = sync.Pool{New: func() any { return &slab{buf: make([]byte, slabBytes)} }}

func newSlab(n int) *slab {
	var s *slab
	if n <= slabBytes {
		s = slabs.Get().(*slab)
	} else {
		s = &slab{buf: make([]byte, n)}
	}
	s.used = 0
	s.pins.Store(1)
	return s
}

func (s *slab) unpin() {
	if s.pins.Add(-1) == 0 && len(s.buf) == slabBytes {
		clear(s.users)
		s.users = s.users[:0]
		slabs.Put(s)
	}
}

// tail is the newest batches of one partition that lie in memory, without a gap up to its end. The
// partition's lock guards it.
type tail struct{ batches []recent }

type recent struct {
	base, end int64
	slab      *slab
	off, size uint32
}

func (r *recent) bytes() []byte { return r.slab.buf[r.off : r.off+r.size : r.off+r.size] }

func (t *tail) clear() { t.batches = nil }

func (t *tail) trim(to int64) {
	n := 0
	for n < len(t.batches) && t.batches[n].end <= to {
		n++
	}
	t.pop(n)
}

// pop drops the oldest n.
func (t *tail) pop(n int) {
	clear(t.batches[:n])
	if t.batches = t.batches[n:]; len(t.batches) == 0 {
		t.batches = nil
	}
}

// forget drops what lies in a slab, which is the oldest.
func (t *tail) forget(s *slab) {
	n := 0
	for n < len(t.batches) && t.batches[n].slab == s {
		n++
	}
	t.pop(n)
}

// memory is the tails of all partitions under one budget: the oldest slab goes first. Only the
// completer uses it.
type memory struct {
	budget int64
	used   int64
	slabs  []*slab
}

// keep adds a group's slab to the tails.
func (m *memory) keep(s *slab) {
	if n := len(m.slabs); n > 0 && m.slabs[n-1] == s {
		return
	}
	s.pins.Add(1)
	m.slabs = append(m.slabs, s)
	m.used += int64(len(s.buf))
	for m.used > m.budget && len(m.slabs) > 1 {
		m.evict()
	}
}

func (m *memory) evict() {
	s := m.slabs[0]
	m.slabs = slices.Delete(m.slabs, 0, 1)
	m.used -= int64(len(s.buf))
	for _, st := range s.users {
		st.mu.Lock()
		st.memory.forget(s)
		st.mu.Unlock()
	}
	s.unpin()
}
