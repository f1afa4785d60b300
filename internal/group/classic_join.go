package group

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

func joinFailed(req *kmsg.JoinGroupRequest, err *kerr.Error, memberID string) *kmsg.JoinGroupResponse {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.ErrorCode, resp.MemberID, resp.Generation = err.Code, memberID, -1
	if req.Version < 7 { // cannot say null
		resp.Protocol = kmsg.StringPtr("")
	}
	return resp
}

// JoinGroup makes a member and answers once its generation begins. The request's bytes are kept.
func (m *Machine) JoinGroup(in statelog.Input, client Client, req *kmsg.JoinGroupRequest) statelog.Effects {
	var e statelog.Effects
	a := arrival{in, client, req}
	join := m.join
	if g := m.consumers[req.Group]; g != nil {
		if len(g.members) > 0 {
			join = func(e *statelog.Effects, a arrival) (string, *kerr.Error) { return m.joinConsumer(e, a, g) }
		} else {
			e.Records = append(e.Records, g.forgetGroup()...)
		}
	}
	if memberID, err := join(&e, a); err != nil {
		reply(&e, in.Ticket, joinFailed(req, err, memberID))
	}
	return e
}

// arrival is a join with what is known of it.
type arrival struct {
	in     statelog.Input
	client Client
	req    *kmsg.JoinGroupRequest
}

func (m *Machine) join(e *statelog.Effects, a arrival) (string, *kerr.Error) {
	in, req := a.in, a.req
	g := m.groups[req.Group]
	switch {
	case req.Group == "":
		return req.MemberID, kerr.InvalidGroupID
	case req.SessionTimeoutMillis < m.o.MinSessionTimeoutMs || req.SessionTimeoutMillis > m.o.MaxSessionTimeoutMs:
		return req.MemberID, kerr.InvalidSessionTimeout
	case g == nil && req.MemberID != "":
		return req.MemberID, kerr.UnknownMemberID
	case !fits(req.Group):
		return req.MemberID, kerr.InvalidGroupID
	case !fitsOrNil(req.InstanceID) || protocolBytes(req.Protocols) > maxMemberBytes:
		return req.MemberID, kerr.InvalidRequest
	case g != nil && !g.hasRoom(req.MemberID, m.o.MaxSize):
		return req.MemberID, kerr.GroupMaxSizeReached
	case g != nil && g.memberBytes(req.MemberID)+protocolBytes(req.Protocols) > maxGroupBytes:
		return req.MemberID, kerr.GroupMaxSizeReached
	case req.ProtocolType == "" || len(req.Protocols) == 0 || g != nil && !g.takes(req):
		return req.MemberID, kerr.InconsistentGroupProtocol
	}
	if g == nil {
		g = &group{id: req.Group, members: map[string]*member{}, pending: map[string]bool{}, instances: map[string]string{}}
		g.enter(empty, in)
		m.groups[req.Group] = g
	}
	switch {
	case req.MemberID != "":
		return req.MemberID, m.joinKnown(e, a, g)
	case req.InstanceID != nil:
		id := newID(in, *req.InstanceID)
		if old := g.members[g.instances[*req.InstanceID]]; old != nil {
			m.replaceStatic(e, a, g, id)
			return id, nil
		}
		m.add(e, a, g, id)
		return id, nil
	case req.Version >= 4:
		id := newID(in, a.client.ID)
		g.pending[id] = true
		session := time.Duration(req.SessionTimeoutMillis) * time.Millisecond
		e.Timers = append(e.Timers, statelog.Timer{Key: sessionKey(g, id), At: in.Now.Add(session)})
		return id, kerr.MemberIDRequired
	}
	m.add(e, a, g, newID(in, a.client.ID))
	return "", nil
}

// joinKnown is the join of somebody who has a member id.
func (m *Machine) joinKnown(e *statelog.Effects, a arrival, g *group) *kerr.Error {
	in, req := a.in, a.req
	if g.pending[req.MemberID] && req.InstanceID == nil {
		delete(g.pending, req.MemberID)
		m.add(e, a, g, req.MemberID)
		return nil
	}
	mb, err := g.member(req.MemberID, req.InstanceID)
	if err != nil {
		return err
	}
	same := sameProtocols(mb.protocols, req.Protocols)
	if same && (g.phase == completing || g.phase == stable && mb.id != g.leader) { // the answer was lost
		reply(e, in.Ticket, m.joined(g, mb, req))
		m.arm(e, in, g, mb)
		return nil
	}
	mb.update(a.client, req)
	if mb.join != 0 { // the client gave up on its earlier join
		reply(e, mb.join, joinFailed(mb.joinReq, kerr.UnknownMemberID, mb.id))
	}
	mb.join, mb.joinReq = in.Ticket, req
	why := "changed what it supports"
	if same {
		why = "joined again"
	}
	m.rebalance(e, in, g, fmt.Sprintf("member %s %s%s", mb.id, why, reason(req.Reason)))
	return nil
}

// add makes a new member that waits for its generation.
func (m *Machine) add(e *statelog.Effects, a arrival, g *group, id string) {
	in, req := a.in, a.req
	mb := &member{id: id, instance: req.InstanceID, join: in.Ticket, joinReq: req}
	mb.update(a.client, req)
	g.members[id] = mb
	g.protocolType = req.ProtocolType
	g.grown = true
	if mb.instance != nil {
		g.instances[*mb.instance] = id
	}
	cancel(e, sessionKey(g, id)) // it waits for us now
	m.rebalance(e, in, g, fmt.Sprintf("member %s joins%s", id, reason(req.Reason)))
}

// replaceStatic gives a static member's place to its next incarnation. When the protocol stays,
// the group does not rebalance (KIP-345); a leader is then told to skip the assignment (KIP-814).
func (m *Machine) replaceStatic(e *statelog.Effects, a arrival, g *group, id string) {
	in, req := a.in, a.req
	oldID, oldLeader := g.instances[*req.InstanceID], g.leader
	mb := g.members[oldID]
	if mb.join != 0 {
		reply(e, mb.join, joinFailed(mb.joinReq, kerr.FencedInstanceID, oldID))
		mb.join = 0
	}
	m.failSync(e, mb, kerr.FencedInstanceID)
	cancel(e, sessionKey(g, oldID))
	delete(g.members, oldID)
	mb.id = id
	g.members[id], g.instances[*req.InstanceID] = mb, id
	if g.leader == oldID {
		g.leader = id
	}
	mb.update(a.client, req)
	if g.phase == stable && g.vote() == g.protocol {
		e.Records = append(e.Records, g.record())
		resp := m.joined(g, mb, req)
		if id == g.leader && req.Version < 9 { // it would assign anew: let it follow
			resp.LeaderID, resp.Members = oldLeader, nil
		}
		resp.SkipAssignment = id == g.leader && req.Version >= 9
		reply(e, in.Ticket, resp)
		m.arm(e, in, g, mb)
		return
	}
	mb.join, mb.joinReq = in.Ticket, req
	m.rebalance(e, in, g, fmt.Sprintf("static member %s came back as %s%s", *req.InstanceID, id, reason(req.Reason)))
}

func reason(given *string) string {
	if given == nil || *given == "" {
		return ""
	}
	return ": " + (*given)[:min(len(*given), 200)]
}

func (mb *member) update(client Client, req *kmsg.JoinGroupRequest) {
	mb.clientID, mb.host = client.ID, client.Host
	mb.session = time.Duration(req.SessionTimeoutMillis) * time.Millisecond
	mb.rebalance = mb.session
	if req.Version >= 1 {
		mb.rebalance = time.Duration(max(0, req.RebalanceTimeoutMillis)) * time.Millisecond
	}
	mb.protocols, mb.bytes = req.Protocols, protocolBytes(req.Protocols)
}

// hasRoom says whether a member fits in, pending ones included.
func (g *group) hasRoom(memberID string, most int) bool {
	return g.members[memberID] != nil || g.pending[memberID] || len(g.members)+len(g.pending) < most
}

func newID(in statelog.Input, name string) string {
	id := in.NewID()
	return fmt.Sprintf("%s-%x-%x-%x-%x-%x", prefix(name), id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func sameProtocols(a, b []kmsg.JoinGroupRequestProtocol) bool {
	return slices.EqualFunc(a, b, func(a, b kmsg.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

// takes says whether what a joining member supports fits what all the others do.
func (g *group) takes(req *kmsg.JoinGroupRequest) bool {
	if len(g.members) == 0 {
		return true
	}
	if g.protocolType != req.ProtocolType {
		return false
	}
	for _, p := range req.Protocols {
		if g.allKnow(p.Name) {
			return true
		}
	}
	return false
}

func (g *group) allKnow(protocol string) bool {
	for _, mb := range g.members {
		if !mb.knows(protocol) {
			return false
		}
	}
	return true
}

func (mb *member) knows(protocol string) bool { return knows(mb.protocols, protocol) }

func knows(protocols []kmsg.JoinGroupRequestProtocol, name string) bool {
	return slices.ContainsFunc(protocols, func(p kmsg.JoinGroupRequestProtocol) bool { return p.Name == name })
}

// metadata is what the member said for a protocol.
func (mb *member) metadata(protocol string) []byte {
	for _, p := range mb.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// joined tells a member of the generation; the leader also of everybody's metadata.
func (m *Machine) joined(g *group, mb *member, req *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.Generation, resp.LeaderID, resp.MemberID = g.generation, g.leader, mb.id
	resp.Protocol, resp.ProtocolType = kmsg.StringPtr(g.protocol), kmsg.StringPtr(g.protocolType)
	if mb.id != g.leader {
		return resp
	}
	for _, other := range g.sorted() {
		out := kmsg.NewJoinGroupResponseMember()
		out.MemberID, out.InstanceID, out.ProtocolMetadata = other.id, other.instance, other.metadata(g.protocol)
		resp.Members = append(resp.Members, out)
	}
	return resp
}
