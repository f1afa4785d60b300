package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteTopics: v0-6
//
// Behavior: the metadata is durable without the topic before the answer; its bytes go afterwards.
//
// Version notes: v6 by topic id.
func (t *topics) deleteTopics(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.DeleteTopicsRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
		for _, asked := range deleted(req) {
			out := kmsg.NewDeleteTopicsResponseTopic()
			out.Topic, out.TopicID = asked.Topic, asked.TopicID
			if err := t.delete(ctx, &out); err != nil {
				out.ErrorCode, out.ErrorMessage = codeOf(err)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil
	})
}

// deleted lists what is asked for in either form.
func deleted(req *kmsg.DeleteTopicsRequest) []kmsg.DeleteTopicsRequestTopic {
	asked := req.Topics
	for i := range req.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &req.TopicNames[i]
		asked = append(asked, t)
	}
	return asked
}

func (t *topics) delete(ctx context.Context, out *kmsg.DeleteTopicsResponseTopic) error {
	img := t.catalog.Image()
	known, ok := img.ByID[out.TopicID]
	missing := kerr.UnknownTopicID
	if out.Topic != nil {
		if out.TopicID != [16]byte{} {
			return refuse(kerr.InvalidRequest, "a topic is named by its name or its id, not both")
		}
		known, ok = img.ByName[*out.Topic]
		missing = kerr.UnknownTopicOrPartition
	}
	if !ok {
		return refuse(missing, "%s", missing.Description)
	}
	gone, err := t.catalog.DeleteTopic(ctx, known.ID)
	if err != nil {
		return err
	}
	out.Topic, out.TopicID = kmsg.StringPtr(gone.Name), gone.ID
	t.dropped(ctx, gone)
	return nil
}

func refuseDeleteTopics(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	for _, asked := range deleted(req.(*kmsg.DeleteTopicsRequest)) {
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = asked.Topic, asked.TopicID
		out.ErrorCode, out.ErrorMessage = codeOf(err)
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
