package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// OffsetDelete: v0
//
// Behavior: offsets of topics that no member reads are forgotten (KIP-496).
func (g *groups) offsetDelete(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.OffsetDeleteRequest)
	step := func(m *group.Machine, in statelog.Input) statelog.Effects { return m.OffsetDelete(in, req) }
	return g.submitThen(step, func(answer kmsg.Response) kmsg.Response {
		img, resp := g.catalog.Image(), answer.(*kmsg.OffsetDeleteResponse)
		for i, t := range resp.Topics {
			known, ok := img.ByName[t.Topic]
			for j, p := range t.Partitions {
				if p.ErrorCode == 0 && (!ok || p.Partition < 0 || p.Partition >= known.Partitions) {
					resp.Topics[i].Partitions[j].ErrorCode = kerr.UnknownTopicOrPartition.Code
				}
			}
		}
		return resp
	})
}

func refuseOffsetDelete(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
