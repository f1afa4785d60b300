package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
	"kelp/internal/group"
	"kelp/internal/statelog"
)

// ConsumerGroupHeartbeat: v0-1
//
// Behavior: a member joins (epoch 0), stays, leaves (-1) or, when static, leaves for a while (-2); the
// answer leads it to what the server assigns (KIP-848). Unsupported while group.version is finalized at 0.
//
// Version notes: v1 the client makes the member id; subscription by regular expression.
func (g *groups) consumerGroupHeartbeat(_ context.Context, r *Request) Reply {
	if g.catalog.Image().Level(cluster.GroupVersion) < 1 {
		return Failed(kerr.UnsupportedVersion)
	}
	req := r.Body.(*kmsg.ConsumerGroupHeartbeatRequest)
	client := group.Client{ID: r.ClientID, Host: r.ClientHost()}
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects {
		return m.ConsumerGroupHeartbeat(in, client, req)
	})
}

func refuseConsumerGroupHeartbeat(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
	resp.ErrorCode, resp.ErrorMessage = codeOf(err)
	return resp
}
