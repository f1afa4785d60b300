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

// Partitions are partitions by topic; indexes are in order.
type Partitions map[TopicID][]int32

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

// Assignor gives each member, by its id, its partitions; counts are the partitions of each topic.
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
func byID(members []Member) []Member {
	return slices.SortedFunc(slices.Values(members), func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
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

// collect turns the owners of each topic's partitions into what each member has.
func collect(members []Member, owners map[TopicID][]int) map[string]Partitions {
	out := make(map[string]Partitions, len(members))
	for _, m := range members {
		out[m.ID] = Partitions{}
	}
	for t, of := range owners {
		for index, owner := range of {
			if owner >= 0 {
				have := out[members[owner].ID]
				have[t] = append(have[t], int32(index))
			}
		}
	}
	return out
}

// Range gives each member a run of neighbouring partitions of each topic. The members' order is
// static members by instance, then the others by id, so topics with as many partitions are divided
// alike. It looks at no earlier assignment.
func Range(members []Member, counts map[TopicID]int32) map[string]Partitions {
	sorted := slices.SortedFunc(slices.Values(members), func(a, b Member) int {
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
		out[m.ID] = Partitions{}
	}
	for t, of := range subscribers(sorted) {
		each, more := counts[t]/int32(len(of)), counts[t]%int32(len(of))
		next := int32(0)
		for i, at := range of {
			n := each
			if int32(i) < more {
				n++
			}
			if n > 0 {
				out[sorted[at].ID][t] = run(next, n)
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
