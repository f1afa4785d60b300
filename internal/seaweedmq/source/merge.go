package source

import (
	"fmt"
	"maps"
	"slices"

	"kelp/internal/seaweed/mq"
)

// span is a range of offsets, both ends in it.
type span struct{ first, last int64 }

// scan finds the offsets that a log repeats: where they go back, everything up to the highest so far.
type scan struct {
	most     int64 // the highest offset so far
	entries  int
	overlaps []span // ascending
}

func (s *scan) see(offset int64) {
	s.entries++
	if offset > s.most {
		s.most = offset
		return
	}
	over := span{offset, s.most}
	n := len(s.overlaps)
	for n > 0 && s.overlaps[n-1].last >= over.first-1 {
		n--
		over.first = min(over.first, s.overlaps[n].first)
		over.last = max(over.last, s.overlaps[n].last)
	}
	s.overlaps = append(s.overlaps[:n], over)
}

func (s *scan) repeated(offset int64) bool {
	_, found := slices.BinarySearchFunc(s.overlaps, offset, func(o span, at int64) int {
		switch {
		case o.last < at:
			return -1
		case o.first > at:
			return 1
		}
		return 0
	})
	return found
}

// merger gives the entries of a scanned log in the order of their offsets, each offset once: the entry
// that was written last. It holds back only what lies in repeated ranges.
type merger struct {
	scan *scan
	next int64 // offsets before it are given out, or were before
	give func(mq.Entry) error

	held      map[int64]mq.Entry
	heldBytes int
	repeats   int64 // entries that are not given, as another one has their offset
	skipped   int64 // offsets without an entry
}

func (m *merger) add(e mq.Entry) error {
	switch {
	case e.Offset < m.next:
		m.repeats++
		return nil
	case m.scan.repeated(e.Offset):
		return m.hold(e)
	}
	if err := m.release(e.Offset); err != nil {
		return err
	}
	return m.out(e)
}

func (m *merger) hold(e mq.Entry) error {
	if m.held == nil {
		m.held = map[int64]mq.Entry{}
	}
	if before, ok := m.held[e.Offset]; ok {
		m.repeats++
		m.heldBytes -= len(before.Key) + len(before.Value)
	}
	m.held[e.Offset] = e
	if m.heldBytes += len(e.Key) + len(e.Value); m.heldBytes > heldBytesMost {
		return fmt.Errorf("%w: from offset %d on", ErrRepeats, m.next)
	}
	return nil
}

// release gives what is held before an offset: nothing that comes can change it any more.
func (m *merger) release(before int64) error {
	if len(m.held) == 0 {
		return nil
	}
	for _, offset := range slices.Sorted(maps.Keys(m.held)) {
		if offset >= before {
			break
		}
		e := m.held[offset]
		delete(m.held, offset)
		m.heldBytes -= len(e.Key) + len(e.Value)
		if err := m.out(e); err != nil {
			return err
		}
	}
	return nil
}

func (m *merger) out(e mq.Entry) error {
	m.skipped += e.Offset - m.next
	m.next = e.Offset + 1
	return m.give(e)
}

// end gives the rest.
func (m *merger) end() error { return m.release(1<<63 - 1) }
