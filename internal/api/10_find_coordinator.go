package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
)

// The kinds of coordinators.
const (
	coordinatorGroup       = 0
	coordinatorTransaction = 1
)

// FindCoordinator: v0-6
//
// Behavior: this node coordinates every group and transactional id. The first who asks makes the topic of their
// state visible.
//
// Version notes: v1 kinds of coordinators. v4 several keys.
func (g *groups) findCoordinator(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.FindCoordinatorRequest)
	state := cluster.ConsumerOffsets
	switch req.CoordinatorType {
	case coordinatorGroup:
	case coordinatorTransaction:
		state = cluster.TransactionState
	default:
		return Failed(refuse(kerr.InvalidRequest, "there is no coordinator of type %d", req.CoordinatorType))
	}
	if _, shown := g.catalog.Image().ByID[state.ID]; shown {
		return Now(g.coordinators(r, req))
	}
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		if err := g.catalog.Show(ctx, state); err != nil {
			return nil, err
		}
		return g.coordinators(r, req), nil
	})
}

func (g *groups) coordinators(r *Request, req *kmsg.FindCoordinatorRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	host, port := g.advertise(r)
	if req.Version < 4 {
		resp.NodeID, resp.Host, resp.Port, resp.ErrorMessage = g.nodeID, host, port, noError()
		return resp
	}
	for _, key := range req.CoordinatorKeys {
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.NodeID, c.Host, c.Port, c.ErrorMessage = key, g.nodeID, host, port, noError()
		if key == "" {
			c.NodeID, c.Host, c.Port = -1, "", -1
			c.ErrorCode, c.ErrorMessage = codeOf(kerr.InvalidGroupID)
		}
		resp.Coordinators = append(resp.Coordinators, c)
	}
	return resp
}

func refuseFindCoordinator(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	asked := req.(*kmsg.FindCoordinatorRequest)
	if asked.Version < 4 {
		resp.ErrorCode, resp.ErrorMessage = codeOf(err)
		resp.NodeID, resp.Port = -1, -1
		return resp
	}
	for _, key := range asked.CoordinatorKeys {
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.NodeID, c.Port = key, -1, -1
		c.ErrorCode, c.ErrorMessage = codeOf(err)
		resp.Coordinators = append(resp.Coordinators, c)
	}
	return resp
}
