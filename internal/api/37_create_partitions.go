package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreatePartitions: v0-3
//
// Behavior: a topic grows to the given count, which must be more than it has.
func (t *topics) createPartitions(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.CreatePartitionsRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
		named := map[string]int{}
		for _, asked := range req.Topics {
			named[asked.Topic]++
		}
		for _, asked := range req.Topics {
			if named[asked.Topic] == 0 {
				continue // answered already
			}
			out := kmsg.NewCreatePartitionsResponseTopic()
			out.Topic = asked.Topic
			var err error
			if named[asked.Topic] > 1 {
				err = refuse(kerr.InvalidRequest, "duplicate topic name")
			} else {
				err = t.grow(ctx, asked, req.ValidateOnly)
			}
			named[asked.Topic] = 0
			out.ErrorCode, out.ErrorMessage = codeOf(err)
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil
	})
}

func (t *topics) grow(ctx context.Context, asked kmsg.CreatePartitionsRequestTopic, validateOnly bool) error {
	known, ok := t.catalog.Image().ByName[asked.Topic]
	if !ok {
		return kerr.UnknownTopicOrPartition // without words, as Kafka
	}
	if asked.Count > known.Partitions && asked.Assignment != nil {
		if int32(len(asked.Assignment)) != asked.Count-known.Partitions {
			return refuse(kerr.InvalidReplicaAssignment,
				"%d partitions are added, %d are assigned", asked.Count-known.Partitions, len(asked.Assignment))
		}
		for i, a := range asked.Assignment {
			if err := t.checkReplicas(known.Partitions+int32(i), a.Replicas); err != nil {
				return err
			}
		}
	}
	return t.catalog.Grow(ctx, asked.Topic, asked.Count, validateOnly)
}

func refuseCreatePartitions(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	for _, asked := range req.(*kmsg.CreatePartitionsRequest).Topics {
		out := kmsg.NewCreatePartitionsResponseTopic()
		out.Topic = asked.Topic
		out.ErrorCode, out.ErrorMessage = codeOf(err)
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
