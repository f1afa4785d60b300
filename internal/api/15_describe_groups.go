package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// DescribeGroups: v0-6
//
// Behavior: state and members; metadata is shown while the group is stable, assignments always.
//
// Version notes: v3 authorized operations. v4 static members. v6 GROUP_ID_NOT_FOUND for a group
// that is not there, Dead before.
func (g *groups) describeGroups(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.DescribeGroupsRequest)
	step := func(m *group.Machine, in statelog.Input) statelog.Effects { return m.DescribeGroups(in, req) }
	return g.submitThen(step, func(answer kmsg.Response) kmsg.Response {
		resp := answer.(*kmsg.DescribeGroupsResponse)
		for i := range resp.Groups {
			resp.Groups[i].AuthorizedOperations = operations(req.IncludeAuthorizedOperations, groupOperations)
		}
		return resp
	})
}

func refuseDescribeGroups(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	for _, id := range req.(*kmsg.DescribeGroupsRequest).Groups {
		out := kmsg.NewDescribeGroupsResponseGroup()
		out.Group = id
		out.ErrorCode, _ = codeOf(err)
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}
