package group

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

func joinFailed(req *kmsg.JoinGroupRequest, err *kerr.Error, memberID string) *kmsg.JoinGroupResponse {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.ErrorCode, resp.MemberID, resp.Generation = err.Code, memberID, -1
	resp.Protocol = kmsg.StringPtr("")
	return resp
}

// JoinGroup makes a member and answers once its generation begins.
func (m *Machine) JoinGroup(in statelog.Input, clientID string, req *kmsg.JoinGroupRequest) statelog.Effects {
	var e statelog.Effects
	fail := func(err *kerr.Error, memberID string) statelog.Effects {
		reply(&e, in.Ticket, joinFailed(req, err, memberID))
		return e
	}
	g := m.groups[req.Group]
	switch {
	case req.Group == "":
		return fail(kerr.InvalidGroupID, req.MemberID)
	case req.SessionTimeoutMillis < m.o.MinSessionTimeoutMs || req.SessionTimeoutMillis > m.o.MaxSessionTimeoutMs:
		return fail(kerr.InvalidSessionTimeout, req.MemberID)
	case req.ProtocolType == "" || len(req.Protocols) == 0:
		return fail(kerr.InconsistentGroupProtocol, req.MemberID)
	case g == nil && req.MemberID != "":
		return fail(kerr.UnknownMemberID, req.MemberID)
	case g == nil:
		g = &group{id: req.Group, members: map[string]*member{}, pending: map[string]bool{}, instances: map[string]string{}}
		m.groups[req.Group] = g
	}
	id, err := m.identify(&e, in, g, clientID, req)
	if err != nil {
		return fail(err, id)
	}
	mb := g.members[id]
	same := mb != nil && sameProtocols(mb.protocols, req.Protocols)
	if mb == nil {
		if len(g.members) >= m.o.MaxSize {
			return fail(kerr.GroupMaxSizeReached, id)
		}
		mb = &member{id: id, clientID: clientID, instance: req.InstanceID}
	}
	if !g.takes(mb, req) {
		return fail(kerr.InconsistentGroupProtocol, id)
	}
	g.members[id] = mb
	delete(g.pending, id)
	mb.session = time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	mb.rebalance = mb.session
	if req.Version >= 1 {
		mb.rebalance = time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond
	}
	mb.protocols, g.protocolType = req.Protocols, req.ProtocolType
	if same && id != g.leader && (g.phase == stable || g.phase == completing) {
		mb.joinReq = req
		reply(&e, in.Ticket, m.joined(g, mb))
		m.arm(&e, in, g, mb)
		return e
	}
	if mb.join != 0 { // the client gave up on its earlier join
		reply(&e, mb.join, joinFailed(mb.joinReq.(*kmsg.JoinGroupRequest), kerr.UnknownMemberID, id))
	}
	mb.join, mb.joinReq = in.Ticket, req
	m.rebalance(&e, in, g)
	return e
}

// identify gives the member id that a join stands for.
func (m *Machine) identify(
	e *statelog.Effects, in statelog.Input, g *group, clientID string, req *kmsg.JoinGroupRequest,
) (string, *kerr.Error) {
	if req.InstanceID != nil {
		current, known := g.instances[*req.InstanceID]
		switch {
		case req.MemberID != "" && !known:
			return req.MemberID, kerr.UnknownMemberID
		case req.MemberID != "" && current != req.MemberID:
			return req.MemberID, kerr.FencedInstanceID
		case req.MemberID != "":
			return current, nil
		case known:
			m.remove(e, in, g, current)
		}
		id := newID(in, *req.InstanceID)
		g.instances[*req.InstanceID] = id
		return id, nil
	}
	if req.MemberID == "" {
		id := newID(in, clientID)
		if req.Version >= 4 {
			g.pending[id] = true
			e.Timers = append(e.Timers, statelog.Timer{
				Key: sessionKey(g, id), At: in.Now.Add(time.Duration(req.SessionTimeoutMillis) * time.Millisecond),
			})
			return id, kerr.MemberIDRequired
		}
		return id, nil
	}
	if g.members[req.MemberID] == nil && !g.pending[req.MemberID] {
		return req.MemberID, kerr.UnknownMemberID
	}
	return req.MemberID, nil
}

func newID(in statelog.Input, prefix string) string {
	id := in.NewID()
	return fmt.Sprintf("%s-%x-%x-%x-%x-%x", prefix, id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func sameProtocols(a, b []kmsg.JoinGroupRequestProtocol) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || string(a[i].Metadata) != string(b[i].Metadata) {
			return false
		}
	}
	return true
}

// takes says whether a member's protocols fit those of the others.
func (g *group) takes(joining *member, req *kmsg.JoinGroupRequest) bool {
	others := false
	common := map[string]bool{}
	for _, p := range req.Protocols {
		common[p.Name] = true
	}
	for _, mb := range g.members {
		if mb == joining {
			continue
		}
		others = true
		for name := range common {
			if !mb.knows(name) {
				delete(common, name)
			}
		}
	}
	return !others || g.protocolType == req.ProtocolType && len(common) > 0
}

func (mb *member) knows(protocol string) bool {
	for _, p := range mb.protocols {
		if p.Name == protocol {
			return true
		}
	}
	return false
}

// rebalance moves the group into preparing, and on once everybody has joined.
func (m *Machine) rebalance(e *statelog.Effects, in statelog.Input, g *group) {
	if len(g.members) == 0 {
		g.phase, g.leader, g.protocol = empty, "", ""
		g.generation++
		e.Timers = append(e.Timers, statelog.Timer{Key: joinKey(g)})
		return
	}
	if g.phase != preparing {
		wait := time.Duration(0)
		for _, mb := range g.members {
			wait = max(wait, mb.rebalance)
			mb.assignment = nil
			if mb.sync != 0 {
				resp := mb.syncReq.ResponseKind().(*kmsg.SyncGroupResponse)
				resp.ErrorCode = kerr.RebalanceInProgress.Code
				reply(e, mb.sync, resp)
				mb.sync = 0
			}
		}
		if g.phase == empty {
			g.delayed, wait = m.o.InitialRebalanceDelay > 0, m.o.InitialRebalanceDelay
		}
		g.phase = preparing
		e.Timers = append(e.Timers, statelog.Timer{Key: joinKey(g), At: in.Now.Add(wait)})
	}
	for _, mb := range g.members {
		if mb.join == 0 || g.delayed {
			return
		}
	}
	m.complete(e, in, g)
}

// complete begins the next generation with those who joined.
func (m *Machine) complete(e *statelog.Effects, in statelog.Input, g *group) {
	if g.phase != preparing || len(g.members) == 0 {
		return
	}
	e.Timers = append(e.Timers, statelog.Timer{Key: joinKey(g)})
	g.generation++
	g.phase = completing
	g.vote()
	if g.members[g.leader] == nil {
		g.leader = g.sorted()[0].id
	}
	for _, mb := range g.sorted() {
		reply(e, mb.join, m.joined(g, mb))
		mb.join = 0
		m.arm(e, in, g, mb)
	}
}

// vote chooses the protocol: among those that all know, the one most members list first.
func (g *group) vote() {
	votes := map[string]int{}
	members := g.sorted()
	for _, mb := range members {
		for _, p := range mb.protocols {
			all := true
			for _, other := range members {
				all = all && other.knows(p.Name)
			}
			if all {
				votes[p.Name]++
				break
			}
		}
	}
	g.protocol = ""
	for name, n := range votes {
		if g.protocol == "" || n > votes[g.protocol] || n == votes[g.protocol] && name < g.protocol {
			g.protocol = name
		}
	}
}

func (m *Machine) joined(g *group, mb *member) *kmsg.JoinGroupResponse {
	resp := mb.joinReq.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.Generation, resp.LeaderID, resp.MemberID = g.generation, g.leader, mb.id
	resp.Protocol, resp.ProtocolType = kmsg.StringPtr(g.protocol), kmsg.StringPtr(g.protocolType)
	if mb.id != g.leader {
		return resp
	}
	for _, other := range g.sorted() {
		out := kmsg.NewJoinGroupResponseMember()
		out.MemberID, out.InstanceID = other.id, other.instance
		for _, p := range other.protocols {
			if p.Name == g.protocol {
				out.ProtocolMetadata = p.Metadata
			}
		}
		resp.Members = append(resp.Members, out)
	}
	return resp
}

// remove takes a member out and answers what it waits for.
func (m *Machine) remove(e *statelog.Effects, _ statelog.Input, g *group, id string) {
	mb := g.members[id]
	delete(g.members, id)
	delete(g.pending, id)
	e.Timers = append(e.Timers, statelog.Timer{Key: sessionKey(g, id)})
	if mb == nil {
		return
	}
	if mb.instance != nil && g.instances[*mb.instance] == id {
		delete(g.instances, *mb.instance)
	}
	if mb.join != 0 {
		reply(e, mb.join, joinFailed(mb.joinReq.(*kmsg.JoinGroupRequest), kerr.UnknownMemberID, id))
	}
	if mb.sync != 0 {
		resp := mb.syncReq.ResponseKind().(*kmsg.SyncGroupResponse)
		resp.ErrorCode = kerr.UnknownMemberID.Code
		reply(e, mb.sync, resp)
	}
}
