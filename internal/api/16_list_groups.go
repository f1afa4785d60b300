package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// ListGroups: v0-5
//
// Behavior: every group of this node.
//
// Version notes: v4 filter by state. v5 filter by type.
func (g *groups) listGroups(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.ListGroupsRequest)
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.ListGroups(in, req) })
}

func refuseListGroups(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
