package group

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// The timers of a consumer group's member. Join and sync are of members of the classic protocol.
const (
	timerAlive  = "alive"  // it must be heard of
	timerRevoke = "revoke" // it must give partitions up
	timerRejoin = "rejoin" // it was told to join again
	timerResync = "resync" // it joined and must sync
)

func memberTimers(groupID, memberID string) []string {
	var keys []string
	for _, what := range []string{timerAlive, timerRevoke, timerRejoin, timerResync} {
		keys = append(keys, timerKey(what, memberID, groupID))
	}
	return keys
}

func (m *Machine) armConsumer(e *statelog.Effects, in statelog.Input, groupID string, mb *consumerMember) {
	session := m.o.Settings(groupID).SessionTimeout
	if mb.classic != nil {
		session = time.Duration(mb.classic.sessionMs) * time.Millisecond
	}
	e.Timers = append(e.Timers, statelog.Timer{Key: timerKey(timerAlive, mb.id, groupID), At: in.Now.Add(session)})
}

func (mb *consumerMember) rebalance() time.Duration {
	return time.Duration(max(0, mb.rebalanceMs)) * time.Millisecond
}

func (m *Machine) armRevoke(e *statelog.Effects, in statelog.Input, groupID string, mb *consumerMember) {
	e.Timers = append(e.Timers, statelog.Timer{Key: timerKey(timerRevoke, mb.id, groupID), At: in.Now.Add(mb.rebalance())})
}

// loadConsumers sets the timers again after a restart: every member has a whole session to come back.
func (m *Machine) loadConsumers(e *statelog.Effects, in statelog.Input) {
	for id, g := range m.consumers {
		g.owners = map[[16]byte]map[int32]string{}
		for _, mb := range g.sorted() {
			g.own(mb)
			m.armConsumer(e, in, id, mb)
			if mb.state == memberUnrevoked && mb.classic == nil {
				m.armRevoke(e, in, id, mb)
			}
		}
	}
}

// consumerTimeout is a timer of a consumer group's member.
func (m *Machine) consumerTimeout(e *statelog.Effects, in statelog.Input, what, memberID, groupID string) {
	g := m.consumers[groupID]
	if g == nil || g.members[memberID] == nil {
		return
	}
	mb := g.members[memberID]
	why := ""
	switch what {
	case timerAlive:
		why = "was silent for its whole session"
	case timerRevoke:
		if mb.state != memberUnrevoked {
			return
		}
		why = fmt.Sprintf("did not give its partitions up within %s", mb.rebalance())
	case timerRejoin:
		why = fmt.Sprintf("did not join again within %s", mb.rebalance())
	case timerResync:
		why = fmt.Sprintf("did not sync within %s", mb.rebalance())
	}
	m.fence(e, in, g, fmt.Sprintf("member %s %s", memberID, why), memberID)
}

// consumerLeave takes a member out, or lets a static one go for a while.
func (m *Machine) consumerLeave(
	e *statelog.Effects, in statelog.Input, req *kmsg.ConsumerGroupHeartbeatRequest,
) (*kmsg.ConsumerGroupHeartbeatResponse, *failure) {
	g, _, err := m.consumerGroupFor(e, in, req.Group, false)
	if err != nil {
		return nil, err
	}
	mb := g.members[req.MemberID]
	if req.InstanceID != nil {
		mb = g.static(*req.InstanceID)
	}
	switch {
	case mb == nil && req.InstanceID != nil:
		return nil, fail(kerr.UnknownMemberID, "Instance id %s is unknown.", *req.InstanceID)
	case mb == nil:
		return nil, fail(kerr.UnknownMemberID, "Member %s is not a member of group %s.", req.MemberID, g.id)
	case mb.id != req.MemberID:
		return nil, fencedBy(mb, req.MemberID, *req.InstanceID)
	}
	resp := req.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
	resp.MemberID, resp.MemberEpoch = &req.MemberID, req.MemberEpoch
	if req.MemberEpoch != staticLeft {
		m.fence(e, in, g, fmt.Sprintf("member %s left", mb.id), mb.id)
		return resp, nil
	}
	away := *mb // its partitions wait for it until its session ends
	away.epoch, away.revoke, away.assigned = staticLeft, held{}, heldAt(mb.assigned.partitions(), 0)
	e.Records = append(e.Records, g.currentRecord(&away))
	return resp, nil
}

// fence takes members out; the others get what they had at their next heartbeats. When all that is
// left speaks the classic protocol, the group goes back to it.
func (m *Machine) fence(e *statelog.Effects, in statelog.Input, g *consumerGroup, why string, ids ...string) {
	gone := map[string]bool{}
	for _, id := range ids {
		gone[id] = true
		for _, key := range memberTimers(g.id, id) {
			cancel(e, key)
		}
	}
	if m.mayDowngrade(g, gone, nil) {
		m.downgrade(e, in, g, turn{gone: gone, why: why})
		return
	}
	for _, id := range slices.Sorted(maps.Keys(gone)) {
		e.Records = append(e.Records, g.forgetMember(id)...)
	}
	names, users := maps.Clone(g.names), maps.Clone(g.regexUsers)
	for id := range gone {
		for _, t := range g.members[id].topics {
			drop(names, t)
		}
		drop(users, g.members[id].regex)
	}
	for _, regex := range slices.Sorted(maps.Keys(g.regexes)) {
		if users[regex] == 0 {
			e.Records = append(e.Records, tombstone(consumerKey(keyRegex, g.id, regex)))
			continue
		}
		for _, t := range g.regexes[regex].topics {
			names[t]++
		}
	}
	all := m.o.Topics()
	e.Records = append(e.Records, g.epochRecord(g.epoch+1, metadataHash(all, slices.Sorted(maps.Keys(names)))))
	m.noteRebalance(e, in, g, why)
	if len(gone) == len(g.members) {
		delete(m.rebalancing, g.id) // nobody is left to rebalance
	}
}
