package api

import (
	"context"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a resource allows, as the bit field in which Metadata and the describing keys show it: bit
// n is operation n of org.apache.kafka.common.acl.AclOperation. Nothing restricts a client here.
const (
	notAsked          int32 = math.MinInt32
	clusterOperations int32 = 1<<5 | 1<<7 | 1<<8 | 1<<9 | 1<<10 | 1<<11 | 1<<12
	topicOperations   int32 = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11
	groupOperations   int32 = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11
)

// operations gives the bits when they were asked for.
func operations(asked bool, bits int32) int32 {
	if asked {
		return bits
	}
	return notAsked
}

// DescribeCluster: v0-2
//
// Behavior: the one broker, which is also shown as the controller.
//
// Version notes: v1 endpoint type: only brokers answer here. v2 fenced brokers: there are none.
func (t *topics) describeCluster(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.DescribeClusterRequest)
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	if req.Version >= 1 && req.EndpointType != 1 {
		err := refuse(kerr.MismatchedEndpointType, "this endpoint is a broker's")
		if req.EndpointType != 2 {
			err = refuse(kerr.UnsupportedEndpointType, "endpoint type %d", req.EndpointType)
		}
		return Failed(err)
	}
	resp.EndpointType = 1
	resp.ClusterID, resp.ControllerID = t.catalog.Image().ClusterID, t.nodeID
	broker := kmsg.NewDescribeClusterResponseBroker()
	broker.NodeID = t.nodeID
	broker.Host, broker.Port = t.advertise(r)
	resp.Brokers = append(resp.Brokers, broker)
	resp.ClusterAuthorizedOperations = operations(req.IncludeClusterAuthorizedOperations, clusterOperations)
	return Now(resp)
}

func refuseDescribeCluster(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ErrorCode, resp.ErrorMessage = codeOf(err)
	resp.ControllerID, resp.ClusterAuthorizedOperations = -1, notAsked
	if resp.Version >= 1 {
		resp.EndpointType = 1
	}
	return resp
}
