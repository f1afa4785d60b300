package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// Coordinator runs steps on the group machine.
type Coordinator interface {
	Submit(step func(*group.Machine, statelog.Input) statelog.Effects) *statelog.Answer
}

// groups answers for consumer groups: each handler hands its request to the machine.
type groups struct {
	coordinator Coordinator
	advertise   func(*Request) (string, int32)
	nodeID      int32
}

func (g *groups) submit(step func(*group.Machine, statelog.Input) statelog.Effects) Reply {
	answer := g.coordinator.Submit(step)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp, err := answer.Wait(ctx)
		if errors.Is(err, statelog.ErrMoved) || errors.Is(err, statelog.ErrClosed) {
			return nil, kerr.NotCoordinator
		}
		if err != nil {
			return nil, err
		}
		return resp.(kmsg.Response), nil
	})
}

// OffsetCommit: v0-9
//
// Behavior: durable before the answer; checked against member and generation.
//
// Differs from Kafka: v10 (topic ids) is not served.
func (g *groups) offsetCommit(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.OffsetCommitRequest)
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.OffsetCommit(in, req) })
}

// OffsetFetch: v0-9
//
// Version notes: v2 null topics are all. v8 several groups.
//
// Differs from Kafka: v10 (topic ids) is not served.
func (g *groups) offsetFetch(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.OffsetFetchRequest)
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.OffsetFetch(in, req) })
}

// JoinGroup: v0-9
//
// Version notes: v1 rebalance timeout. v4 member id required. v5 static members.
func (g *groups) joinGroup(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.JoinGroupRequest)
	for i := range req.Protocols { // kept after the request's buffer is gone
		req.Protocols[i].Metadata = append([]byte{}, req.Protocols[i].Metadata...)
	}
	clientID := r.ClientID
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.JoinGroup(in, clientID, req) })
}

// Heartbeat: v0-4
func (g *groups) heartbeat(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.HeartbeatRequest)
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.Heartbeat(in, req) })
}

// LeaveGroup: v0-5
//
// Version notes: v3 several members.
func (g *groups) leaveGroup(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.LeaveGroupRequest)
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.LeaveGroup(in, req) })
}

// SyncGroup: v0-5
func (g *groups) syncGroup(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.SyncGroupRequest)
	return g.submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.SyncGroup(in, req) })
}

// FindCoordinator: v0-6
//
// Behavior: this node coordinates every group. There is no transaction coordinator.
//
// Version notes: v4 several keys.
func (g *groups) findCoordinator(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.FindCoordinatorRequest)
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	host, port := g.advertise(r)
	if req.CoordinatorType != 0 {
		return Failed(kerr.CoordinatorNotAvailable)
	}
	resp.NodeID, resp.Host, resp.Port = g.nodeID, host, port
	for _, key := range req.CoordinatorKeys {
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.NodeID, c.Host, c.Port = key, g.nodeID, host, port
		resp.Coordinators = append(resp.Coordinators, c)
	}
	return Now(resp)
}

func refuseFindCoordinator(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
	resp.ErrorCode, resp.ErrorMessage = codeOf(err)
	resp.NodeID, resp.Port = -1, -1
	for _, key := range req.(*kmsg.FindCoordinatorRequest).CoordinatorKeys {
		c := kmsg.NewFindCoordinatorResponseCoordinator()
		c.Key, c.NodeID, c.Port = key, -1, -1
		c.ErrorCode, c.ErrorMessage = codeOf(err)
		resp.Coordinators = append(resp.Coordinators, c)
	}
	return resp
}

// refuseGroup fails a whole group request in its own shape.
func refuseGroup(req kmsg.Request, err error) kmsg.Response {
	code, _ := codeOf(err)
	switch resp := req.ResponseKind().(type) {
	case *kmsg.JoinGroupResponse:
		resp.ErrorCode, resp.Generation, resp.Protocol = code, -1, kmsg.StringPtr("")
		return resp
	case *kmsg.SyncGroupResponse:
		resp.ErrorCode = code
		return resp
	case *kmsg.HeartbeatResponse:
		resp.ErrorCode = code
		return resp
	case *kmsg.LeaveGroupResponse:
		resp.ErrorCode = code
		return resp
	case *kmsg.OffsetCommitResponse:
		for _, t := range req.(*kmsg.OffsetCommitRequest).Topics {
			out := kmsg.NewOffsetCommitResponseTopic()
			out.Topic = t.Topic
			for _, p := range t.Partitions {
				answer := kmsg.NewOffsetCommitResponseTopicPartition()
				answer.Partition, answer.ErrorCode = p.Partition, code
				out.Partitions = append(out.Partitions, answer)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp
	case *kmsg.OffsetFetchResponse:
		resp.ErrorCode = code
		for _, g := range req.(*kmsg.OffsetFetchRequest).Groups {
			out := kmsg.NewOffsetFetchResponseGroup()
			out.Group, out.ErrorCode = g.Group, code
			resp.Groups = append(resp.Groups, out)
		}
		return resp
	default:
		return resp
	}
}
