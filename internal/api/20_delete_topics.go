package api

import (
	"context"

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
		resp, err := t.catalog.DeleteTopics(ctx, req)
		if err != nil {
			return nil, err
		}
		return resp, nil
	})
}

func refuseDeleteTopics(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	r := req.(*kmsg.DeleteTopicsRequest)
	refuse := func(name *string, id [16]byte) {
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = name, id
		out.ErrorCode, out.ErrorMessage = codeOf(err)
		resp.Topics = append(resp.Topics, out)
	}
	for i := range r.TopicNames {
		refuse(&r.TopicNames[i], [16]byte{})
	}
	for _, asked := range r.Topics {
		refuse(asked.Topic, asked.TopicID)
	}
	return resp
}
