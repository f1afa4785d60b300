package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
	"kelp/internal/group"
	"kelp/internal/statelog"
)

// ConsumerGroupDescribe: v0-1
//
// Behavior: epochs, assignor and members of consumer groups, with what each has and should have.
//
// Version notes: v1 the kind of each member, as classic ones may be among them.
func (g *groups) consumerGroupDescribe(_ context.Context, r *Request) Reply {
	if g.catalog.Image().Level(cluster.GroupVersion) < 1 {
		return Failed(kerr.UnsupportedVersion)
	}
	req := r.Body.(*kmsg.ConsumerGroupDescribeRequest)
	step := func(m *group.Machine, in statelog.Input) statelog.Effects { return m.ConsumerGroupDescribe(in, req) }
	return g.submitThen(step, func(answer kmsg.Response) kmsg.Response {
		resp := answer.(*kmsg.ConsumerGroupDescribeResponse)
		for i := range resp.Groups {
			resp.Groups[i].AuthorizedOperations = operations(req.IncludeAuthorizedOperations, groupOperations)
		}
		return resp
	})
}

func refuseConsumerGroupDescribe(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
	for _, id := range req.(*kmsg.ConsumerGroupDescribeRequest).Groups {
		out := kmsg.NewConsumerGroupDescribeResponseGroup()
		out.Group = id
		out.ErrorCode, out.ErrorMessage = codeOf(err)
		resp.Groups = append(resp.Groups, out)
	}
	return resp
}
