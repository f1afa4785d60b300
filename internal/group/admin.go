package group

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// The types of groups: of the classic protocol and simple consumers, and of the consumer protocol.
const (
	classicType  = "classic"
	consumerType = "consumer"
)

// phaseOf is a group's state; one that only has offsets is empty.
func (m *Machine) phaseOf(id string) (p phase, known bool) {
	if g := m.groups[id]; g != nil {
		return g.phase, true
	}
	if g := m.consumers[id]; g != nil {
		return g.phase(), true
	}
	return empty, m.offsets[id] != nil || len(m.pendingOf(id)) > 0
}

// ListGroups lists groups by state and type; no filter lists all.
func (m *Machine) ListGroups(in statelog.Input, req *kmsg.ListGroupsRequest) statelog.Effects {
	var e statelog.Effects
	resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
	wanted := func(filter []string, value string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
	}
	list := func(id, protocolType, groupType string, p phase) {
		if !wanted(req.StatesFilter, string(p)) || !wanted(req.TypesFilter, groupType) {
			return
		}
		out := kmsg.NewListGroupsResponseGroup()
		out.Group, out.ProtocolType, out.GroupState, out.GroupType = id, protocolType, string(p), groupType
		resp.Groups = append(resp.Groups, out)
	}
	for id, g := range m.groups {
		list(id, g.protocolType, classicType, g.phase)
	}
	for id, g := range m.consumers {
		list(id, consumerProtocol, consumerType, g.phase())
	}
	for id := range m.offsets {
		if m.groups[id] == nil && m.consumers[id] == nil {
			list(id, "", classicType, empty)
		}
	}
	slices.SortFunc(resp.Groups, func(a, b kmsg.ListGroupsResponseGroup) int { return strings.Compare(a.Group, b.Group) })
	reply(&e, in.Ticket, resp)
	return e
}

// DescribeGroups shows groups with their members. One that is not there is Dead, and from v6 an error.
func (m *Machine) DescribeGroups(in statelog.Input, req *kmsg.DescribeGroupsRequest) statelog.Effects {
	var e statelog.Effects
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	for _, id := range req.Groups {
		resp.Groups = append(resp.Groups, m.describe(id, req.Version))
	}
	reply(&e, in.Ticket, resp)
	return e
}

func (m *Machine) describe(id string, version int16) kmsg.DescribeGroupsResponseGroup {
	out := kmsg.NewDescribeGroupsResponseGroup()
	out.Group = id
	p, known := m.phaseOf(id)
	if id == "" {
		out.ErrorCode = kerr.InvalidGroupID.Code
		return out
	}
	if consumer := m.consumers[id] != nil; !known || consumer {
		out.State = "Dead"
		text := fmt.Sprintf("Group %s not found.", id)
		if consumer {
			text = fmt.Sprintf("Group %s is not a classic group.", id)
		}
		if version >= 6 {
			out.ErrorCode, out.ErrorMessage = kerr.GroupIDNotFound.Code, &text
		}
		return out
	}
	out.State = string(p)
	g := m.groups[id]
	if g == nil {
		return out
	}
	out.ProtocolType = g.protocolType
	if p == stable {
		out.Protocol = g.protocol
	}
	for _, mb := range g.sorted() {
		member := kmsg.NewDescribeGroupsResponseGroupMember()
		member.MemberID, member.InstanceID, member.ClientID, member.ClientHost = mb.id, mb.instance, mb.clientID, mb.host
		member.ProtocolMetadata, member.MemberAssignment = []byte{}, append([]byte{}, mb.assignment...)
		if p == stable {
			member.ProtocolMetadata = append(member.ProtocolMetadata, mb.metadata(g.protocol)...)
		}
		out.Members = append(out.Members, member)
	}
	return out
}

// DeleteGroups drops groups without members and their offsets.
func (m *Machine) DeleteGroups(in statelog.Input, req *kmsg.DeleteGroupsRequest) statelog.Effects {
	var e statelog.Effects
	resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
	for _, id := range req.Groups {
		out := kmsg.NewDeleteGroupsResponseGroup()
		out.Group = id
		p, known := m.phaseOf(id)
		switch {
		case id == "":
			out.ErrorCode = kerr.InvalidGroupID.Code
		case !known:
			out.ErrorCode, out.ErrorMessage = kerr.GroupIDNotFound.Code, kmsg.StringPtr(fmt.Sprintf("Group %s not found.", id))
		case p != empty:
			out.ErrorCode, out.ErrorMessage = kerr.NonEmptyGroup.Code, kmsg.StringPtr(fmt.Sprintf("Group %s is %s.", id, p))
		default:
			doomed := m.pendingOf(id)
			for at := range m.offsets[id] {
				doomed[at] = true
			}
			for at := range doomed {
				e.Records = append(e.Records, forgetOffset(id, at))
			}
			if g := m.groups[id]; g != nil {
				m.forget(&e, g)
			}
			if g := m.consumers[id]; g != nil {
				e.Records = append(e.Records, g.forgetGroup()...)
			}
		}
		resp.Groups = append(resp.Groups, out)
	}
	reply(&e, in.Ticket, resp)
	return e
}
