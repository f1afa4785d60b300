package node

import (
	"context"
	"time"

	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// upkeepEvery is how often failed partitions and due checkpoints are looked for.
const upkeepEvery = time.Second

// openTopics frees what no topic owns any more and starts what looks after partitions.
func (n *Node) openTopics(ctx context.Context, p parts, metadata *cluster.Catalog) (*topic.Set, *keeper, error) {
	n.topics = topic.NewSet(n.store, func(id storage.Partition) topic.Options {
		return topic.Options{
			Epoch: leaderEpoch(n.store), State: cluster.Reserved(id),
			Now: time.Now, ProducerExpirationMs: p.o.Limits.ProducerExpiration.Milliseconds(),
			MaxProducers: p.o.Limits.Producers, Note: p.logger.Warn,
			Config: func() *cluster.TopicConfig { return metadata.Image().ConfigOf(id.Topic) },
		}
	})
	n.topics.Limit(topic.Limits{Producers: p.o.Limits.TotalProducers, Aborted: p.o.Limits.AbortedTransactions})
	n.countRemembered(p.metrics)
	keep := &keeper{catalog: metadata, set: n.topics, logger: p.logger}
	if err := keep.dropOrphans(ctx, n.store); err != nil {
		return nil, nil, err
	}
	n.wg.Go(func() { n.topics.Warm(n.life, partitionsOf(metadata.Image())) })
	n.wg.Go(func() { n.every(p.o.Limits.RetentionCheck, func() { keep.clean(n.life) }) })
	n.wg.Go(func() { n.every(upkeepEvery, func() { keep.tend(n.life) }) })
	if p.o.Cleaner.Enabled {
		c := topic.NewCleaner(n.topics, topic.CleanerOptions{
			DedupeBytes: p.o.Cleaner.DedupeBytes, BytesPerSecond: p.o.Cleaner.BytesPerSecond, Metrics: p.metrics, Note: p.logger.Warn,
		})
		n.wg.Go(func() { n.every(p.o.Cleaner.Backoff, func() { c.Run(n.life) }) })
	}
	return n.topics, keep, nil
}

// partitionsOf lists the partitions of all topics that clients write to.
func partitionsOf(img *cluster.Image) []storage.Partition {
	var all []storage.Partition
	for _, t := range img.ByName {
		for i := range t.Partitions {
			if id := (storage.Partition{Topic: t.ID, Index: i}); !cluster.Reserved(id) {
				all = append(all, id)
			}
		}
	}
	return all
}

// every does something again and again until the node is closed.
func (n *Node) every(interval time.Duration, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-n.life.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

// tend keeps partitions working and quick to open. What fails is tried again next time.
func (k *keeper) tend(ctx context.Context) {
	revived, err := k.catalog.Revive(ctx)
	if err != nil && ctx.Err() == nil {
		k.logger.Warn("the metadata cannot be changed yet", "error", err)
	}
	if revived {
		k.logger.Info("the metadata can be changed again")
	}
	if err := k.set.Upkeep(ctx); err != nil && ctx.Err() == nil {
		k.logger.Warn("some partitions need attention", "error", err)
	}
}
