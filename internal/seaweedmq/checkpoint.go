package seaweedmq

import (
	"context"
	"time"

	"kelp/internal/seaweed/mq"
)

// Checkpoint is how far a partition is in the filer, and where there to look for more.
type Checkpoint struct {
	// Next is the first offset that is not known to be in the filer.
	Next int64 `json:"-"`
	// Topic is the id of the topic, in hex: one that was deleted and made again is another.
	Topic string `json:"topic"`
	Mode  Mode   `json:"mode"`
	// GenerationNs is the generation of SeaweedMQ's topic. Another one is empty.
	GenerationNs int64       `json:"generation"`
	Position     mq.Position `json:"position"`
	// StampNs is the largest timestamp before Position.
	StampNs int64 `json:"stamp"`
}

// Checkpoints keeps them, durably.
type Checkpoints interface {
	// Load gives the checkpoint of a partition; found is false where there is none.
	Load(ctx context.Context, topic string, partition int32) (c Checkpoint, found bool, err error)
	Save(ctx context.Context, topic string, partition int32, c Checkpoint) error
}

// refreshAfter is when a checkpoint that does not move is saved again, so that it does not expire as the
// offsets of an idle consumer group do.
const refreshAfter = 12 * time.Hour
