package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// check gives the member that a request speaks for, or why there is none.
func (m *Machine) check(groupID, memberID string, instance *string, generation int32) (*group, *member, *kerr.Error) {
	g := m.groups[groupID]
	switch {
	case groupID == "":
		return nil, nil, kerr.InvalidGroupID
	case g == nil:
		return nil, nil, kerr.UnknownMemberID
	}
	if instance != nil {
		if current, known := g.instances[*instance]; known && current != memberID {
			return g, nil, kerr.FencedInstanceID
		}
	}
	mb := g.members[memberID]
	switch {
	case mb == nil:
		return g, nil, kerr.UnknownMemberID
	case generation != g.generation:
		return g, mb, kerr.IllegalGeneration
	}
	return g, mb, nil
}

// SyncGroup answers with the member's assignment once the leader has given it.
func (m *Machine) SyncGroup(in statelog.Input, req *kmsg.SyncGroupRequest) statelog.Effects {
	var e statelog.Effects
	resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
	g, mb, err := m.check(req.Group, req.MemberID, req.InstanceID, req.Generation)
	switch {
	case err != nil:
	case req.ProtocolType != nil && *req.ProtocolType != g.protocolType, req.Protocol != nil && *req.Protocol != g.protocol:
		err = kerr.InconsistentGroupProtocol
	case g.phase == preparing:
		err = kerr.RebalanceInProgress
	}
	if err != nil {
		resp.ErrorCode = err.Code
		reply(&e, in.Ticket, resp)
		return e
	}
	m.arm(&e, in, g, mb)
	if mb.sync != 0 { // the client gave up on its earlier sync
		given := mb.syncReq.ResponseKind().(*kmsg.SyncGroupResponse)
		given.ErrorCode = kerr.RebalanceInProgress.Code
		reply(&e, mb.sync, given)
	}
	mb.sync, mb.syncReq = in.Ticket, req
	if g.phase == completing && mb.id == g.leader {
		for _, a := range req.GroupAssignment {
			if to := g.members[a.MemberID]; to != nil {
				to.assignment = append([]byte{}, a.MemberAssignment...)
			}
		}
		g.phase = stable
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
		waiting.sync = 0
	}
	return e
}

// Heartbeat keeps a member's session and tells it of a rebalance.
func (m *Machine) Heartbeat(in statelog.Input, req *kmsg.HeartbeatRequest) statelog.Effects {
	var e statelog.Effects
	resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
	g, mb, err := m.check(req.Group, req.MemberID, req.InstanceID, req.Generation)
	if err == nil {
		m.arm(&e, in, g, mb)
		if g.phase == preparing {
			err = kerr.RebalanceInProgress
		}
	}
	if err != nil {
		resp.ErrorCode = err.Code
	}
	reply(&e, in.Ticket, resp)
	return e
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
	g := m.groups[req.Group]
	for _, l := range leaving {
		out := kmsg.NewLeaveGroupResponseMember()
		out.MemberID, out.InstanceID = l.MemberID, l.InstanceID
		id := l.MemberID
		if g != nil && l.InstanceID != nil {
			current, known := g.instances[*l.InstanceID]
			switch {
			case known && id != "" && id != current:
				out.ErrorCode = kerr.FencedInstanceID.Code
			case known:
				id = current
			}
		}
		switch {
		case out.ErrorCode != 0:
		case g == nil || g.members[id] == nil && !g.pending[id]:
			out.ErrorCode = kerr.UnknownMemberID.Code
		default:
			joined := g.members[id] != nil
			m.remove(&e, in, g, id)
			if joined {
				m.rebalance(&e, in, g)
			}
		}
		if req.Version < 3 {
			resp.ErrorCode = out.ErrorCode
			continue
		}
		resp.Members = append(resp.Members, out)
	}
	reply(&e, in.Ticket, resp)
	return e
}
