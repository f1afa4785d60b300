package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// DeleteGroups: v0-3
//
// Behavior: groups without members go with their offsets.
//
// Version notes: v3 error messages.
func (g *groups) deleteGroups(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.DeleteGroupsRequest)
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.DeleteGroups(in, req) })
}

func refuseDeleteGroups(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
	for _, id := range req.(*kmsg.DeleteGroupsRequest).Groups {
		out := kmsg.NewDeleteGroupsResponseGroup()
		out.Group = id
		out.ErrorCode, out.ErrorMessage = codeOf(err)
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}
