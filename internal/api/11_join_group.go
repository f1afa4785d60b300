package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// JoinGroup: v0-9
//
// Behavior: answered once the member's generation begins.
//
// Version notes: v1 rebalance timeout. v4 member id required (KIP-394). v5 static members. v7
// protocol type and null protocol. v8 reason. v9 skip assignment (KIP-814).
func (g *groups) joinGroup(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.JoinGroupRequest)
	for i := range req.Protocols { // kept after the request's buffer is gone
		req.Protocols[i].Metadata = append([]byte{}, req.Protocols[i].Metadata...)
	}
	client := group.Client{ID: r.ClientID, Host: r.ClientHost()}
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.JoinGroup(in, client, req) })
}

func refuseJoinGroup(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.ErrorCode, _ = codeOf(err)
	resp.Generation, resp.MemberID = -1, req.(*kmsg.JoinGroupRequest).MemberID
	if resp.Version < 7 {
		resp.Protocol = kmsg.StringPtr("")
	}
	return resp
}
