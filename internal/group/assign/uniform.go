package assign

import (
	"cmp"
	"container/heap"
	"slices"
)

// balanceRounds bounds how often a group of different subscriptions is gone through for members
// that have too much; each round only makes it more even.
const balanceRounds = 16

// Uniform spreads all partitions so that no two members who subscribe to the same topics differ by
// more than one, and moves no partition that need not move.
func Uniform(members []Member, counts map[TopicID]int32) map[string]Partitions {
	if len(members) == 0 {
		return map[string]Partitions{}
	}
	byID(members)
	if sameTopics(members) {
		return uniformSame(members, counts)
	}
	return uniformMixed(members, counts)
}

// uniformSame is for members that all subscribe to the same topics: each gets the quotient, and the
// remainder goes first to those who have that much already.
func uniformSame(members []Member, counts map[TopicID]int32) map[string]Partitions {
	topics := members[0].Topics
	owners, loads := kept(members, counts)
	total := 0
	for _, t := range topics {
		total += int(counts[t])
	}
	each, more := total/len(members), total%len(members)
	quota := make([]int, len(members))
	order := make([]int, len(members)) // those who have most first: they keep the extra one
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(loads[b], loads[a]) })
	for rank, i := range order {
		quota[i] = each
		if rank < more {
			quota[i]++
		}
	}
	next := 0 // the member that is filled now
	var free []spot
	for _, t := range topics {
		for index, owner := range owners[t] {
			switch {
			case owner < 0:
			case quota[owner] > 0:
				quota[owner]--
				continue
			default:
				owners[t][index] = -1
			}
			free = append(free, spot{t, index})
		}
	}
	for _, s := range free {
		for quota[next] == 0 {
			next++
		}
		quota[next]--
		owners[s.topic][s.index] = next
	}
	return collect(members, owners)
}

type spot struct {
	topic TopicID
	index int
}

// kept gives the owners of each topic's partitions, -1 for none, as far as they may stay, and how
// many each member has. Of two who claim a partition the first has it.
func kept(members []Member, counts map[TopicID]int32) (owners map[TopicID][]int, loads []int) {
	owners, loads = map[TopicID][]int{}, make([]int, len(members))
	for _, m := range members {
		for _, t := range m.Topics {
			if owners[t] != nil {
				continue
			}
			of := make([]int, counts[t])
			for i := range of {
				of[i] = -1
			}
			owners[t] = of
		}
	}
	for i, m := range members {
		for _, owned := range m.Owned {
			if _, subscribed := slices.BinarySearchFunc(m.Topics, owned.Topic, compareTopics); !subscribed {
				continue
			}
			for _, index := range owned.Indexes {
				if of := owners[owned.Topic]; index < int32(len(of)) && of[index] < 0 {
					of[index] = i
					loads[i]++
				}
			}
		}
	}
	return owners, loads
}

// uniformMixed is for members of different subscriptions. What nobody has goes to the subscriber with
// the least; then topics move partitions from subscribers with the most to those with the least.
func uniformMixed(members []Member, counts map[TopicID]int32) map[string]Partitions {
	owners, loads := kept(members, counts)
	of := subscribers(members)
	topics := sortedTopics(owners)
	// Topics with few subscribers have the least choice, so they choose first.
	slices.SortStableFunc(topics, func(a, b TopicID) int { return cmp.Compare(len(of[a]), len(of[b])) })
	for _, t := range topics {
		least := &byLoad{members: slices.Clone(of[t]), loads: loads}
		heap.Init(least)
		for index, owner := range owners[t] {
			if owner < 0 {
				owners[t][index] = least.members[0]
				loads[least.members[0]]++
				heap.Fix(least, 0)
			}
		}
	}
	for range balanceRounds {
		moved := false
		for _, t := range topics {
			moved = balance(owners[t], of[t], loads) || moved
		}
		if !moved {
			break
		}
	}
	return collect(members, owners)
}

// balance moves partitions of one topic until none of its owners has two more than a subscriber.
func balance(owners, subscribers, loads []int) (moved bool) {
	have := map[int][]int{} // the topic's partitions by owner
	for index, owner := range owners {
		have[owner] = append(have[owner], index)
	}
	for {
		most, least := -1, -1
		for _, s := range subscribers {
			if len(have[s]) > 0 && (most < 0 || loads[s] > loads[most]) {
				most = s
			}
			if least < 0 || loads[s] < loads[least] {
				least = s
			}
		}
		if most < 0 || loads[most]-loads[least] <= 1 {
			return moved
		}
		last := len(have[most]) - 1
		index := have[most][last]
		have[most] = have[most][:last]
		have[least] = append(have[least], index)
		owners[index] = least
		loads[most]--
		loads[least]++
		moved = true
	}
}

// byLoad is a heap of members, those with the least first.
type byLoad struct{ members, loads []int }

func (h *byLoad) Len() int { return len(h.members) }
func (h *byLoad) Less(i, j int) bool {
	a, b := h.members[i], h.members[j]
	return cmp.Or(cmp.Compare(h.loads[a], h.loads[b]), cmp.Compare(a, b)) < 0
}
func (h *byLoad) Swap(i, j int) { h.members[i], h.members[j] = h.members[j], h.members[i] }
func (h *byLoad) Push(any)      { panic("assign: nothing is pushed") }
func (h *byLoad) Pop() any      { panic("assign: nothing is popped") }
