package cluster

import (
	"context"
	"fmt"

	"kelp/internal/storage"
)

// open takes the metadata partition over and folds in what it holds.
func (c *Catalog) open(ctx context.Context) error {
	log, err := c.store.Open(ctx, partition, storage.OpenOptions{Vital: true})
	if err != nil {
		return err
	}
	c.log = log
	img := &Image{ByName: map[string]Topic{}, ByID: map[[16]byte]Topic{}, static: c.static, refuse: c.refuse}
	if err := c.replay(ctx, img); err != nil {
		return fmt.Errorf("replay cluster metadata: %w", err)
	}
	c.image.Store(img)
	return nil
}

// Revive is called every second or so. A change that storage did not take ends the log, and it is
// not known whether the change is there: the metadata is replayed once storage works again. Until
// then images are as before and changes are refused.
func (c *Catalog) Revive(ctx context.Context) (revived bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil {
		return false, nil
	}
	if err := c.open(ctx); err != nil {
		return false, fmt.Errorf("cluster metadata: %w", err)
	}
	c.failed = nil
	return true, nil
}
