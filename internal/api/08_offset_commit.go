package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// OffsetCommit: v0-10
//
// Behavior: durable before the answer; checked against member and generation. Partitions of
// topics that are not there fail by themselves.
//
// Version notes: v1 member and generation. v2-4 retention of the offset. v6 leader epoch. v7
// static members. v9 a generation of a group that is not there is GROUP_ID_NOT_FOUND. v10 topic ids.
func (g *groups) offsetCommit(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.OffsetCommitRequest)
	all := req.Topics
	refused := make([]error, len(all))
	var known []kmsg.OffsetCommitRequestTopic
	img := g.catalog.Image()
	for i := range all {
		t := &all[i]
		if req.Version >= 10 {
			topic, ok := img.ByID[t.TopicID]
			if !ok {
				refused[i] = kerr.UnknownTopicID
				continue
			}
			t.Topic = topic.Name
		} else if _, ok := img.ByName[t.Topic]; !ok {
			refused[i] = kerr.UnknownTopicOrPartition
			continue
		}
		known = append(known, *t)
	}
	req.Topics = known
	step := func(m *group.Machine, in statelog.Input) statelog.Effects { return m.OffsetCommit(in, req) }
	return g.submitThen(step, func(answer kmsg.Response) kmsg.Response {
		resp := answer.(*kmsg.OffsetCommitResponse)
		checked := resp.Topics
		resp.Topics = nil
		for i, err := range refused {
			if err == nil {
				resp.Topics, checked = append(resp.Topics, checked[0]), checked[1:]
				continue
			}
			resp.Topics = append(resp.Topics, refusedCommit(all[i], err))
		}
		return resp
	})
}

func refusedCommit(t kmsg.OffsetCommitRequestTopic, err error) kmsg.OffsetCommitResponseTopic {
	out := kmsg.NewOffsetCommitResponseTopic()
	out.Topic, out.TopicID = t.Topic, t.TopicID
	for _, p := range t.Partitions {
		answer := kmsg.NewOffsetCommitResponseTopicPartition()
		answer.Partition = p.Partition
		answer.ErrorCode, _ = codeOf(err)
		out.Partitions = append(out.Partitions, answer)
	}
	return out
}

func refuseOffsetCommit(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, t := range req.(*kmsg.OffsetCommitRequest).Topics {
		resp.Topics = append(resp.Topics, refusedCommit(t, err))
	}
	return resp
}
