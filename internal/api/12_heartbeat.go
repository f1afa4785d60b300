package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// Heartbeat: v0-4
//
// Behavior: keeps the member's session; REBALANCE_IN_PROGRESS asks it to join again.
//
// Version notes: v3 static members.
func (g *groups) heartbeat(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.HeartbeatRequest)
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.Heartbeat(in, req) })
}

func refuseHeartbeat(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
