package node

import (
	"context"
	"errors"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/api"
	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// catalog shows the cluster's metadata to the handlers, and drops the bytes of deleted topics.
type catalog struct {
	*cluster.Catalog
	set               *topic.Set
	defaultPartitions int32
	logger            *slog.Logger
}

func seen(t cluster.Topic) api.Topic {
	return api.Topic{ID: t.ID, Name: t.Name, Partitions: t.Partitions}
}

func (c *catalog) ClusterID() string { return c.Image().ClusterID }

func (c *catalog) Topics() []api.Topic {
	img := c.Image()
	all := make([]api.Topic, 0, len(img.ByName))
	for _, t := range img.ByName {
		all = append(all, seen(t))
	}
	return all
}

func (c *catalog) ByName(name string) (api.Topic, bool) {
	t, ok := c.Image().ByName[name]
	return seen(t), ok
}

func (c *catalog) ByID(id [16]byte) (api.Topic, bool) {
	t, ok := c.Image().ByID[id]
	return seen(t), ok
}

func (c *catalog) CreateTopics(ctx context.Context, req *kmsg.CreateTopicsRequest) (*kmsg.CreateTopicsResponse, error) {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	named := map[string]int{}
	for _, t := range req.Topics {
		named[t.Topic]++
	}
	for _, t := range req.Topics {
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic, out.NumPartitions, out.ReplicationFactor = t.Topic, -1, -1
		made, err := c.create(ctx, t, named[t.Topic] > 1, req.ValidateOnly)
		if err != nil {
			var refused *kerr.Error
			if !errors.As(err, &refused) {
				return nil, err
			}
			text := refused.Description
			out.ErrorCode, out.ErrorMessage = refused.Code, &text
		} else {
			out.TopicID, out.NumPartitions, out.ReplicationFactor = made.ID, made.Partitions, 1
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

func (c *catalog) create(ctx context.Context, t kmsg.CreateTopicsRequestTopic, twice, validateOnly bool) (cluster.Topic, error) {
	partitions := t.NumPartitions
	switch {
	case twice:
		return cluster.Topic{}, kerr.InvalidRequest
	case !api.LegalTopicName(t.Topic):
		return cluster.Topic{}, kerr.InvalidTopicException
	case len(t.Configs) > 0:
		return cluster.Topic{}, kerr.InvalidConfig
	case len(t.ReplicaAssignment) > 0:
		partitions = int32(len(t.ReplicaAssignment))
	case t.ReplicationFactor != -1 && t.ReplicationFactor != 1:
		return cluster.Topic{}, kerr.InvalidReplicationFactor
	case partitions == -1:
		partitions = c.defaultPartitions
	}
	made, err := c.CreateTopic(ctx, t.Topic, partitions, validateOnly)
	switch {
	case errors.Is(err, cluster.ErrExists):
		return made, kerr.TopicAlreadyExists
	case errors.Is(err, cluster.ErrInvalidPartitions):
		return made, kerr.InvalidPartitions
	}
	return made, err
}

func (c *catalog) DeleteTopics(ctx context.Context, req *kmsg.DeleteTopicsRequest) (*kmsg.DeleteTopicsResponse, error) {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	asked := req.Topics
	for _, name := range req.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		asked = append(asked, t)
	}
	for _, t := range asked {
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		id, unknown := t.TopicID, kerr.UnknownTopicID
		if t.Topic != nil {
			known, _ := c.ByName(*t.Topic)
			id, unknown = known.ID, kerr.UnknownTopicOrPartition
		}
		gone, err := c.DeleteTopic(ctx, id)
		switch {
		case errors.Is(err, cluster.ErrUnknown):
			out.ErrorCode, out.ErrorMessage = unknown.Code, kmsg.StringPtr(unknown.Description)
		case err != nil:
			return nil, err
		default:
			out.Topic, out.TopicID = kmsg.StringPtr(gone.Name), gone.ID
			c.dropBytes(ctx, gone)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, nil
}

// dropBytes frees a deleted topic. What fails here is freed at the next start.
func (c *catalog) dropBytes(ctx context.Context, t cluster.Topic) {
	for i := range t.Partitions {
		if err := c.set.Drop(ctx, storage.Partition{Topic: t.ID, Index: i}); err != nil {
			c.logger.Warn("could not free a deleted partition; the next start will", "topic", t.Name, "partition", i, "error", err)
		}
	}
}

// dropOrphans frees partitions whose topic was deleted before a crash.
func (c *catalog) dropOrphans(ctx context.Context, store storage.Store) error {
	img := c.Image()
	for p, err := range store.Partitions(ctx) {
		if err != nil {
			return err
		}
		if _, known := img.ByID[p.Topic]; known || cluster.Internal(p) {
			continue
		}
		if err := store.Delete(ctx, p); err != nil {
			return err
		}
	}
	return nil
}
