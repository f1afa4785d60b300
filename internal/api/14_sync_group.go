package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// SyncGroup: v0-5
//
// Behavior: the leader gives the assignment, everybody is answered with their part of it, which is
// durable by then.
//
// Version notes: v3 static members. v5 protocol type and name, which must be there.
func (g *groups) syncGroup(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.SyncGroupRequest)
	for i := range req.GroupAssignment { // kept after the request's buffer is gone
		req.GroupAssignment[i].MemberAssignment = append([]byte{}, req.GroupAssignment[i].MemberAssignment...)
	}
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.SyncGroup(in, req) })
}

func refuseSyncGroup(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
