package group

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"kelp/internal/statelog"
)

// Stats is what an operator wants to know of groups, taken at one moment by [Machine.Stats]. A machine
// has no metrics of its own: whoever runs it asks and shows.
type Stats struct {
	Groups     map[Kind]int       // by protocol and state
	Members    map[string]int     // by protocol
	Rebalances map[string]int64   // begun since the machine was loaded, by protocol
	Commits    int64              // offsets committed since the machine was loaded
	Completed  statelog.Durations // rebalances that ended: how long they took
	Offsets    []CommittedOffset  // of at most as many partitions as were asked for
	Left       int                // partitions with offsets beyond those
}

// Kind is what groups are counted by.
type Kind struct{ Protocol, State string }

// CommittedOffset is how far a group has read a partition.
type CommittedOffset struct {
	Group, Topic string
	Partition    int32
	Offset       int64
}

// rebalanceBounds are the buckets of the time that rebalances take.
var rebalanceBounds = []time.Duration{
	10 * time.Millisecond, 100 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
	5 * time.Minute,
}

// Stats counts; at most so many partitions' offsets are listed. Groups that have members come first, as their lag
// is what somebody waits for, then those that committed last; a group is listed whole or not at all, so that
// what it adds up to is right.
func (m *Machine) Stats(most int) Stats {
	s := Stats{
		Groups: map[Kind]int{}, Members: map[string]int{classicType: 0, consumerType: 0},
		Rebalances: map[string]int64{classicType: m.counted.classic, consumerType: m.counted.consumer},
		Commits:    m.counted.commits, Completed: m.counted.took.Clone(),
	}
	for _, g := range m.groups {
		s.Groups[Kind{classicType, string(g.phase)}]++
		s.Members[classicType] += len(g.members)
	}
	for _, g := range m.consumers {
		s.Groups[Kind{consumerType, string(g.phase())}]++
		s.Members[consumerType] += len(g.members)
	}
	s.listOffsets(m, most)
	return s
}

func (s *Stats) listOffsets(m *Machine, most int) {
	names := make([]string, 0, len(m.offsets))
	rank := make(map[string]groupRank, len(m.offsets))
	for id := range m.offsets {
		if m.groups[id] == nil && m.consumers[id] == nil { // a simple consumer's
			s.Groups[Kind{classicType, string(empty)}]++
		}
		names = append(names, id)
		rank[id] = m.rank(id)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(rank[a].compare(rank[b]), strings.Compare(a, b)) })
	for _, id := range names {
		if len(s.Offsets)+len(m.offsets[id]) > most {
			s.Left += len(m.offsets[id])
			continue
		}
		for p, o := range m.offsets[id] {
			s.Offsets = append(s.Offsets, CommittedOffset{id, p.topic, p.index, o.at})
		}
	}
	slices.SortFunc(s.Offsets, func(a, b CommittedOffset) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

// groupRank says how much the lag of a group is worth showing.
type groupRank struct {
	members     bool
	committedMs int64 // the last commit; 0 for groups with members, whose order should stay
}

func (m *Machine) rank(id string) groupRank {
	if g := m.groups[id]; g != nil && len(g.members) > 0 {
		return groupRank{members: true}
	}
	if g := m.consumers[id]; g != nil && len(g.members) > 0 {
		return groupRank{members: true}
	}
	var r groupRank
	for _, o := range m.offsets[id] {
		r.committedMs = max(r.committedMs, o.committedMs)
	}
	return r
}

// compare puts what is worth more first.
func (r groupRank) compare(other groupRank) int {
	switch {
	case r.members && !other.members:
		return -1
	case other.members && !r.members:
		return 1
	}
	return cmp.Compare(other.committedMs, r.committedMs)
}

// counts is what has happened since the machine was loaded.
type counts struct {
	classic, consumer, commits int64
	took                       statelog.Durations
}

// begun says that a group rebalances from now on, unless it already does.
func (m *Machine) begun(in statelog.Input, id string) {
	if _, known := m.rebalancing[id]; !known {
		m.rebalancing[id] = in.Now
	}
}

// settled says that every member of a group has what is its own.
func (m *Machine) settled(in statelog.Input, id string) {
	if since, known := m.rebalancing[id]; known {
		m.counted.took.Add(in.Now.Sub(since))
		delete(m.rebalancing, id)
	}
}
