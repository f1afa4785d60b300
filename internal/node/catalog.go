package node

import (
	"context"
	"log/slog"

	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// keeper looks after the bytes of topics: it frees those of deleted ones and cleans the others.
type keeper struct {
	catalog *cluster.Catalog
	set     *topic.Set
	logger  *slog.Logger
}

// drop frees a deleted topic. What fails here is freed at the next start.
func (k *keeper) drop(ctx context.Context, t cluster.Topic) {
	for i := range t.Partitions {
		if err := k.set.Drop(ctx, storage.Partition{Topic: t.ID, Index: i}); err != nil {
			k.logger.Warn("could not free a deleted partition; the next start will", "topic", t.Name, "partition", i, "error", err)
		}
	}
}

// dropOrphans frees partitions whose topic was deleted before a crash.
func (k *keeper) dropOrphans(ctx context.Context, store storage.Store) error {
	img := k.catalog.Image()
	for p, err := range store.Partitions(ctx) {
		if err != nil {
			return err
		}
		if _, known := img.ByID[p.Topic]; known || cluster.Reserved(p) {
			continue
		}
		if err := store.Delete(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// clean applies retention everywhere.
func (k *keeper) clean(ctx context.Context) {
	for _, t := range k.catalog.Image().ByName {
		for i := range t.Partitions {
			p, err := k.set.Get(ctx, storage.Partition{Topic: t.ID, Index: i})
			if err == nil {
				err = p.Clean(ctx)
			}
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				k.logger.Warn("could not clean a partition", "topic", t.Name, "partition", i, "error", err)
			}
		}
	}
}
