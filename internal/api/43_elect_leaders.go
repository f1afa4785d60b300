package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ElectLeaders: v0-2
//
// Behavior: the one replica leads already, so no election is needed anywhere; asked for all
// partitions, nothing is listed, as Kafka lists only what an election could change.
//
// Version notes: v1 election type.
func (t *topics) electLeaders(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.ElectLeadersRequest)
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	if req.ElectionType != 0 && req.ElectionType != 1 {
		return Failed(refuse(kerr.InvalidRequest, "election type %d", req.ElectionType))
	}
	img := t.catalog.Image()
	for _, asked := range req.Topics {
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = asked.Topic
		known := img.ByName[asked.Topic]
		for _, index := range asked.Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition = index
			err := kerr.ElectionNotNeeded
			if index < 0 || index >= known.Partitions {
				err = kerr.UnknownTopicOrPartition
			}
			p.ErrorCode, p.ErrorMessage = err.Code, &err.Description
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return Now(resp)
}

func refuseElectLeaders(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
