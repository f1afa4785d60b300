package group

import (
	"slices"
	"strings"
	"time"

	"kelp/internal/group/assign"
)

// mayAssign says whether the last assignment is old enough for the next. Where it is not, members stay
// with it, and new ones have nothing, until the first heartbeat after its time (KIP-1263).
func (m *Machine) mayAssign(b *beat) bool {
	since := b.in.Now.Sub(time.UnixMilli(b.g.assignedMs))
	return b.g.assignedMs == 0 || since < 0 || since >= m.o.Settings(b.g.id).AssignmentInterval // less than 0: the clock was set back
}

// retarget assigns anew for an epoch and gives the target of the beat's member.
func (m *Machine) retarget(b *beat, epoch int32) assign.Partitions {
	g, all := b.g, m.o.Topics()
	spec := assignment{
		topics: all, regexes: b.regexes, members: slices.Grow(m.spare[:0], len(g.members)+1),
		counts: map[assign.TopicID]int32{}, known: map[string][]assign.TopicID{},
	}
	for id, mb := range g.members {
		if id == b.now.id || b.replaces != nil && id == b.replaces.id {
			continue
		}
		spec.add(mb, g.targets[id])
	}
	mine := g.targets[b.now.id]
	if b.replaces != nil {
		mine = g.targets[b.replaces.id]
	}
	spec.add(b.now, mine)
	targets := assign.Named[m.assignorFor(b)](spec.members, spec.counts)
	for _, mb := range spec.sorted() {
		old, given := g.targets[mb.ID]
		if mb.ID == b.now.id && b.replaces != nil {
			old, given = mine, true
		}
		if !given || !old.Equal(targets[mb.ID]) {
			b.emit(g.targetRecord(mb.ID, targets[mb.ID]))
		}
	}
	clear(spec.members)
	m.spare = spec.members
	b.emit(g.targetEpochRecord(epoch, b.in.Now.UnixMilli()))
	return targets[b.now.id]
}

// assignment collects what an assignor is given.
type assignment struct {
	topics  Topics
	regexes map[string]*resolvedRegex
	members []assign.Member
	counts  map[assign.TopicID]int32
	known   map[string][]assign.TopicID // by subscription: most members have the same
	key     []byte                      // a subscription as known has it
}

func (a *assignment) add(mb *consumerMember, owned assign.Partitions) {
	a.key = a.key[:0]
	for _, name := range mb.topics {
		a.key = append(append(a.key, name...), ' ') // names have no spaces
	}
	a.key = append(append(a.key, ' '), mb.regex...)
	ids, known := a.known[string(a.key)]
	if !known {
		ids = []assign.TopicID{}
		for _, name := range mb.readsOf(a.regexes) {
			if t, ok := a.topics.ByName(name); ok {
				ids = append(ids, t.ID)
				a.counts[t.ID] = t.Partitions
			}
		}
		slices.SortFunc(ids, func(x, y assign.TopicID) int { return strings.Compare(string(x[:]), string(y[:])) })
		a.known[string(a.key)] = ids
	}
	a.members = append(a.members, assign.Member{ID: mb.id, Instance: mb.instance, Topics: ids, Owned: owned})
}

func (a *assignment) sorted() []assign.Member {
	slices.SortFunc(a.members, func(x, y assign.Member) int { return strings.Compare(x.ID, y.ID) })
	return a.members
}

// assignorFor is the assignor that most members ask for, the first configured one when none does.
func (m *Machine) assignorFor(b *beat) string {
	votes := map[string]int{}
	for id, mb := range b.g.members {
		if id != b.now.id && (b.replaces == nil || id != b.replaces.id) {
			votes[mb.assignor]++
		}
	}
	votes[b.now.assignor]++
	return m.mostVoted(votes)
}

func (m *Machine) mostVoted(votes map[string]int) string {
	chosen := m.o.Assignors[0]
	for _, name := range m.o.Assignors {
		if votes[name] > votes[chosen] {
			chosen = name
		}
	}
	return chosen
}

// reconcile leads the beat's member one step on: it gives up before it gets, and gets only what
// nobody else has (CurrentAssignmentBuilder).
func (m *Machine) reconcile(b *beat, targetEpoch int32, target assign.Partitions, resubscribed bool) {
	before := b.now
	switch {
	case before.state == memberStable && before.epoch == targetEpoch && !resubscribed:
		return
	case before.state == memberStable && before.epoch == targetEpoch:
		b.now = b.giveUpUnread(m.o.Topics())
	case before.state == memberUnrevoked && b.stillHas(before.revoke):
		if resubscribed {
			b.now = b.giveUpUnread(m.o.Topics())
		}
	default:
		b.now = b.next(m.o.Topics(), targetEpoch, target)
	}
	if b.now.sameState(before) {
		return
	}
	b.emit(b.g.currentRecord(b.now))
	if b.now.classic != nil {
		return // its joins and syncs have their own timers
	}
	if b.now.state == memberUnrevoked {
		m.armRevoke(b.e, b.in, b.g.id, b.now)
	} else {
		cancel(b.e, timerKey(timerRevoke, b.now.id, b.g.id))
	}
}

func (mb *consumerMember) sameState(other *consumerMember) bool {
	return mb == other || mb.epoch == other.epoch && mb.previous == other.previous && mb.state == other.state &&
		mb.assigned.equal(other.assigned) && mb.revoke.equal(other.revoke)
}

// stillHas says whether the client has any of the partitions; one that does not say may.
func (b *beat) stillHas(h held) bool {
	if !b.tells {
		return true
	}
	for _, of := range b.owned {
		for _, index := range of.Indexes {
			if _, has := h[of.Topic][index]; has {
				return true
			}
		}
	}
	return false
}

// readIDs are the ids of the topics that the beat's member reads.
func (b *beat) readIDs(all Topics) map[[16]byte]bool {
	ids := map[[16]byte]bool{}
	for _, name := range b.now.readsOf(b.regexes) {
		if t, ok := all.ByName(name); ok {
			ids[t.ID] = true
		}
	}
	return ids
}

// giveUpUnread takes from a member what it no longer subscribes to, ahead of the next assignment.
func (b *beat) giveUpUnread(all Topics) *consumerMember {
	reads := b.readIDs(all)
	next := *b.now
	next.assigned, next.revoke = held{}, held{}
	for t, indexes := range b.now.revoke {
		next.revoke[t] = indexes
	}
	for t, indexes := range b.now.assigned {
		if reads[t] {
			next.assigned[t] = indexes
			continue
		}
		both := map[int32]int32{}
		for _, from := range []map[int32]int32{next.revoke[t], indexes} {
			for index, epoch := range from {
				both[index] = epoch
			}
		}
		next.revoke[t] = both
	}
	if len(next.assigned) == len(b.now.assigned) {
		return b.now
	}
	next.previous = next.epoch
	if b.stillHas(next.revoke) {
		next.state = memberUnrevoked
	} else {
		next.revoke = b.now.revoke
	}
	return &next
}

// next is the member's next step towards its target.
func (b *beat) next(all Topics, targetEpoch int32, target assign.Partitions) *consumerMember {
	reads := b.readIDs(all)
	keep, revoke, get := held{}, held{}, held{}
	waits := false
	put := func(h held, t [16]byte, index, epoch int32) {
		if h[t] == nil {
			h[t] = map[int32]int32{}
		}
		h[t][index] = epoch
	}
	for t, indexes := range b.now.assigned {
		for index, epoch := range indexes {
			if target.Has(t, index) && reads[t] {
				put(keep, t, index, epoch)
			} else {
				put(revoke, t, index, epoch)
			}
		}
	}
	for _, of := range target {
		t := of.Topic
		for _, index := range of.Indexes {
			_, kept := keep[t][index]
			switch {
			case kept || !reads[t]:
			case b.free(t, index):
				put(get, t, index, targetEpoch)
			default:
				waits = true
			}
		}
	}
	next := *b.now
	next.previous, next.assigned, next.revoke = b.now.epoch, keep, held{}
	if len(revoke) > 0 && b.stillHas(revoke) {
		next.state, next.revoke = memberUnrevoked, revoke
		return &next
	}
	next.epoch, next.state = targetEpoch, memberStable
	if waits {
		next.state = memberUnreleased
	}
	for t, indexes := range get {
		for index, epoch := range indexes {
			put(next.assigned, t, index, epoch)
		}
	}
	return &next
}

// free says whether the beat's member may have a partition: nobody has it, or it has it itself, or
// the static member has whose place it takes.
func (b *beat) free(t [16]byte, index int32) bool {
	return b.g.free(b.now, t, index) || b.replaces != nil && b.g.owners[t][index] == b.replaces.id
}

// waitsForOthers says whether a member that waits for partitions would still not get them.
func (g *consumerGroup) waitsForOthers(mb *consumerMember) bool {
	for _, of := range g.targets[mb.id] {
		t := of.Topic
		for _, index := range of.Indexes {
			if _, has := mb.assigned[t][index]; !has && !g.free(mb, t, index) {
				return true
			}
		}
	}
	return false
}
