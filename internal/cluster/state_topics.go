package cluster

import (
	"context"
	"errors"
	"fmt"

	"kelp/internal/storage"
)

// ErrState refuses to delete or grow a topic that holds the cluster's own state.
var ErrState = errors.New("the topic holds state of the cluster itself")

// StateTopic is a topic that the cluster writes for itself and that clients read like any other. Its
// id is fixed, so its partition can be opened before the topic is shown: that happens when it is
// first used, as in Kafka. Clients cannot produce to it, delete it or give it more partitions.
type StateTopic struct {
	ID       [16]byte
	Name     string
	Internal bool // shown so to clients, which then leave it out of their own lists
	Configs  Configs
}

// Partition is the one partition of a state topic.
func (s StateTopic) Partition() storage.Partition { return storage.Partition{Topic: s.ID} }

// The ids of state topics are not random, so no other topic gets them. 1 is the metadata itself.
func fixedID(n byte) [16]byte { return [16]byte{15: n} }

// The topics of the cluster's own state, with the configs that Kafka gives them.
var (
	ConsumerOffsets = StateTopic{fixedID(2), "__consumer_offsets", true, Configs{
		"cleanup.policy": "compact", "compression.type": "producer", "segment.bytes": "104857600",
	}}
	TransactionState = StateTopic{fixedID(3), "__transaction_state", true, Configs{
		"cleanup.policy": "compact", "compression.type": "uncompressed", "segment.bytes": "104857600",
	}}
	Schemas = StateTopic{fixedID(4), "_schemas", false, Configs{"cleanup.policy": "compact"}}
)

var stateTopics = []StateTopic{ConsumerOffsets, TransactionState, Schemas}

func stateTopic(is func(StateTopic) bool) (StateTopic, bool) {
	for _, s := range stateTopics {
		if is(s) {
			return s, true
		}
	}
	return StateTopic{}, false
}

// StateTopicByID finds the state topic of an id.
func StateTopicByID(id [16]byte) (StateTopic, bool) {
	return stateTopic(func(s StateTopic) bool { return s.ID == id })
}

// StateTopicByName finds the state topic of a name, shown or not.
func StateTopicByName(name string) (StateTopic, bool) {
	return stateTopic(func(s StateTopic) bool { return s.Name == name })
}

// Internal reports a topic that clients leave out of their lists, as Kafka's is_internal.
func (t Topic) Internal() bool {
	s, ok := StateTopicByID(t.ID)
	return ok && s.Internal
}

// Reserved reports a partition that belongs to the cluster itself, whether or not a topic shows it.
func Reserved(p storage.Partition) bool {
	_, state := StateTopicByID(p.Topic)
	return state || p == partition
}

// Show makes a state topic visible to clients. Again is fine.
func (c *Catalog) Show(ctx context.Context, s StateTopic) error {
	if _, shown := c.Image().ByID[s.ID]; shown {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.show(ctx, s)
}

func (c *Catalog) show(ctx context.Context, s StateTopic) error {
	img := c.Image()
	if _, shown := img.ByID[s.ID]; shown {
		return nil
	}
	if _, taken := img.ByName[s.Name]; taken {
		return fmt.Errorf("%w: %s is an ordinary topic; delete it to make room for the cluster's own", ErrExists, s.Name)
	}
	return c.change(ctx, Topic{ID: s.ID, Name: s.Name, Partitions: 1, Configs: s.Configs}.record())
}

// ConfigOf is what is in force for a topic, also for a state topic that is not shown yet; nil for
// an id that is not known.
func (img *Image) ConfigOf(id [16]byte) *TopicConfig {
	if t, ok := img.ByID[id]; ok {
		return t.Config
	}
	if s, ok := StateTopicByID(id); ok {
		return img.parse(Topic{ID: s.ID, Name: s.Name, Configs: s.Configs})
	}
	return nil
}
