package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
)

// CreateTopics: v0-7
//
// Behavior: a topic is durable before the answer names it; each topic succeeds or fails by itself.
//
// Version notes: v1 validate only. v5 answers configs. v7 topic ids.
func (t *topics) createTopics(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.CreateTopicsRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		named := map[string]int{}
		for _, asked := range req.Topics {
			named[asked.Topic]++
		}
		for _, asked := range req.Topics {
			if named[asked.Topic] == 0 {
				continue // answered already
			}
			out := kmsg.NewCreateTopicsResponseTopic()
			out.Topic, out.NumPartitions, out.ReplicationFactor = asked.Topic, -1, -1
			made, err := cluster.Topic{}, error(nil)
			if named[asked.Topic] > 1 {
				err = refuse(kerr.InvalidRequest, "duplicate topic name")
			} else {
				made, err = t.create(ctx, asked, req.ValidateOnly)
			}
			named[asked.Topic] = 0
			if err != nil {
				out.ErrorCode, out.ErrorMessage = codeOf(err)
				out.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
			} else {
				out.TopicID, out.NumPartitions, out.ReplicationFactor = made.ID, made.Partitions, 1
				out.Configs = t.createdConfigs(made)
			}
			resp.Topics = append(resp.Topics, out)
		}
		return resp, nil
	})
}

func (t *topics) create(ctx context.Context, asked kmsg.CreateTopicsRequestTopic, validateOnly bool) (cluster.Topic, error) {
	none := cluster.Topic{}
	if err := legalTopicName(asked.Topic); err != nil {
		return none, err
	}
	partitions := asked.NumPartitions
	switch {
	case len(asked.ReplicaAssignment) > 0:
		if asked.NumPartitions != -1 || asked.ReplicationFactor != -1 {
			return none, refuse(kerr.InvalidRequest, "with an assignment, partitions and replication factor must be -1")
		}
		given := map[int32][]int32{}
		for _, a := range asked.ReplicaAssignment {
			given[a.Partition] = a.Replicas
		}
		partitions = int32(len(asked.ReplicaAssignment))
		for i := range partitions {
			if err := t.checkReplicas(i, given[i]); err != nil {
				return none, err
			}
		}
	case asked.ReplicationFactor != -1 && asked.ReplicationFactor < 1:
		return none, refuse(kerr.InvalidReplicationFactor, "the replication factor must be larger than 0, or -1 for the default")
	case asked.ReplicationFactor > 1:
		return none, refuse(kerr.InvalidReplicationFactor, "replication factor %d: there is 1 broker", asked.ReplicationFactor)
	case partitions == -1:
		partitions = t.defaultPartitions
	}
	configs := cluster.Configs{}
	for _, c := range asked.Configs {
		if c.Value == nil {
			return none, refuse(kerr.InvalidConfig, "null value for %s", c.Name)
		}
		configs[c.Name] = *c.Value
	}
	return t.catalog.CreateTopic(ctx, cluster.Topic{Name: asked.Topic, Partitions: partitions, Configs: configs}, validateOnly)
}

func (t *topics) checkReplicas(partition int32, replicas []int32) error {
	if len(replicas) != 1 || replicas[0] != t.nodeID {
		return refuse(kerr.InvalidReplicaAssignment, "partition %d: the only replica can be broker %d", partition, t.nodeID)
	}
	return nil
}

func (t *topics) createdConfigs(made cluster.Topic) []kmsg.CreateTopicsResponseTopicConfig {
	img := t.catalog.Image()
	var all []kmsg.CreateTopicsResponseTopicConfig
	for _, k := range cluster.TopicKeys() {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		value, source := img.ConfigValue(made, k)
		c.Name, c.Value, c.Source = k.Name, &value, int8(source)
		all = append(all, c)
	}
	return all
}

// legalTopicName is Kafka's rule (org.apache.kafka.common.internals.Topic).
func legalTopicName(name string) error {
	switch {
	case name == "":
		return refuse(kerr.InvalidTopicException, "the topic name is empty")
	case name == "." || name == "..":
		return refuse(kerr.InvalidTopicException, "the topic name cannot be . or ..")
	case len(name) > 249:
		return refuse(kerr.InvalidTopicException, "the topic name is longer than 249 characters")
	}
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return refuse(kerr.InvalidTopicException, "the topic name %q has other characters than letters, digits, . _ and -", name)
		}
	}
	return nil
}

// refused is an error with a code of Kafka and our own words.
type refused struct {
	code *kerr.Error
	text string
}

func refuse(code *kerr.Error, format string, args ...any) error {
	return &refused{code, fmt.Sprintf(format, args...)}
}

func (r *refused) Error() string { return r.text }

func (r *refused) Unwrap() error { return r.code }

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
