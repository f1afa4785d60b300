// Package source fills topics from SeaweedMQ: what SeaweedFS's own gateway, its agent or its native
// clients have written there becomes a topic that Kafka clients read, at the same offsets.
//
// [Sources] follows the topics whose config kelp.seaweedmq.source names one and runs a follower for
// each partition. A follower reads the log files that brokers leave in the filer, since only those
// survive a broker and only their entries carry offsets, and appends to the partition's log. From then
// on the topic is like any other, but takes no records from producers; without the config it does.
//
// Offsets in SeaweedMQ have holes and repeats after a broker's crash. Holes stay holes. Of the entries
// with one offset the last written counts ([merger]), unless an earlier one is in the log already: what
// consumers may have read stays.
//
// Invariants: merger and converter are pure. An offset is appended once, in ascending order. The place
// in the log files is saved only after what was read up to there is durable.
package source

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/seaweed"
	"kelp/internal/seaweed/mq"
	"kelp/internal/storage"
)

// Limits of a follower.
const (
	lookEvery     = 500 * time.Millisecond // how often topics and their configs are looked at
	readEvery     = time.Second            // how often a partition's log files are looked at
	retryMost     = 30 * time.Second       // the longest pause after an error
	batchRecords  = 1000
	batchBytes    = 512 << 10 // of keys and values in one batch, unless one record is larger
	pendingMost   = 8         // batches that are not durable yet
	inMemoryBytes = 16 << 20  // of new entries: more are read twice
	heldBytesMost = 256 << 20 // of entries in repeated offsets
	saveIdleEvery = 3 * time.Second
	schemaKeptFor = 30 * time.Second
)

// ErrRepeats says that more of a log is repeated than can be put in order.
var ErrRepeats = errors.New("too many repeated offsets")

// Log is the partition that is filled.
type Log interface {
	Import(b []byte) (storage.Pending, error)
	End() int64
}

// Place is how far a partition was read.
type Place struct {
	Generation string `json:"generation,omitempty"`
	mq.Position
	// ReadMs is when the end of the log files was last reached.
	ReadMs   int64 `json:"readMs,omitempty"`
	Repeats  int64 `json:"repeats,omitempty"`  // entries that another one of the same offset stands for
	Skipped  int64 `json:"skipped,omitempty"`  // offsets without an entry
	Unfitted int64 `json:"unfitted,omitempty"` // values that the schema did not fit
}

// Places keeps how far partitions were read.
type Places interface {
	Load(ctx context.Context, topic string, partition int32) (Place, error) // the zero Place where there is none
	Save(ctx context.Context, topic string, partition int32, next int64, p Place) error
}

// Options of the sources.
type Options struct {
	Image     func() *cluster.Image
	Partition func(context.Context, storage.Partition) (Log, error)
	Client    *mq.Client
	// Filer connects to the filer that the brokers write to; it is asked again until it succeeds.
	Filer      func(context.Context) (*seaweed.Client, error)
	Registries schema.Registries
	Formats    map[schema.Type]schema.Format
	Places     Places
	Logger     *slog.Logger
	Now        func() time.Time
	Metrics    prometheus.Registerer
}
