package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreateTopics: v0-7
//
// Behavior: all topics of a request are decided together and are durable before the answer.
//
// Version notes: v1 validate only. v5 answers configs. v7 topic ids.
func (t *topics) createTopics(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.CreateTopicsRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp, err := t.catalog.CreateTopics(ctx, req)
		if err != nil {
			return nil, err
		}
		return resp, nil
	})
}

func refuseCreateTopics(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	for _, asked := range req.(*kmsg.CreateTopicsRequest).Topics {
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic = asked.Topic
		out.ErrorCode, out.ErrorMessage = codeOf(err)
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
