// Package storage is the contract between Kelp and whatever keeps its bytes: an embedded log,
// SeaweedFS, memory, later an object store. It knows partitions, batches of bytes, offsets and
// epochs. It does not know Kafka: no group, transaction or topic name ever enters it.
//
// A [Store] holds partitions; a [Log] is one partition seen by its single owner. Appends are
// asynchronous: [Log.Append] takes a place in the order and returns a [Pending] that completes
// once the bytes are as durable as the store promises. Reads return a [Span]: stored bytes on
// their way to a client, pinned and not copied.
//
// Invariants every backend keeps, shown by package storagetest: offsets only grow; what a nil
// Wait promised is there after any crash, in order, once; nothing is readable before it is
// durable; a failed append fails every later one until the log is opened again, so that the
// order never has a hole; an older epoch can never append after a newer one was opened.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
)

// Partition names one log. Topic is the topic id (not its name), which is never used twice, so
// the bytes of a deleted topic are never taken for those of its successor.
type Partition struct {
	Topic [16]byte
	Index int32
}

// String gives the topic id in hex, a slash and the index.
func (p Partition) String() string { return fmt.Sprintf("%x/%d", p.Topic, p.Index) }

// Guarantees is what a backend declares that it keeps. The conformance suite tests a promise as
// well as its declared absence, and the API layer refuses what would need a missing one.
type Guarantees struct {
	AtomicBatch bool // a batch is stored whole or not at all
	Fencing     bool // opening a newer epoch ends the older owner, also in another process
	ByteExact   bool // bytes come back as they were given
	Durable     bool // acknowledged batches survive the process
}

// Store holds partitions. All methods may be called concurrently.
type Store interface {
	// Create makes an empty partition. Creating one that exists changes nothing. It need not wait for
	// the disk: what makes the partition durable is the first durable append to it, or Close.
	Create(ctx context.Context, p Partition) error
	// Open gives the log to its new owner and ends every owner with a smaller epoch.
	// It returns ErrNotFound for a partition that was not created and ErrFenced for an epoch
	// smaller than one opened before.
	Open(ctx context.Context, p Partition, o OpenOptions) (Log, error)
	// Delete drops the partition and gives its space back, now or later. Deleting one that does
	// not exist changes nothing. An open Log of it fails from then on with ErrNotFound.
	Delete(ctx context.Context, p Partition) error
	// Partitions yields what is really there, in any order.
	Partitions(ctx context.Context) iter.Seq2[Partition, error]
	Guarantees() Guarantees
	// Close flushes, ends all logs and returns when no goroutine of the store is left.
	Close() error
}

// Owned is implemented by stores that one process after another owns. The epoch grows with every
// owner, so it serves as the leader epoch of all partitions: who knows the owner before can tell.
type Owned interface{ Epoch() int32 }

// OpenOptions belong to one ownership of a log.
type OpenOptions struct {
	// Epoch is the owner's leader epoch. Batches appended under it are remembered with it.
	Epoch int32
	// Settings can be changed later with Log.Configure.
	Settings Settings
	// Vital says that small appends to this log may take the room that a store keeps for giving space
	// back: without them no other log can be deleted.
	Vital bool
	// Advanced, when set, is called after the end offset has moved, with the new end, from a
	// goroutine of the store and never concurrently for one log. It must not block.
	Advanced func(end int64)
}

// Settings are the per-partition policies that only the store can carry out.
type Settings struct {
	SegmentBytes int64 // a segment that has grown to this size is sealed; 0: the store's default
	SegmentMs    int64 // a segment whose first batch is older than this is sealed at the next append; 0: never
}

// Batch is one unit of appending, stored whole or not at all.
type Batch struct {
	// Base is the offset of the first record. It is at least the log's next offset; skipped
	// offsets do not exist (compacted data that is copied in). Smaller is ErrOutOfRange.
	Base int64
	// Count is how many offsets the batch takes: the next batch starts at Base+Count or later.
	Count int32
	// MaxTimestampMs is the largest record timestamp, in milliseconds since 1970, for FindTime.
	MaxTimestampMs int64
	// Bytes is what is kept. The log may read it until the Pending is done and never after;
	// the caller must not change it before that.
	Bytes []byte
	// Tail is the checksum of the end of Bytes, when the caller has just made or compared it: a store
	// that keeps the same kind need not read those bytes once more.
	Tail Tail
}

// Tail is the CRC-32C of the last so many bytes of a batch; zero bytes say nothing.
type Tail struct {
	Bytes  int
	CRC32C uint32
}

// ReadRange says what a read wants.
type ReadRange struct {
	From int64 // first offset wanted; the batch that holds it, or the first after it, comes first
	// Before bounds the read: no batch whose base is at or after it is returned. Zero or less: the log's end.
	Before   int64
	MaxBytes int // whole batches up to this many bytes
	// AtLeastOne returns the first batch even when it alone is larger than MaxBytes.
	AtLeastOne bool
}

// Log is one partition seen by its owner. Append may be called by one goroutine at a time (the
// owner orders them); everything else may be called concurrently.
type Log interface {
	// Append takes its place in the log and returns at once. After a failed append every later
	// one fails until the log is opened again; a failed fsync is never retried.
	Append(b Batch) Pending
	// Read returns whole durable batches from r.From on, as many as fit, possibly none (an empty
	// span) at the end or when the first does not fit. Outside [start, end] it is ErrOutOfRange.
	// Batches are adjacent in the span in offset order. A span may hold fewer batches than fit.
	Read(ctx context.Context, r ReadRange) (Span, error)
	// FindTime gives the base offset of the first batch whose MaxTimestampMs is at least atLeastMs,
	// ErrNotFound when there is none.
	FindTime(ctx context.Context, atLeastMs int64) (base int64, err error)
	// TrimBefore moves the start up to offset, durably, and frees what lies wholly before it.
	// The start never moves down: a smaller offset changes nothing. Past the end is ErrOutOfRange.
	TrimBefore(ctx context.Context, offset int64) error
	// Bounds gives the first offset kept and the first offset not yet durable.
	Bounds() (start, end int64)
	// Shape describes the log for retention, listings and epoch look-ups.
	Shape() Shape
	// SaveCheckpoint keeps a blob of derived state that describes everything before offset at.
	// It replaces the one before. It may be lost in a crash, never torn.
	SaveCheckpoint(ctx context.Context, at int64, blob []byte) error
	// Checkpoint returns the newest saved blob that is at or before the end, or ErrNotFound.
	Checkpoint(ctx context.Context) (at int64, blob []byte, err error)
	Configure(s Settings)
	// Close ends this ownership. Appends under way are completed first.
	Close() error
}

// Shape is a snapshot of what a log holds.
type Shape struct {
	Bytes    int64     // stored bytes of batches between start and end
	Segments []Segment // in offset order; the last one is the active one
	// Epochs lists each leader epoch that has batches or was opened, with its first offset, in order.
	Epochs []EpochStart
	// MaxTimestampMs is the largest timestamp in the log and MaxTimestampBase the base offset of
	// the first batch that has it; -1 and -1 when the log is empty.
	MaxTimestampMs   int64
	MaxTimestampBase int64
}

// Segment is a run of batches that is freed together.
type Segment struct {
	Base, End      int64 // offsets; End is the next segment's base
	Bytes          int64
	MaxTimestampMs int64
	// AppendedMs is when its last batch was appended, in the store's clock.
	AppendedMs int64
}

// EpochStart is one line of the leader epoch history (KIP-101).
type EpochStart struct {
	Epoch int32
	Start int64
}

// Pending is an append under way.
type Pending interface {
	// Wait returns nil once the batch is durable and readable. A context that ends first leaves
	// the append under way: its fate is then unknown to the caller.
	Wait(ctx context.Context) error
	// Done is closed when Wait would not block.
	Done() <-chan struct{}
}

// Notifier is implemented by a Pending that can tell of its end without a goroutine that waits.
type Notifier interface {
	// Notify calls f once, when Wait would not block: at once if that is so already, else from a
	// goroutine of the store. f must not block and must not call the store.
	Notify(f func())
}

// Span is a run of stored bytes on its way to a client: memory or sections of files, written
// without a copy where the system can (writev, sendfile). It is pinned until Release, which must
// be called once. WriteTo and Bytes may be called once each, before Release. Those who must look
// inside call Bytes; the slice is valid until Release and must not be changed.
type Span interface {
	Len() int
	WriteTo(w io.Writer) (int64, error)
	Bytes() ([]byte, error)
	Release()
}

// Buffered is implemented by spans that lie wholly in memory, so that a response's headers and
// its spans can leave in one writev.
type Buffered interface {
	// AppendBuffers adds the span's pieces in order. They are valid until Release and must not be
	// changed. It takes the place of the one call of WriteTo or Bytes.
	AppendBuffers(net.Buffers) net.Buffers
}

// Ending is implemented by spans that know where they end: the offset after their last batch, 0
// for an empty one.
type Ending interface{ End() int64 }

// Compactor is implemented by logs that can replace stored batches in place.
type Compactor interface {
	// Replace swaps everything in [from, to) for the given batches, which keep their offsets and
	// lie inside it in order. Readers see the old or the new run, a crash leaves one of them.
	Replace(ctx context.Context, from, to int64, with iter.Seq2[Batch, error]) error
}

// The errors of a store. Backends wrap them with what and which.
var (
	ErrNotFound    = errors.New("not found")
	ErrOutOfRange  = errors.New("offset out of range")
	ErrFenced      = errors.New("fenced by a newer epoch")
	ErrUnavailable = errors.New("storage unavailable")
	ErrCorrupt     = errors.New("stored data is damaged")
	ErrClosed      = errors.New("log is closed")
)
