// Package txn is the rules of transactions: producer ids of transactional ids and their epochs, what
// belongs to an open transaction, how it ends, and the markers that say so in every partition. It
// is a pure machine: requests and timeouts in; records, replies, timers, calls and notes out. It has
// no clock, lock, goroutine or logger.
//
// Durable is what Kafka keeps in __transaction_state, in its formats. Soft are requests that wait
// for the markers of the transaction before theirs, and the last epoch of a producer, which Kafka
// does not keep either.
//
// Invariants: the decision to commit or abort is durable before the first marker leaves, and the
// transaction is complete only after every partition has its marker, whatever crashes in between.
// A producer id and epoch belong to one transaction at a time; one that was fenced never comes back.
package txn

import (
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/statelog"
)

// Options are the limits of transactions, named as Kafka names them.
type Options struct {
	MaxTimeoutMs      int32         // transaction.max.timeout.ms
	AbortCheck        time.Duration // transaction.abort.timed.out.transaction.cleanup.interval.ms
	IDExpiration      time.Duration // transactional.id.expiration.ms
	IDExpirationCheck time.Duration // transaction.remove.expired.transaction.cleanup.interval.ms
	// HoldFor is how long a request waits for the markers of the transaction before its own
	// (add.partitions.to.txn.retry.backoff.max.ms), at most MaxHeld of them for one id; then it is told to try again.
	HoldFor time.Duration
	MaxHeld int
	MaxIDs  int // transactional ids that are remembered; a new one beyond them is refused
}

// Defaults are Kafka's.
func Defaults() Options {
	return Options{
		MaxTimeoutMs: 900_000, AbortCheck: 10 * time.Second, IDExpiration: 7 * 24 * time.Hour, IDExpirationCheck: time.Hour,
		HoldFor: 100 * time.Millisecond, MaxHeld: 64, MaxIDs: 1_000_000,
	}
}

// epochBumped is the level of transaction.version from which every end of a transaction bumps the
// epoch (KIP-890), recordsFlexible the one from which records can hold more than Kafka 0.11 knew.
const (
	recordsFlexible = 1
	epochBumped     = 2
)

// maxEpoch is never given to a client: it is left for fencing the last one that is.
const maxEpoch = 1<<15 - 1

// exhausted reports an epoch after which a producer needs a new id.
func exhausted(epoch int16) bool { return epoch >= maxEpoch-1 }

// ErrNeedsProducerID answers a step that cannot go on without a fresh producer id: ask again with one.
var ErrNeedsProducerID = &kerr.Error{Message: "NEEDS_PRODUCER_ID", Code: kerr.CoordinatorNotAvailable.Code, Retriable: true}

// Machine holds the transactions of one coordinator partition.
type Machine struct {
	o     Options
	level int16                  // of transaction.version, finalized
	byID  map[string]transaction // what the records say
	soft  map[string]*soft

	counted Stats // since the machine was loaded
	full    bool  // whether it was said that new ids are refused
}

// soft is what is known of a transactional id beside its record.
type soft struct {
	lastEpoch int16      // the epoch before this one, when the same producer went on; else -1
	held      []addition // requests that wait for the markers
}

// New makes an empty machine; level is the finalized transaction.version.
func New(o Options, level int16) *Machine {
	return &Machine{o: o, level: level, byID: map[string]transaction{}, soft: map[string]*soft{}, counted: newStats()}
}

// SetLevel takes a new finalized transaction.version.
func (m *Machine) SetLevel(in statelog.Input, level int16) statelog.Effects {
	m.level = level
	return statelog.Effects{Replies: []statelog.Reply{{To: in.Ticket}}}
}

// State is where a transaction stands; its text is Kafka's and its number the one in the record.
type State int8

// The states.
const (
	Empty State = iota
	Ongoing
	PrepareCommit
	PrepareAbort
	CompleteCommit
	CompleteAbort
	Dead
	PrepareEpochFence
)

var stateNames = []string{
	"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
}

func (s State) String() string { return stateNames[s] }

// prepared reports that the end is decided and markers are on their way.
func (s State) prepared() bool { return s == PrepareCommit || s == PrepareAbort }

// Partition is one partition of a topic, or of the offsets of groups.
type Partition struct {
	Topic string
	Index int32
}

func comparePartitions(a, b Partition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Index) - int(b.Index)
}

// transaction is the state of a transactional id. It is a value: a step makes the next one and
// emits it as a record. partitions is sorted and never changed in place.
type transaction struct {
	id         string
	producerID int64
	previousID int64 // the producer id before the last step; another one only when it was rotated
	nextID     int64 // takes over when the transaction is complete; -1: none
	epoch      int16
	timeoutMs  int32
	state      State
	partitions []Partition
	startedMs  int64 // -1: no transaction yet
	updatedMs  int64
	version    int16 // the transaction.version of whoever made the last step
}

func (t transaction) has(p Partition) bool {
	_, found := slices.BinarySearchFunc(t.partitions, p, comparePartitions)
	return found
}

// next starts the transaction that follows from t.
func (t transaction) next(s State, nowMs int64) transaction {
	t.state, t.updatedMs, t.previousID = s, nowMs, t.producerID
	return t
}

// softly gives the soft state of an id.
func (m *Machine) softly(id string) *soft {
	s := m.soft[id]
	if s == nil {
		s = &soft{lastEpoch: -1}
		m.soft[id] = s
	}
	return s
}

// Loaded implements statelog.Machine: what was prepared before is completed now.
func (m *Machine) Loaded(in statelog.Input) statelog.Effects {
	var e statelog.Effects
	for _, t := range m.sorted(func(t transaction) bool { return t.state.prepared() }) {
		e.Calls = append(e.Calls, markersOf(t))
	}
	e.Timers = append(e.Timers, m.abortTimer(in), m.expireTimer(in))
	return e
}

// sorted gives the transactions that are asked for, by id: of very many those that matter are few.
func (m *Machine) sorted(matters func(transaction) bool) []transaction {
	var some []transaction
	for _, t := range m.byID {
		if matters(t) {
			some = append(some, t)
		}
	}
	slices.SortFunc(some, func(a, b transaction) int { return strings.Compare(a.id, b.id) })
	return some
}

// Records implements statelog.Machine.
func (m *Machine) Records() iter.Seq[statelog.Record] {
	return func(yield func(statelog.Record) bool) {
		for _, t := range m.byID {
			if !yield(t.record(m.level)) {
				return
			}
		}
	}
}

// fenced is how a version says PRODUCER_FENCED: clients of before since know only the older code.
func fenced(err *kerr.Error, version, since int16) *kerr.Error {
	if err == kerr.ProducerFenced && version < since {
		return kerr.InvalidProducerEpoch
	}
	return err
}

func codeOf(err *kerr.Error) int16 {
	if err == nil {
		return 0
	}
	return err.Code
}
