package node

import (
	"context"
	"fmt"

	"kelp/internal/cluster"
	"kelp/internal/group"
	"kelp/internal/statelog"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// openGroups replays the consumer groups and starts their machine.
func (n *Node) openGroups(ctx context.Context, p parts, metadata *cluster.Catalog, set *topic.Set) error {
	limits := group.Defaults()
	limits.MaxSize, limits.InitialRebalanceDelay = p.o.Limits.GroupMembers, p.o.Limits.GroupDelay
	var err error
	n.groups, err = statelog.Open(ctx, statelog.Options[*group.Machine]{
		Log:   stateLog(metadata, set, cluster.ConsumerOffsets),
		Fresh: func() *group.Machine { return group.New(limits) }, Note: func(text string) { p.logger.Info(text) },
	})
	if err != nil {
		return fmt.Errorf("consumer groups: %w", err)
	}
	return nil
}

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
