package group

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group/assign"
)

// The states of groups of the consumer protocol beside empty and stable; their text is Kafka's.
const (
	assigning   phase = "Assigning"   // the target assignment is older than the group
	reconciling phase = "Reconciling" // a member is not yet where its target is
)

// consumerGroup is a group of the consumer protocol (KIP-848): the server assigns, and each member is
// led from what it has to its target by heartbeats. All of it but the last fields is what records
// say; members are never changed but replaced.
type consumerGroup struct {
	id          string
	epoch       int32 // rises whenever the members, what they read or the topics change
	hash        int64 // of the topics at that epoch
	targetEpoch int32 // the epoch that the targets are for
	assignedMs  int64 // when they were made; 0: not by us
	members     map[string]*consumerMember
	targets     map[string]assign.Partitions
	regexes     map[string]*resolvedRegex

	instances  map[string]string             // static members: instance to member id
	owners     map[[16]byte]map[int32]string // who has a partition or has still to give it up
	names      map[string]int                // how many members subscribe to a name
	regexUsers map[string]int                // how many members use a regex

	seen    Topics          // soft: the topics as of the last look
	joinDue map[string]bool // soft: classic members that were told to join again
}

// consumerMember is a member of a consumer group. One that speaks the classic protocol, while a group
// is rolled over, has classic set.
type consumerMember struct {
	id               string
	instance, rack   *string
	clientID, host   string
	topics           []string // in order, each once
	regex            string   // empty for none
	rebalanceMs      int32
	assignor         string // empty for the group's
	classic          *classicMember
	epoch, previous  int32 // the member's, and the one before
	state            memberState
	assigned, revoke held // what it has, and what it has still to give up
}

// classicMember is what a member of the classic protocol joined with.
type classicMember struct {
	sessionMs int32
	protocols []kmsg.JoinGroupRequestProtocol
}

// held are partitions by topic, each with the epoch at which it was assigned (KIP-1251).
type held map[[16]byte]map[int32]int32

// memberState is where a member is on its way to its target, numbered as Kafka does in records.
type memberState int8

const (
	memberStable     memberState = 0
	memberUnrevoked  memberState = 1 // has to give partitions up before it goes on
	memberUnreleased memberState = 2 // waits for partitions that others have to give up
)

// staticLeft is the epoch of a static member that left for a while.
const staticLeft = -2

// resolvedRegex is a regular expression with the topics that matched.
type resolvedRegex struct {
	topics []string // in order
	atMs   int64
	re     *regexp.Regexp // soft: compiled when first needed
}

// firstEpoch is that of a group without members; its first member brings the next.
const firstEpoch = 1

func newConsumerGroup(id string) *consumerGroup {
	return &consumerGroup{
		id: id, epoch: firstEpoch,
		members: map[string]*consumerMember{}, targets: map[string]assign.Partitions{}, regexes: map[string]*resolvedRegex{},
		instances: map[string]string{}, owners: map[[16]byte]map[int32]string{}, names: map[string]int{}, regexUsers: map[string]int{},
		joinDue: map[string]bool{},
	}
}

func newConsumerMember(id string) *consumerMember {
	return &consumerMember{id: id, rebalanceMs: -1}
}

// put replaces a member, or with nil takes it out.
func (g *consumerGroup) put(id string, now *consumerMember) {
	if old := g.members[id]; old != nil {
		for _, t := range old.topics {
			drop(g.names, t)
		}
		drop(g.regexUsers, old.regex)
		g.disown(old)
		if old.instance != nil && g.instances[*old.instance] == id {
			delete(g.instances, *old.instance)
		}
		delete(g.members, id)
	}
	if now == nil {
		return
	}
	g.members[id] = now
	for _, t := range now.topics {
		g.names[t]++
	}
	if now.regex != "" {
		g.regexUsers[now.regex]++
	}
	if now.instance != nil {
		g.instances[*now.instance] = id
	}
	g.own(now)
}

func drop(counts map[string]int, key string) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

func (g *consumerGroup) own(m *consumerMember) {
	for _, h := range []held{m.assigned, m.revoke} {
		for t, indexes := range h {
			of := g.owners[t]
			if of == nil {
				of = map[int32]string{}
				g.owners[t] = of
			}
			for index := range indexes {
				of[index] = m.id
			}
		}
	}
}

// disown frees what a member had. Where records were compacted somebody else may have it already.
func (g *consumerGroup) disown(m *consumerMember) {
	for _, h := range []held{m.assigned, m.revoke} {
		for t, indexes := range h {
			for index := range indexes {
				if g.owners[t][index] == m.id {
					delete(g.owners[t], index)
				}
			}
			if len(g.owners[t]) == 0 {
				delete(g.owners, t)
			}
		}
	}
}

// free says whether a member may have a partition: nobody else has it.
func (g *consumerGroup) free(m *consumerMember, topic [16]byte, index int32) bool {
	owner, owned := g.owners[topic][index]
	return !owned || owner == m.id
}

func (g *consumerGroup) phase() phase {
	switch {
	case len(g.members) == 0:
		return empty
	case g.epoch > g.targetEpoch:
		return assigning
	}
	for _, m := range g.members {
		if !m.reconciledTo(g.targetEpoch) {
			return reconciling
		}
	}
	return stable
}

func (m *consumerMember) reconciledTo(epoch int32) bool {
	return m.state == memberStable && m.epoch == epoch
}

// sorted lists the members by id.
func (g *consumerGroup) sorted() []*consumerMember {
	return slices.SortedFunc(maps.Values(g.members), func(a, b *consumerMember) int { return strings.Compare(a.id, b.id) })
}

// static finds a member by its instance.
func (g *consumerGroup) static(instance string) *consumerMember {
	return g.members[g.instances[instance]]
}

// classicMembers counts those who speak the classic protocol, apart from some.
func (g *consumerGroup) classicMembers(apart map[string]bool) int {
	n := 0
	for id, m := range g.members {
		if m.classic != nil && !apart[id] {
			n++
		}
	}
	return n
}

// readsOf lists what a member reads: its topics by name and those of its regex, in order.
func (m *consumerMember) readsOf(regexes map[string]*resolvedRegex) []string {
	r := regexes[m.regex]
	if r == nil || m.regex == "" || len(r.topics) == 0 {
		return m.topics
	}
	all := append(slices.Clone(m.topics), r.topics...)
	slices.Sort(all)
	return slices.Compact(all)
}

// reads says whether anybody in the group reads a topic.
func (g *consumerGroup) reads(topic string) bool {
	if g.names[topic] > 0 {
		return true
	}
	for regex := range g.regexUsers {
		if r := g.regexes[regex]; r != nil {
			if _, found := slices.BinarySearch(r.topics, topic); found {
				return true
			}
		}
	}
	return false
}

func (h held) equal(other held) bool { return maps.EqualFunc(h, other, maps.Equal[map[int32]int32]) }

// partitions is what is held without the epochs, in order.
func (h held) partitions() assign.Partitions {
	out := make(assign.Partitions, 0, len(h))
	for _, t := range topicsInOrder(h) {
		if len(h[t]) > 0 {
			out = append(out, assign.TopicPartitions{Topic: t, Indexes: slices.Sorted(maps.Keys(h[t]))})
		}
	}
	return out
}

// heldAt is partitions assigned at an epoch.
func heldAt(p assign.Partitions, epoch int32) held {
	out := make(held, len(p))
	for _, given := range p {
		of := make(map[int32]int32, len(given.Indexes))
		for _, index := range given.Indexes {
			of[index] = epoch
		}
		out[given.Topic] = of
	}
	return out
}

// topicsInOrder lists the topics of a map by id.
func topicsInOrder[V any](of map[[16]byte]V) [][16]byte {
	return slices.SortedFunc(maps.Keys(of), func(a, b [16]byte) int { return strings.Compare(string(a[:]), string(b[:])) })
}
