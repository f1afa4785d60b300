package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
	"kelp/internal/storage"
)

// topics answers for the cluster's metadata.
type topics struct {
	catalog           *cluster.Catalog
	dropped           func(context.Context, cluster.Topic)
	advertise         func(*Request) (string, int32)
	nodeID            int32
	leaderEpoch       int32
	defaultPartitions int32
	autoCreate        bool
	settings          []Setting
	featuresChanged   func(context.Context)
	// warm opens partitions ahead of their first use.
	warm func(context.Context, []storage.Partition)
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
		asked := make([]kmsg.CreateTopicsRequestTopic, 0, len(missing))
		for _, name := range missing {
			c := kmsg.NewCreateTopicsRequestTopic()
			c.Topic, c.NumPartitions, c.ReplicationFactor = name, -1, -1
			asked = append(asked, c)
		}
		_, errs := t.create(ctx, asked, false)
		for _, err := range errs {
			// Whoever came first made it; any other refusal shows as a topic that is not there.
			if err != nil && !errors.Is(err, cluster.ErrExists) && !isRefusal(err) {
				return nil, err
			}
		}
		return t.describe(r, req), nil
	})
}

// isRefusal reports an error that has a code of Kafka's beyond the unknown one.
func isRefusal(err error) bool {
	code, _ := codeOf(err)
	return code != kerr.UnknownServerError.Code && code != kerr.KafkaStorageError.Code
}

// missing lists the names that this request creates.
func (t *topics) missing(req *kmsg.MetadataRequest) []string {
	if !t.autoCreate || (req.Version >= 4 && !req.AllowAutoTopicCreation) {
		return nil
	}
	var names []string
	img := t.catalog.Image()
	for _, asked := range req.Topics {
		if asked.Topic == nil || asked.TopicID != [16]byte{} {
			continue
		}
		if _, known := img.ByName[*asked.Topic]; !known && legalTopicName(*asked.Topic) == nil {
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
	img := t.catalog.Image()
	resp.ClusterID = kmsg.StringPtr(img.ClusterID)
	resp.ControllerID = t.nodeID
	resp.AuthorizedOperations = operations(req.IncludeClusterAuthorizedOperations, clusterOperations)
	if req.Topics == nil || (req.Version == 0 && len(req.Topics) == 0) {
		for _, known := range img.ByName {
			resp.Topics = append(resp.Topics, t.topic(req, known))
		}
		return resp
	}
	for _, asked := range req.Topics {
		resp.Topics = append(resp.Topics, t.asked(req, img, asked))
	}
	return resp
}

func (t *topics) asked(req *kmsg.MetadataRequest, img *cluster.Image, asked kmsg.MetadataRequestTopic) kmsg.MetadataResponseTopic {
	if asked.TopicID != [16]byte{} {
		if known, ok := img.ByID[asked.TopicID]; ok {
			return t.topic(req, known)
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
	if known, ok := img.ByName[*asked.Topic]; ok {
		return t.topic(req, known)
	}
	out.ErrorCode = kerr.UnknownTopicOrPartition.Code
	if legalTopicName(*asked.Topic) != nil {
		out.ErrorCode = kerr.InvalidTopicException.Code
	}
	return out
}

func (t *topics) topic(req *kmsg.MetadataRequest, known cluster.Topic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = kmsg.StringPtr(known.Name), known.ID, known.Internal()
	out.AuthorizedOperations = operations(req.IncludeTopicAuthorizedOperations, topicOperations)
	for i := range known.Partitions {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.LeaderEpoch = i, t.nodeID, t.leaderEpoch
		p.Replicas, p.ISR = []int32{t.nodeID}, []int32{t.nodeID}
		out.Partitions = append(out.Partitions, p)
	}
	return out
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
