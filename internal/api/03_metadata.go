package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topics answers for the cluster's metadata.
type topics struct {
	catalog    Catalog
	advertise  func(*Request) (string, int32)
	nodeID     int32
	autoCreate bool
}

// Metadata: v0-13
//
// Behavior: one broker, which leads everything. No topics asked (null from v1, empty in v0) means
// all of them. An unknown topic is created when both the broker and, from v4, the request allow it.
//
// Version notes: v1 null list is all, empty is none. v4 allow auto creation. v8-10 authorized
// operations of the cluster. v10 topic ids in the answer, v12 in the request. v13 top-level error.
func (t *topics) metadata(ctx context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.MetadataRequest)
	missing := t.missing(req)
	if len(missing) == 0 {
		return Now(t.describe(r, req))
	}
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		create := kmsg.NewPtrCreateTopicsRequest()
		create.SetVersion(create.MaxVersion())
		for _, name := range missing {
			c := kmsg.NewCreateTopicsRequestTopic()
			c.Topic, c.NumPartitions, c.ReplicationFactor = name, -1, -1
			create.Topics = append(create.Topics, c)
		}
		if _, err := t.catalog.CreateTopics(ctx, create); err != nil {
			return nil, err
		}
		return t.describe(r, req), nil
	})
}

// missing lists the names that this request creates.
func (t *topics) missing(req *kmsg.MetadataRequest) []string {
	if !t.autoCreate || (req.Version >= 4 && !req.AllowAutoTopicCreation) {
		return nil
	}
	var names []string
	for _, asked := range req.Topics {
		if asked.Topic == nil || asked.TopicID != [16]byte{} {
			continue
		}
		if _, known := t.catalog.ByName(*asked.Topic); !known {
			names = append(names, *asked.Topic)
		}
	}
	return names
}

func (t *topics) describe(r *Request, req *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	broker := kmsg.NewMetadataResponseBroker()
	broker.NodeID = t.nodeID
	broker.Host, broker.Port = t.advertise(r)
	resp.Brokers = append(resp.Brokers, broker)
	resp.ClusterID = kmsg.StringPtr(t.catalog.ClusterID())
	resp.ControllerID = t.nodeID
	if req.Topics == nil || (req.Version == 0 && len(req.Topics) == 0) {
		for _, known := range t.catalog.Topics() {
			resp.Topics = append(resp.Topics, t.topic(known))
		}
		return resp
	}
	for _, asked := range req.Topics {
		resp.Topics = append(resp.Topics, t.asked(asked))
	}
	return resp
}

func (t *topics) asked(asked kmsg.MetadataRequestTopic) kmsg.MetadataResponseTopic {
	if asked.TopicID != [16]byte{} {
		if known, ok := t.catalog.ByID(asked.TopicID); ok {
			return t.topic(known)
		}
		out := kmsg.NewMetadataResponseTopic()
		out.TopicID, out.ErrorCode = asked.TopicID, kerr.UnknownTopicID.Code
		return out
	}
	out := kmsg.NewMetadataResponseTopic()
	out.Topic = asked.Topic
	if asked.Topic == nil {
		out.ErrorCode = kerr.UnknownTopicID.Code
		return out
	}
	if known, ok := t.catalog.ByName(*asked.Topic); ok {
		return t.topic(known)
	}
	out.ErrorCode = kerr.UnknownTopicOrPartition.Code
	if !LegalTopicName(*asked.Topic) {
		out.ErrorCode = kerr.InvalidTopicException.Code
	}
	return out
}

func (t *topics) topic(known Topic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = kmsg.StringPtr(known.Name), known.ID, known.Internal
	for i := range known.Partitions {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.LeaderEpoch = i, t.nodeID, 0
		p.Replicas, p.ISR = []int32{t.nodeID}, []int32{t.nodeID}
		out.Partitions = append(out.Partitions, p)
	}
	return out
}

// LegalTopicName is Kafka's rule (org.apache.kafka.common.internals.Topic).
func LegalTopicName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > 249 {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

func refuseMetadata(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	code, _ := codeOf(err)
	resp.ErrorCode = code
	for _, asked := range req.(*kmsg.MetadataRequest).Topics {
		out := kmsg.NewMetadataResponseTopic()
		out.Topic, out.TopicID, out.ErrorCode = asked.Topic, asked.TopicID, code
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
