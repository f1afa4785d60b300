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

// Members of the classic protocol in a consumer group: while a group is rolled from one protocol to
// the other both kinds are members. The server assigns for all; to a classic member the epoch is its
// generation, a join is a heartbeat with a subscription, and a sync asks for what it has.

// joinConsumer is a classic join to a consumer group.
func (m *Machine) joinConsumer(e *statelog.Effects, a arrival, g *consumerGroup) (string, *kerr.Error) {
	in, req := a.in, a.req
	id := req.MemberID
	switch {
	case !m.o.Migration.upgrades() && !m.o.Migration.downgrades():
		return id, kerr.InconsistentGroupProtocol
	case len(g.members) >= m.o.ConsumerMaxSize && (id == "" || g.members[id] == nil):
		return id, kerr.GroupMaxSizeReached
	case !g.takesClassic(req):
		return id, kerr.InconsistentGroupProtocol
	}
	subscription, err := parseSubscription(req.Protocols[0].Metadata)
	if err != nil {
		return id, kerr.InconsistentGroupProtocol
	}
	unknown := id == ""
	if unknown {
		id = newID(in, a.client.ID)
		if req.InstanceID == nil && req.Version >= 4 {
			return id, kerr.MemberIDRequired
		}
	}
	b := &beat{in: in, e: e, g: g, tells: true, owned: m.ownedPartitions(subscription), regexes: g.regexes}
	if err := b.findClassic(id, unknown, req.InstanceID); err != nil {
		return id, err.code
	}
	b.now = b.classicMember(a, subscription)
	if err := m.advance(b); err != nil {
		return id, err.code
	}
	cancel(e, timerKey(timerRejoin, b.now.id, g.id))
	delete(g.joinDue, b.now.id)
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.MemberID, resp.Generation = b.now.id, b.now.epoch
	resp.ProtocolType, resp.Protocol = kmsg.StringPtr(consumerProtocol), kmsg.StringPtr(req.Protocols[0].Name)
	reply(e, in.Ticket, resp)
	if b.replaces != nil {
		if gone := map[string]bool{b.replaces.id: true}; m.mayDowngrade(g, gone, b.replaces) {
			m.downgrade(e, in, g, turn{gone, b.now, b.why})
			next := m.groups[g.id]
			resp.Generation, resp.Protocol = next.generation, kmsg.StringPtr(next.protocol)
			return b.now.id, nil
		}
	}
	m.armConsumer(e, in, g.id, b.now)
	e.Timers = append(e.Timers, statelog.Timer{Key: timerKey(timerResync, b.now.id, g.id), At: in.Now.Add(b.now.rebalance())})
	return b.now.id, nil
}

// takesClassic says whether a classic member fits the classic members that are there.
func (g *consumerGroup) takesClassic(req *kmsg.JoinGroupRequest) bool {
	if req.ProtocolType != consumerProtocol || len(req.Protocols) == 0 {
		return false
	}
	return slices.ContainsFunc(req.Protocols, func(p kmsg.JoinGroupRequestProtocol) bool {
		for _, mb := range g.members {
			if mb.classic != nil && !knows(mb.classic.protocols, p.Name) {
				return false
			}
		}
		return true
	})
}

// findClassic is find for a classic join, which has no epoch.
func (b *beat) findClassic(id string, unknown bool, instance *string) *failure {
	known := b.g.members[id]
	if instance != nil {
		known = b.g.static(*instance)
	}
	switch {
	case known == nil && instance != nil && !unknown:
		return fail(kerr.UnknownMemberID, "Instance id %s is unknown.", *instance)
	case known == nil:
		b.old, b.why = newConsumerMember(id), fmt.Sprintf("member %s joins with the classic protocol", id)
	case instance != nil && unknown:
		b.replace(known, id)
	case known.id != id:
		return fencedBy(known, id, *instance)
	default:
		b.old = known
	}
	return nil
}

func (b *beat) classicMember(a arrival, s kmsg.ConsumerMemberMetadata) *consumerMember {
	next := *b.old
	next.clientID, next.host = a.client.ID, a.client.Host
	if a.req.InstanceID != nil {
		next.instance = a.req.InstanceID
	}
	if s.Rack != nil && *s.Rack != "" {
		next.rack = s.Rack
	}
	next.rebalanceMs = a.req.SessionTimeoutMillis
	if a.req.Version >= 1 {
		next.rebalanceMs = a.req.RebalanceTimeoutMillis
	}
	next.topics, next.regex = distinct(s.Topics), ""
	next.classic = &classicMember{sessionMs: a.req.SessionTimeoutMillis, protocols: a.req.Protocols}
	return &next
}

// parseSubscription reads what a consumer says in its join.
func parseSubscription(b []byte) (kmsg.ConsumerMemberMetadata, error) {
	s := kmsg.NewConsumerMemberMetadata()
	err := s.ReadFrom(b)
	return s, err
}

// ownedPartitions is what a classic consumer says that it has; eager ones have given all up.
func (m *Machine) ownedPartitions(s kmsg.ConsumerMemberMetadata) []assign.TopicPartitions {
	all := m.o.Topics()
	var out []assign.TopicPartitions
	for _, o := range s.OwnedPartitions {
		if t, ok := all.ByName(o.Topic); ok {
			out = append(out, assign.TopicPartitions{Topic: t.ID, Indexes: o.Partitions})
		}
	}
	return out
}

// classicIn gives the classic member of a consumer group that a request speaks for.
func (g *consumerGroup) classicIn(id string, instance *string, generation int32) (*consumerMember, *kerr.Error) {
	mb := g.members[id]
	if instance != nil {
		mb = g.static(*instance)
	}
	switch {
	case mb == nil:
		return nil, kerr.UnknownMemberID
	case mb.id != id:
		return nil, kerr.FencedInstanceID
	case mb.classic == nil:
		return nil, kerr.UnknownMemberID
	case mb.epoch != generation:
		return mb, kerr.IllegalGeneration
	}
	return mb, nil
}

// syncConsumer gives a classic member what it has.
func (m *Machine) syncConsumer(e *statelog.Effects, in statelog.Input, g *consumerGroup, req *kmsg.SyncGroupRequest) *kerr.Error {
	mb, err := g.classicIn(req.MemberID, req.InstanceID, req.Generation)
	if err != nil {
		return err
	}
	protocol := mb.classic.protocols[0]
	switch {
	case req.ProtocolType != nil && *req.ProtocolType != consumerProtocol, req.Protocol != nil && *req.Protocol != protocol.Name:
		return kerr.InconsistentGroupProtocol
	case g.targetEpoch > mb.epoch && mb.state != memberUnrevoked:
		m.askToJoin(e, in, g, mb)
		return kerr.RebalanceInProgress
	}
	cancel(e, timerKey(timerResync, mb.id, g.id))
	m.armConsumer(e, in, g.id, mb)
	resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
	resp.ProtocolType, resp.Protocol = req.ProtocolType, req.Protocol
	resp.MemberAssignment = m.encodeAssignment(mb.assigned.partitions(), protocol.Metadata)
	reply(e, in.Ticket, resp)
	return nil
}

// encodeAssignment writes partitions as the consumers' own protocol does, in the version in which a
// member wrote its subscription.
func (m *Machine) encodeAssignment(p assign.Partitions, subscription []byte) []byte {
	all := m.o.Topics()
	out := kmsg.NewConsumerMemberAssignment()
	if s, err := parseSubscription(subscription); err == nil {
		out.Version = min(s.Version, 3)
	}
	for _, of := range p {
		if t, ok := all.ByID(of.Topic); ok {
			at := kmsg.NewConsumerMemberAssignmentTopic()
			at.Topic, at.Partitions = t.Name, of.Indexes
			out.Topics = append(out.Topics, at)
		}
	}
	return out.AppendTo(nil)
}

// heartbeatConsumer keeps a classic member and tells it when to join again: the group has moved on,
// or it has to give up partitions, or what it waits for is free.
func (m *Machine) heartbeatConsumer(e *statelog.Effects, in statelog.Input, g *consumerGroup, req *kmsg.HeartbeatRequest) *kerr.Error {
	mb, err := g.classicIn(req.MemberID, req.InstanceID, req.Generation)
	if err != nil {
		return err
	}
	m.armConsumer(e, in, g.id, mb)
	if mb.epoch < g.targetEpoch || mb.state == memberUnrevoked || mb.state == memberUnreleased && !g.waitsForOthers(mb) {
		m.askToJoin(e, in, g, mb)
		return kerr.RebalanceInProgress
	}
	return nil
}

// askToJoin starts the time within which a classic member must join again, unless it runs.
func (m *Machine) askToJoin(e *statelog.Effects, in statelog.Input, g *consumerGroup, mb *consumerMember) {
	if g.joinDue[mb.id] {
		return
	}
	g.joinDue[mb.id] = true
	wait := max(mb.rebalance(), time.Millisecond)
	e.Timers = append(e.Timers, statelog.Timer{Key: timerKey(timerRejoin, mb.id, g.id), At: in.Now.Add(wait)})
}

// leaveConsumer takes members out of a consumer group by the classic request, which admins use for
// members of both kinds.
func (m *Machine) leaveConsumer(
	e *statelog.Effects, in statelog.Input, g *consumerGroup, leaving []kmsg.LeaveGroupRequestMember,
) []kmsg.LeaveGroupResponseMember {
	var answers []kmsg.LeaveGroupResponseMember
	var gone []string
	why := ""
	for _, l := range leaving {
		out := kmsg.NewLeaveGroupResponseMember()
		out.MemberID, out.InstanceID = l.MemberID, l.InstanceID
		mb := g.members[l.MemberID]
		if l.InstanceID != nil {
			mb = g.static(*l.InstanceID)
		}
		switch {
		case mb == nil:
			out.ErrorCode = kerr.UnknownMemberID.Code
		case l.InstanceID != nil && l.MemberID != "" && mb.id != l.MemberID:
			out.ErrorCode = kerr.FencedInstanceID.Code
		case !slices.Contains(gone, mb.id):
			gone, why = append(gone, mb.id), fmt.Sprintf("member %s left%s", mb.id, reason(l.Reason))
		}
		answers = append(answers, out)
	}
	if len(gone) > 0 {
		m.fence(e, in, g, why, gone...)
	}
	return answers
}
