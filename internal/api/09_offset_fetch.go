package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// OffsetFetch: v0-10
//
// Behavior: what was committed, -1 where nothing was. Every offset is stable.
//
// Version notes: v2 null topics are all. v6 flexible. v8 several groups. v9 member and epoch. v10
// topic ids.
func (g *groups) offsetFetch(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.OffsetFetchRequest)
	if req.Version >= 10 {
		g.nameTopics(req)
	}
	step := func(m *group.Machine, in statelog.Input) statelog.Effects { return m.OffsetFetch(in, req) }
	return g.submitThen(step, func(answer kmsg.Response) kmsg.Response {
		if req.Version >= 10 {
			g.identifyTopics(answer.(*kmsg.OffsetFetchResponse))
		}
		return answer
	})
}

// nameTopics gives the asked topics the names of their ids.
func (g *groups) nameTopics(req *kmsg.OffsetFetchRequest) {
	img := g.catalog.Image()
	for i := range req.Groups {
		for j := range req.Groups[i].Topics {
			t := &req.Groups[i].Topics[j]
			t.Topic = img.ByID[t.TopicID].Name
		}
	}
}

// identifyTopics gives answered topics their ids; those that are gone fail or, when all were
// asked for, are left out.
func (g *groups) identifyTopics(resp *kmsg.OffsetFetchResponse) {
	img := g.catalog.Image()
	for i := range resp.Groups {
		var kept []kmsg.OffsetFetchResponseGroupTopic
		for _, t := range resp.Groups[i].Topics {
			known, ok := img.ByName[t.Topic]
			switch {
			case ok:
				t.TopicID = known.ID
			case t.TopicID == [16]byte{}:
				continue
			default:
				for p := range t.Partitions {
					t.Partitions[p].ErrorCode = kerr.UnknownTopicID.Code
				}
			}
			kept = append(kept, t)
		}
		resp.Groups[i].Topics = kept
	}
}

func refuseOffsetFetch(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	resp.ErrorCode, _ = codeOf(err)
	asked := req.(*kmsg.OffsetFetchRequest)
	for _, g := range asked.Groups {
		out := kmsg.NewOffsetFetchResponseGroup()
		out.Group, out.ErrorCode = g.Group, resp.ErrorCode
		resp.Groups = append(resp.Groups, out)
	}
	if asked.Version >= 2 {
		return resp
	}
	for _, t := range asked.Topics { // no top-level error to say it with
		out := kmsg.NewOffsetFetchResponseTopic()
		out.Topic = t.Topic
		for _, index := range t.Partitions {
			p := kmsg.NewOffsetFetchResponseTopicPartition()
			p.Partition, p.Offset, p.ErrorCode = index, -1, resp.ErrorCode
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
