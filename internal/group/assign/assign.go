// Package assign decides which member of a consumer group reads which partition, as the
// server-side assignors of KIP-848 do: uniform spreads all partitions evenly and moves as few as it
// can, range gives each member the same stretch of every topic. Racks are not looked at.
//
// Both are pure functions. Invariants of both: every partition of a subscribed topic has exactly one
// member, and a member has only partitions of topics that it subscribes to. The same input gives the
// same output, whatever the order of the members.
package assign

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// TopicID names a topic.
type TopicID = [16]byte

// Partitions are partitions of topics, which are in order, each once and none without a partition. It is a
// list and not a map as there is one for each member, of few topics in most groups.
type Partitions []TopicPartitions

// TopicPartitions are partitions of one topic; indexes are in order.
type TopicPartitions struct {
	Topic   TopicID
	Indexes []int32
}

func (p Partitions) find(t TopicID) (at int, found bool) {
	return slices.BinarySearchFunc(p, t, func(tp TopicPartitions, t TopicID) int { return compareTopics(tp.Topic, t) })
}

// Of gives the partitions of a topic.
func (p Partitions) Of(t TopicID) []int32 {
	if at, found := p.find(t); found {
		return p[at].Indexes
	}
	return nil
}

// Add puts partitions of a topic, which are in order among themselves, behind those that are there.
func (p *Partitions) Add(t TopicID, indexes ...int32) {
	at, found := p.find(t)
	switch {
	case found:
		(*p)[at].Indexes = append((*p)[at].Indexes, indexes...)
	case len(indexes) > 0:
		*p = slices.Insert(*p, at, TopicPartitions{t, indexes})
	}
}

// Has says whether a partition is among them.
func (p Partitions) Has(t TopicID, index int32) bool {
	_, has := slices.BinarySearch(p.Of(t), index)
	return has
}

// Equal says whether both are the same.
func (p Partitions) Equal(other Partitions) bool {
	return slices.EqualFunc(p, other, func(a, b TopicPartitions) bool { return a.Topic == b.Topic && slices.Equal(a.Indexes, b.Indexes) })
}

// Member is what an assignor knows of a member.
type Member struct {
	ID string
	// Instance is the name of a static member, nil for others.
	Instance *string
	// Topics are those subscribed to that are there, sorted by id, each once.
	Topics []TopicID
	// Owned is what the member was assigned last.
	Owned Partitions
}

// Assignor gives each member, by its id, its partitions; counts are the partitions of each topic. It puts
// the members into another order. A member that has what it had gets Owned itself: nobody may change
// what comes out.
type Assignor func(members []Member, counts map[TopicID]int32) map[string]Partitions

// The names of the assignors, as clients give them.
const (
	UniformName = "uniform"
	RangeName   = "range"
)

// Named are the assignors by name.
var Named = map[string]Assignor{UniformName: Uniform, RangeName: Range}

// sameTopics says whether all members subscribe to the same topics.
func sameTopics(members []Member) bool {
	for _, m := range members[1:] {
		if !slices.Equal(m.Topics, members[0].Topics) {
			return false
		}
	}
	return true
}

// byID puts the members into one order, so that theirs does not matter.
func byID(members []Member) {
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
}

// sortedTopics lists the topics of a map in order.
func sortedTopics[V any](of map[TopicID]V) []TopicID {
	all := make([]TopicID, 0, len(of))
	for t := range of {
		all = append(all, t)
	}
	slices.SortFunc(all, compareTopics)
	return all
}

func compareTopics(a, b TopicID) int { return bytes.Compare(a[:], b[:]) }

// subscribers gives the positions of the members of each topic.
func subscribers(members []Member) map[TopicID][]int {
	of := map[TopicID][]int{}
	for i, m := range members {
		for _, t := range m.Topics {
			of[t] = append(of[t], i)
		}
	}
	return of
}

// collect turns the owners of each topic's partitions into what each member has. In large groups most
// members have what they had before, and for those nothing is made.
func collect(members []Member, owners map[TopicID][]int) map[string]Partitions {
	lost := make([]int, len(members)) // partitions owned before, less those that still are
	gained := make([]bool, len(members))
	for i, m := range members {
		for _, of := range m.Owned {
			lost[i] += len(of.Indexes)
		}
	}
	for t, of := range owners {
		for index, owner := range of {
			if owner < 0 {
				continue
			}
			if members[owner].Owned.Has(t, int32(index)) {
				lost[owner]--
			} else {
				gained[owner] = true
			}
		}
	}
	same := func(i int) bool { return lost[i] == 0 && !gained[i] }
	out := make(map[string]Partitions, len(members))
	for i, m := range members {
		if out[m.ID] = nil; same(i) {
			out[m.ID] = m.Owned
		}
	}
	for _, t := range sortedTopics(owners) {
		for index, owner := range owners[t] {
			if owner >= 0 && !same(owner) {
				have := out[members[owner].ID]
				have.Add(t, int32(index))
				out[members[owner].ID] = have
			}
		}
	}
	return out
}

// Range gives each member a run of neighbouring partitions of each topic. The members' order is
// static members by instance, then the others by id, so topics with as many partitions are divided
// alike. It looks at no earlier assignment.
func Range(members []Member, counts map[TopicID]int32) map[string]Partitions {
	slices.SortFunc(members, func(a, b Member) int {
		switch {
		case a.Instance != nil && b.Instance != nil:
			return cmp.Or(strings.Compare(*a.Instance, *b.Instance), strings.Compare(a.ID, b.ID))
		case a.Instance != nil:
			return -1
		case b.Instance != nil:
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
	out := make(map[string]Partitions, len(members))
	for _, m := range members {
		out[m.ID] = nil
	}
	subscribed := subscribers(members)
	for _, t := range sortedTopics(subscribed) {
		of := subscribed[t]
		each, more := counts[t]/int32(len(of)), counts[t]%int32(len(of))
		next := int32(0)
		for i, at := range of {
			n := each
			if int32(i) < more {
				n++
			}
			if n > 0 {
				out[members[at].ID] = append(out[members[at].ID], TopicPartitions{t, run(next, n)})
			}
			next += n
		}
	}
	return out
}

func run(from, n int32) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = from + int32(i)
	}
	return all
}
