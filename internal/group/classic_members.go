package group

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// member finds a member by its id and, when static, its instance (KIP-345).
func (g *group) member(id string, instance *string) (*member, *kerr.Error) {
	if instance != nil {
		current, known := g.instances[*instance]
		switch {
		case !known:
			return nil, kerr.UnknownMemberID
		case current != id:
			return nil, kerr.FencedInstanceID
		}
	}
	mb := g.members[id]
	if mb == nil {
		return nil, kerr.UnknownMemberID
	}
	return mb, nil
}

// check gives the member of the current generation that a request speaks for, or why there is none.
func (m *Machine) check(groupID, memberID string, instance *string, generation int32) (*group, *member, *kerr.Error) {
	g := m.groups[groupID]
	switch {
	case groupID == "":
		return nil, nil, kerr.InvalidGroupID
	case g == nil:
		return nil, nil, kerr.UnknownMemberID
	}
	mb, err := g.member(memberID, instance)
	if err == nil && generation != g.generation {
		err = kerr.IllegalGeneration
	}
	return g, mb, err
}

func syncFailed(req *kmsg.SyncGroupRequest, err *kerr.Error) *kmsg.SyncGroupResponse {
	resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
	resp.ErrorCode = err.Code
	return resp
}

func assignedBytes(req *kmsg.SyncGroupRequest) int {
	n := 0
	for _, a := range req.GroupAssignment {
		n += len(a.MemberAssignment)
	}
	return n
}

// SyncGroup answers with the member's assignment once the leader has given it.
func (m *Machine) SyncGroup(in statelog.Input, req *kmsg.SyncGroupRequest) statelog.Effects {
	var e statelog.Effects
	if g := m.consumers[req.Group]; g != nil {
		if err := m.syncConsumer(&e, in, g, req); err != nil {
			reply(&e, in.Ticket, syncFailed(req, err))
		}
		return e
	}
	g, mb, err := m.check(req.Group, req.MemberID, req.InstanceID, req.Generation)
	switch {
	case req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil):
		err = kerr.InconsistentGroupProtocol
	case err != nil:
	case req.ProtocolType != nil && *req.ProtocolType != g.protocolType, req.Protocol != nil && *req.Protocol != g.protocol:
		err = kerr.InconsistentGroupProtocol
	case g.phase == preparing:
		err = kerr.RebalanceInProgress
	case g.phase == completing && mb.id == g.leader && assignedBytes(req) > maxGroupBytes:
		err = kerr.UnknownServerError // as Kafka says of a record that is too large
	}
	if err != nil {
		reply(&e, in.Ticket, syncFailed(req, err))
		return e
	}
	m.arm(&e, in, g, mb)
	m.failSync(&e, mb, kerr.RebalanceInProgress) // the client gave up on its earlier sync
	mb.sync, mb.syncReq, mb.synced = in.Ticket, req, true
	if g.phase == completing && mb.id == g.leader {
		for _, other := range g.members {
			other.assignment = []byte{}
		}
		for _, a := range req.GroupAssignment {
			if to := g.members[a.MemberID]; to != nil {
				to.assignment = append([]byte{}, a.MemberAssignment...)
			}
		}
		m.settled(in, g.id)
		g.enter(stable, in)
		e.Records = append(e.Records, g.record())
	}
	if g.phase != stable {
		return e
	}
	for _, waiting := range g.sorted() {
		if waiting.sync == 0 {
			continue
		}
		resp := waiting.syncReq.ResponseKind().(*kmsg.SyncGroupResponse)
		resp.ProtocolType, resp.Protocol = kmsg.StringPtr(g.protocolType), kmsg.StringPtr(g.protocol)
		resp.MemberAssignment = append([]byte{}, waiting.assignment...)
		reply(&e, waiting.sync, resp)
		waiting.sync, waiting.syncReq = 0, nil
	}
	return e
}

// Heartbeat keeps a member's session and tells it of a rebalance.
func (m *Machine) Heartbeat(in statelog.Input, req *kmsg.HeartbeatRequest) statelog.Effects {
	var e statelog.Effects
	resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
	var err *kerr.Error
	if cg := m.consumers[req.Group]; cg != nil {
		err = m.heartbeatConsumer(&e, in, cg, req)
	} else {
		err = m.heartbeat(&e, in, req)
	}
	if err != nil {
		resp.ErrorCode = err.Code
	}
	reply(&e, in.Ticket, resp)
	return e
}

func (m *Machine) heartbeat(e *statelog.Effects, in statelog.Input, req *kmsg.HeartbeatRequest) *kerr.Error {
	g, mb, err := m.check(req.Group, req.MemberID, req.InstanceID, req.Generation)
	if err != nil {
		return err
	}
	m.arm(e, in, g, mb)
	if g.phase == preparing {
		return kerr.RebalanceInProgress
	}
	return nil
}

// LeaveGroup takes members out; the others rebalance.
func (m *Machine) LeaveGroup(in statelog.Input, req *kmsg.LeaveGroupRequest) statelog.Effects {
	var e statelog.Effects
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	leaving := req.Members
	if req.Version < 3 {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = req.MemberID
		leaving = []kmsg.LeaveGroupRequestMember{one}
	}
	if cg := m.consumers[req.Group]; cg != nil {
		resp.Members = m.leaveConsumer(&e, in, cg, leaving)
		if req.Version < 3 {
			resp.ErrorCode, resp.Members = resp.Members[0].ErrorCode, nil
		}
		reply(&e, in.Ticket, resp)
		return e
	}
	g := m.groups[req.Group]
	switch {
	case req.Group == "":
		resp.ErrorCode = kerr.InvalidGroupID.Code
	case g == nil:
		for _, l := range req.Members {
			out := kmsg.NewLeaveGroupResponseMember()
			out.MemberID, out.InstanceID, out.ErrorCode = l.MemberID, l.InstanceID, kerr.UnknownMemberID.Code
			resp.Members = append(resp.Members, out)
		}
		if req.Version < 3 {
			resp.ErrorCode = kerr.UnknownMemberID.Code
		}
	}
	if g == nil || resp.ErrorCode != 0 {
		reply(&e, in.Ticket, resp)
		return e
	}
	why := ""
	for _, l := range leaving {
		out := kmsg.NewLeaveGroupResponseMember()
		out.MemberID, out.InstanceID = l.MemberID, l.InstanceID
		if err := m.leave(&e, g, l, &why); err != nil {
			out.ErrorCode = err.Code
		}
		if req.Version < 3 {
			resp.ErrorCode = out.ErrorCode
			continue
		}
		resp.Members = append(resp.Members, out)
	}
	if why != "" {
		m.rebalance(&e, in, g, why)
	} else {
		m.completeIfAll(&e, in, g) // nobody waits for a pending member that left
	}
	reply(&e, in.Ticket, resp)
	return e
}

// leave takes one member out. An admin names a static member by its instance alone.
func (m *Machine) leave(e *statelog.Effects, g *group, l kmsg.LeaveGroupRequestMember, why *string) *kerr.Error {
	id := l.MemberID
	if l.InstanceID == nil && g.pending[id] {
		delete(g.pending, id)
		cancel(e, sessionKey(g, id))
		return nil
	}
	if current, known := "", false; l.InstanceID != nil && id == "" {
		if current, known = g.instances[*l.InstanceID]; !known {
			return kerr.UnknownMemberID
		}
		id = current
	}
	mb, err := g.member(id, l.InstanceID)
	if err != nil {
		return err
	}
	m.remove(e, g, mb.id)
	*why = fmt.Sprintf("member %s left%s", mb.id, reason(l.Reason))
	return nil
}
