package txn

import (
	"time"

	"kelp/internal/statelog"
)

// Stats is what an operator wants to know of transactions, taken at one moment by [Machine.Stats].
// A machine has no metrics of its own: whoever runs it asks and shows. Sums are since it was loaded.
type Stats struct {
	IDs       map[State]int      // transactional ids by the state of their transaction
	Committed int64              // transactions whose last marker is in
	Aborted   int64              // the same
	Overdue   int64              // were open for longer than their producer said, and were aborted for it
	Fenced    int64              // were aborted as another producer came with their transactional id
	Refused   int64              // new transactional ids beyond the limit
	Lasted    statelog.Durations // from the first partition to the last marker
	Marked    statelog.Durations // from the decision to the last marker
	Oldest    time.Duration      // how long the oldest transaction has been open; 0: none is
	Held      int                // requests that wait for the markers of the transaction before theirs
}

// The buckets of how long transactions and the writing of their markers take.
var (
	lastedBounds = []time.Duration{
		10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute,
	}
	markedBounds = []time.Duration{
		time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond,
		300 * time.Millisecond, time.Second, 10 * time.Second, time.Minute,
	}
)

func newStats() Stats {
	return Stats{Lasted: statelog.NewDurations(lastedBounds...), Marked: statelog.NewDurations(markedBounds...)}
}

// Stats counts.
func (m *Machine) Stats(now time.Time) Stats {
	s := m.counted
	s.IDs, s.Lasted, s.Marked = map[State]int{}, s.Lasted.Clone(), s.Marked.Clone()
	for _, t := range m.byID {
		s.IDs[t.state]++
		if t.state == Ongoing {
			s.Oldest = max(s.Oldest, now.Sub(time.UnixMilli(t.startedMs)))
		}
	}
	for _, soft := range m.soft {
		s.Held += len(soft.held)
	}
	return s
}

// completed counts a transaction whose last marker is in.
func (s *Stats) completed(t transaction, nowMs int64) {
	if t.state == PrepareCommit {
		s.Committed++
	} else {
		s.Aborted++
	}
	s.Marked.Add(time.Duration(nowMs-t.updatedMs) * time.Millisecond)
	s.Lasted.Add(time.Duration(nowMs-t.startedMs) * time.Millisecond)
}
