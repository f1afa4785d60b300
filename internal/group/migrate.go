package group

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group/assign"
	"kelp/internal/statelog"
)

// Migration says whether groups with members may change their protocol
// (group.consumer.migration.policy). Groups without members always may.
type Migration string

// The policies.
const (
	MigrateBoth      Migration = "bidirectional"
	MigrateUpgrade   Migration = "upgrade"
	MigrateDowngrade Migration = "downgrade"
	MigrateNever     Migration = "disabled"
)

func (p Migration) upgrades() bool   { return p == MigrateBoth || p == MigrateUpgrade }
func (p Migration) downgrades() bool { return p == MigrateBoth || p == MigrateDowngrade }

// consumerGroupFor finds the consumer group of an id. Who joins gets one in any case, made of the
// classic group of that id when there is one; old is that group, which the caller retires when the
// join succeeds.
func (m *Machine) consumerGroupFor(
	e *statelog.Effects, in statelog.Input, id string, joins bool,
) (g *consumerGroup, old *group, err *failure) {
	if g = m.consumers[id]; g != nil {
		return g, nil, nil
	}
	old = m.groups[id]
	switch {
	case old == nil && !joins:
		return nil, nil, fail(kerr.GroupIDNotFound, "Consumer group %s not found.", id)
	case !joins:
		return nil, nil, fail(kerr.GroupIDNotFound, "Group %s is not a consumer group.", id)
	case old == nil:
		return newConsumerGroup(id), nil, nil
	}
	if _, durable := m.saved[id]; durable {
		e.Records = append(e.Records, tombstone(groupKey(id)))
	}
	if old.phase == empty && len(old.members) == 0 {
		return newConsumerGroup(id), old, nil
	}
	g, err = m.upgraded(old)
	if err != nil {
		return nil, nil, err
	}
	e.Records = append(e.Records, g.records()...)
	for _, mb := range g.sorted() {
		m.armConsumer(e, in, id, mb)
	}
	e.Notes = append(e.Notes, fmt.Sprintf("group %s becomes a consumer group, generation %d its epoch", id, g.epoch))
	return g, old, nil
}

// upgraded is the consumer group that a classic one becomes: the generation is its epoch, what the
// leader assigned is each member's target and what it has.
func (m *Machine) upgraded(old *group) (*consumerGroup, *failure) {
	refuse := func(why string) *failure {
		return fail(kerr.GroupIDNotFound, "Cannot upgrade classic group %s to consumer group because %s.", old.id, why)
	}
	switch {
	case !m.o.Migration.upgrades():
		return nil, refuse("online upgrade is disabled")
	case old.protocolType != consumerProtocol:
		return nil, refuse("the group does not use the consumer embedded protocol")
	case len(old.members) > m.o.ConsumerMaxSize:
		return nil, refuse("the group size exceeds the consumer group maximum size")
	}
	g := newConsumerGroup(old.id)
	g.epoch, g.targetEpoch = old.generation, old.generation
	for _, mb := range old.sorted() {
		next, err := m.upgradedMember(old, mb)
		if err != "" {
			return nil, refuse(err)
		}
		g.put(mb.id, next)
		g.targets[mb.id] = next.assigned.partitions()
	}
	return g, nil
}

func (m *Machine) upgradedMember(old *group, mb *member) (next *consumerMember, refused string) {
	protocol := old.protocol
	if !mb.knows(protocol) && len(mb.protocols) > 0 {
		protocol = mb.protocols[0].Name
	}
	s, err := parseSubscription(mb.metadata(protocol))
	if err != nil {
		return nil, "the embedded consumer protocol is malformed"
	}
	var has assign.Partitions
	if len(mb.assignment) > 0 {
		a := kmsg.NewConsumerMemberAssignment()
		if err := a.ReadFrom(mb.assignment); err != nil {
			return nil, "the embedded consumer protocol is malformed"
		}
		if len(a.UserData) > 0 {
			return nil, "an unsupported custom assignor is in use"
		}
		all := m.o.Topics()
		for _, at := range a.Topics {
			if t, ok := all.ByName(at.Topic); ok {
				has.Add(t.ID, at.Partitions...)
			}
		}
	}
	next = newConsumerMember(mb.id)
	next.instance, next.rack, next.clientID, next.host = mb.instance, s.Rack, mb.clientID, mb.host
	next.topics, next.rebalanceMs = distinct(s.Topics), int32(mb.rebalance.Milliseconds())
	next.epoch, next.previous, next.assigned = old.generation, old.generation, heldAt(has, old.generation)
	next.classic = &classicMember{sessionMs: int32(mb.session.Milliseconds()), protocols: mb.protocols}
	return next, ""
}

// retire ends a classic group that became a consumer group: who waits asks again and finds the new one.
func (m *Machine) retire(e *statelog.Effects, old *group) {
	for _, mb := range old.sorted() {
		if mb.join != 0 {
			reply(e, mb.join, joinFailed(mb.joinReq, kerr.RebalanceInProgress, mb.id))
			mb.join = 0
		}
		m.failSync(e, mb, kerr.RebalanceInProgress)
		cancel(e, sessionKey(old, mb.id))
	}
	for id := range old.pending {
		cancel(e, sessionKey(old, id))
	}
	cancel(e, joinKey(old))
	cancel(e, syncKey(old))
	delete(m.groups, old.id)
	delete(m.rebalancing, old.id)
}

// mayDowngrade says whether a consumer group becomes a classic one when some leave, or when a classic
// member takes the place of one: classic members are left, and no others.
func (m *Machine) mayDowngrade(g *consumerGroup, gone map[string]bool, replaced *consumerMember) bool {
	left := len(g.members) - len(gone)
	if !m.o.Migration.downgrades() || g.classicMembers(gone) != left {
		return false
	}
	if replaced != nil {
		left++
	}
	return left > 0 && left <= m.o.MaxSize && (replaced == nil || replaced.classic == nil)
}

// turn is why and with whom a consumer group becomes a classic one.
type turn struct {
	gone    map[string]bool
	joining *consumerMember // takes the place of the one that is gone
	why     string
}

// holds is what a member has, with what it has still to give up.
func (mb *consumerMember) holds() assign.Partitions {
	all := mb.assigned.partitions()
	for _, of := range mb.revoke.partitions() {
		all.Add(of.Topic, of.Indexes...)
		slices.Sort(all.Of(of.Topic))
	}
	return all
}

// downgrade makes a classic group of a consumer group's classic members. Their assignment is what they
// have at this moment, not what they should have: should the group go back to the consumer protocol
// before they joined again, nobody else may get what they still read. Unless one just takes another's place the group rebalances.
func (m *Machine) downgrade(e *statelog.Effects, in statelog.Input, g *consumerGroup, t turn) {
	joining := t.joining
	e.Records = append(e.Records, g.forgetGroup()...)
	if joining != nil {
		e.Records = append(e.Records, g.forgetMember(joining.id)...)
	}
	next := &group{
		id: g.id, phase: stable, since: in.Now, generation: g.epoch, protocolType: consumerProtocol,
		members: map[string]*member{}, pending: map[string]bool{}, instances: map[string]string{},
	}
	add := func(mb *consumerMember, target assign.Partitions) {
		c := &member{
			id: mb.id, clientID: mb.clientID, host: mb.host, instance: mb.instance, synced: true,
			session:   time.Duration(mb.classic.sessionMs) * time.Millisecond,
			rebalance: mb.rebalance(), protocols: mb.classic.protocols,
		}
		c.assignment = m.encodeAssignment(target, mb.classic.protocols[0].Metadata)
		next.members[mb.id] = c
		if mb.instance != nil {
			next.instances[*mb.instance] = mb.id
		}
	}
	for _, mb := range g.sorted() {
		for _, key := range memberTimers(g.id, mb.id) {
			cancel(e, key)
		}
		if !t.gone[mb.id] {
			add(mb, mb.holds())
		}
	}
	if joining != nil {
		add(joining, joining.holds())
		next.generation = max(g.epoch, joining.epoch)
	}
	next.protocol = next.vote()
	next.leader = next.sorted()[0].id
	m.groups[g.id] = next
	for _, mb := range next.sorted() {
		m.arm(e, in, next, mb)
	}
	e.Notes = append(e.Notes, fmt.Sprintf("group %s becomes a classic group, epoch %d its generation", g.id, g.epoch))
	if joining == nil || next.generation != g.epoch { // the others do not have what is theirs yet
		m.rebalance(e, in, next, t.why)
	}
	e.Records = append(e.Records, next.record())
}
