package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
	"kelp/internal/storage"
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
		var once []kmsg.CreateTopicsRequestTopic
		for _, asked := range req.Topics {
			if named[asked.Topic] == 1 {
				once = append(once, asked)
			}
		}
		made, errs := t.create(ctx, once, req.ValidateOnly)
		next := 0
		for _, asked := range req.Topics {
			switch named[asked.Topic] {
			case 0: // answered already
			case 1:
				resp.Topics = append(resp.Topics, t.created(asked.Topic, made[next], errs[next]))
				next++
			default:
				resp.Topics = append(resp.Topics, t.created(asked.Topic, cluster.Topic{}, refuse(kerr.InvalidRequest, "duplicate topic name")))
				named[asked.Topic] = 0
			}
		}
		return resp, nil
	})
}

func (t *topics) created(name string, made cluster.Topic, err error) kmsg.CreateTopicsResponseTopic {
	out := kmsg.NewCreateTopicsResponseTopic()
	out.Topic, out.NumPartitions, out.ReplicationFactor = name, -1, -1
	if err != nil {
		out.ErrorCode, out.ErrorMessage = codeOf(err)
		out.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
		return out
	}
	out.TopicID, out.NumPartitions, out.ReplicationFactor = made.ID, made.Partitions, 1
	out.Configs = t.createdConfigs(made)
	return out
}

// create makes topics, each by itself, and opens their partitions, so that the first requests for them
// do not wait for that one after the other.
func (t *topics) create(
	ctx context.Context, asked []kmsg.CreateTopicsRequestTopic, validateOnly bool,
) (made []cluster.Topic, errs []error) {
	made, errs = make([]cluster.Topic, len(asked)), make([]error, len(asked))
	var legal []cluster.Topic
	var places []int
	for i, a := range asked {
		topic, err := t.wanted(a)
		if err != nil {
			errs[i] = err
			continue
		}
		legal, places = append(legal, topic), append(places, i)
	}
	results, failures := t.catalog.CreateTopics(ctx, legal, validateOnly)
	var opened []storage.Partition
	for i, at := range places {
		made[at], errs[at] = results[i], failures[i]
		if failures[i] == nil && !validateOnly {
			for p := range results[i].Partitions {
				opened = append(opened, partitionOf(results[i], p))
			}
		}
	}
	t.warm(ctx, opened)
	return made, errs
}

// wanted is the topic that a request describes.
func (t *topics) wanted(asked kmsg.CreateTopicsRequestTopic) (cluster.Topic, error) {
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
	return cluster.Topic{Name: asked.Topic, Partitions: partitions, Configs: configs}, nil
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
