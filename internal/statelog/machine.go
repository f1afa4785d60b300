// Package statelog runs pure state machines on partitions. A [Machine] holds rules and state: it
// reads no clock, draws no randomness, starts nothing and logs nothing. A [Runner] owns one
// machine and one partition: it replays the log into the machine, steps it with requests and
// timers, appends the records that a step decided, applies them in order and releases the
// replies once everything they saw is durable.
//
// Invariants: only [Machine.Apply] changes durable state, live and on load alike. A reply never
// leaves before the records its step saw are durable. When an append fails the machine is
// dropped, waiting callers are told that the coordinator moved, and the log is replayed: there
// is no rollback.
package statelog

import (
	"iter"
	"time"
)

// Record is one key and value of a state partition; a nil Value is a tombstone.
type Record struct {
	Key, Value []byte
	// TimestampMs is when the record was written, in milliseconds since 1970. The runner sets it
	// on the way in; Apply sees it on the way back.
	TimestampMs int64
	// Transaction is set on a record that a producer wrote in a transaction, and on the marker that ended one.
	Transaction *Transaction
}

// Transaction says whose transaction a record belongs to. Its records lie in batches of that
// producer, its marker in a control batch, as Kafka keeps them.
type Transaction struct {
	ProducerID    int64
	ProducerEpoch int16
	// Ended is set on the marker, a record without a key and value of its own.
	Ended *Marker
}

// Marker ends a transaction.
type Marker struct {
	Commit           bool
	CoordinatorEpoch int32
}

// Ticket names one caller that waits for a reply. It is unique in a runner's life.
type Ticket uint64

// Input is what a step may know of the world.
type Input struct {
	Now    time.Time
	Ticket Ticket
	NewID  func() [16]byte // fresh random ids
}

// Reply answers one waiting caller.
type Reply struct {
	To       Ticket
	Response any
	Err      error
}

// Timer asks for Machine.Timeout with Key at At; a later timer of the same key replaces it and a
// zero At cancels it.
type Timer struct {
	Key string
	At  time.Time
}

// Call is work that a step wants done elsewhere. Whoever runs the machine knows its kinds and hands
// the outcome back as a step. A call may get lost in a crash: Loaded asks again for what is due.
type Call any

// Effects is everything a step decided, as plain data.
type Effects struct {
	Records []Record // appended together, then applied in order
	Replies []Reply
	Timers  []Timer
	Calls   []Call   // work elsewhere, begun once the records are durable
	Notes   []string // for the operator's log: why something happened
}

// Machine is a pure state machine over one partition.
type Machine interface {
	// Apply folds one record in. It is the only code that changes durable state. It may keep the
	// value but not the key.
	Apply(r Record) error
	// Loaded runs once after replay: set the timers again.
	Loaded(in Input) Effects
	// Timeout runs when the timer of key is due.
	Timeout(in Input, key string) Effects
	// Records rebuilds this state: for rewriting the log, and to check Apply.
	Records() iter.Seq[Record]
}
