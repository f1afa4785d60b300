package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// LeaveGroup: v0-5
//
// Behavior: members leave at once and the others rebalance. Static members can be named by their
// instance alone.
//
// Version notes: v3 several members. v5 reasons.
func (g *groups) leaveGroup(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.LeaveGroupRequest)
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.LeaveGroup(in, req) })
}

func refuseLeaveGroup(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
