package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
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
	catalog     *cluster.Catalog
	advertise   func(*Request) (string, int32)
	nodeID      int32
}

func (g *groups) submit(step func(*group.Machine, statelog.Input) statelog.Effects) Reply {
	return g.submitThen(step, func(r kmsg.Response) kmsg.Response { return r })
}

// submitThen lets then complete what the machine answered.
func (g *groups) submitThen(step func(*group.Machine, statelog.Input) statelog.Effects, then func(kmsg.Response) kmsg.Response) Reply {
	answer := g.coordinator.Submit(step)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp, err := waitFor(ctx, answer)
		if err != nil {
			return nil, err
		}
		return then(resp.(kmsg.Response)), nil
	}).When(answer.Notify)
}
