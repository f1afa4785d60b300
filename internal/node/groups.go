package node

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"time"

	"kelp/internal/cluster"
	"kelp/internal/config"
	"kelp/internal/group"
	"kelp/internal/statelog"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// openGroups replays the consumer groups and starts their machine.
func (n *Node) openGroups(ctx context.Context, p parts, metadata *cluster.Catalog, set *topic.Set) error {
	limits := groupOptions(p.o, metadata)
	var err error
	n.groups, err = statelog.Open(ctx, statelog.Options[*group.Machine]{
		Log:   stateLog(metadata, set, cluster.ConsumerOffsets),
		Fresh: func() *group.Machine { return group.New(limits) }, Note: func(text string) { p.logger.Info(text) },
	})
	if err != nil {
		return fmt.Errorf("consumer groups: %w", err)
	}
	return p.metrics.Register(&groupMetrics{n.groups, metadata, set})
}

// groupOptions are the limits and settings of groups.
func groupOptions(o config.Config, metadata *cluster.Catalog) group.Options {
	g := group.Defaults()
	g.MaxSize, g.InitialRebalanceDelay = o.Limits.GroupMembers, o.Limits.GroupDelay
	img := metadata.Image() // what follows is given at start and stays
	ms := func(name string) time.Duration { return time.Duration(img.CoordinatorNumber(name)) * time.Millisecond }
	g.MinSessionTimeoutMs = int32(img.CoordinatorNumber("group.min.session.timeout.ms"))
	g.MaxSessionTimeoutMs = int32(img.CoordinatorNumber("group.max.session.timeout.ms"))
	g.MaxMetadataBytes = img.CoordinatorNumber("offset.metadata.max.bytes")
	g.OffsetsRetention = time.Duration(img.CoordinatorNumber("offsets.retention.minutes")) * time.Minute
	g.OffsetsRetentionCheck = ms("offsets.retention.check.interval.ms")
	g.ConsumerMaxSize = img.CoordinatorNumber("group.consumer.max.size")
	assignors, _ := img.Coordinator("group.consumer.assignors")
	g.Assignors = cluster.SplitList(assignors)
	policy, _ := img.Coordinator("group.consumer.migration.policy")
	g.Migration = group.Migration(policy)
	g.Topics = func() group.Topics { return groupTopics{metadata.Image()} }
	g.Settings = func(id string) group.Settings {
		img := metadata.Image()
		number := func(name string) time.Duration { return time.Duration(img.GroupNumber(id, name)) * time.Millisecond }
		return group.Settings{
			SessionTimeout: number("consumer.session.timeout.ms"), HeartbeatInterval: number("consumer.heartbeat.interval.ms"),
			AssignmentInterval: number("consumer.assignment.interval.ms"),
		}
	}
	return g
}

// groupTopics shows an image to groups.
type groupTopics struct{ img *cluster.Image }

func (t groupTopics) ByName(name string) (group.Topic, bool) {
	known, ok := t.img.ByName[name]
	return group.Topic{ID: known.ID, Name: known.Name, Partitions: known.Partitions}, ok
}

func (t groupTopics) ByID(id [16]byte) (group.Topic, bool) {
	known, ok := t.img.ByID[id]
	return group.Topic{ID: known.ID, Name: known.Name, Partitions: known.Partitions}, ok
}

func (t groupTopics) Names() iter.Seq[string] { return maps.Keys(t.img.ByName) }

// stateLog opens the partition of a state topic for the machine that writes it. One that already
// has records is shown from now on; an unused one waits for its first use.
func stateLog(metadata *cluster.Catalog, set *topic.Set, s cluster.StateTopic) func(context.Context) (storage.Log, error) {
	return func(ctx context.Context) (storage.Log, error) {
		log, err := set.Own(ctx, s.Partition())
		if err != nil {
			return nil, err
		}
		if _, end := log.Bounds(); end > 0 {
			err = metadata.Show(ctx, s)
		}
		return log, err
	}
}

// dropped frees a deleted topic and lets the groups forget its offsets.
func (n *Node) dropped(keep *keeper) func(context.Context, cluster.Topic) {
	return func(ctx context.Context, t cluster.Topic) {
		keep.drop(ctx, t)
		forgotten := n.groups.Submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.TopicDeleted(in, t.Name) })
		if _, err := forgotten.Wait(ctx); err != nil {
			keep.logger.Warn("offsets of a deleted topic stay until they expire", "topic", t.Name, "error", err)
		}
	}
}
