// Package group is the rules of consumer groups: the classic protocol (join, sync, heartbeat,
// leave), the consumer protocol (KIP-848), the way of a group from one to the other, committed
// offsets, and their administration. It is a pure machine: requests and timeouts in; records,
// replies, timers and notes out. It has no clock, lock, goroutine or logger.
//
// Durable are a group's members and assignment, from the moment the leader gave it, and offsets, in
// the record formats of Kafka's __consumer_offsets: after a restart members go on where they were.
// Soft are joins and syncs that wait: after a restart they are asked again.
//
// Invariants: a generation has one leader, and its members are exactly those that answered its
// join. Every ticket of a waiting join or sync is answered once. In a consumer group no partition is
// given to a member before the one that had it has given it up or is out.
package group

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group/assign"
	"kelp/internal/statelog"
)

// Options are the limits of groups, named as Kafka names them.
type Options struct {
	InitialRebalanceDelay time.Duration // group.initial.rebalance.delay.ms
	MinSessionTimeoutMs   int32         // group.min.session.timeout.ms
	MaxSessionTimeoutMs   int32         // group.max.session.timeout.ms
	MaxSize               int           // group.max.size
	MaxMetadataBytes      int           // offset.metadata.max.bytes
	OffsetsRetention      time.Duration // offsets.retention.minutes
	OffsetsRetentionCheck time.Duration // offsets.retention.check.interval.ms
	ConsumerMaxSize       int           // group.consumer.max.size
	Assignors             []string      // group.consumer.assignors, the first is the default
	Migration             Migration     // group.consumer.migration.policy
	// Topics gives the topics as they are now.
	Topics func() Topics
	// Settings are those of a group of the consumer protocol: its own, or the broker's.
	Settings func(group string) Settings
}

// Settings are the configs of one group of the consumer protocol, without their prefix consumer.
type Settings struct {
	SessionTimeout     time.Duration // session.timeout.ms
	HeartbeatInterval  time.Duration // heartbeat.interval.ms
	AssignmentInterval time.Duration // assignment.interval.ms
}

// Defaults are Kafka's, with a bound on the size of a group.
func Defaults() Options {
	return Options{
		InitialRebalanceDelay: 3 * time.Second, MinSessionTimeoutMs: 6000, MaxSessionTimeoutMs: 1_800_000,
		MaxSize: 10_000, MaxMetadataBytes: 4096,
		OffsetsRetention: 7 * 24 * time.Hour, OffsetsRetentionCheck: 10 * time.Minute,
		ConsumerMaxSize: 10_000, Assignors: []string{assign.UniformName, assign.RangeName}, Migration: MigrateBoth,
		Topics: func() Topics { return noTopics{} },
		Settings: func(string) Settings {
			return Settings{SessionTimeout: 45 * time.Second, HeartbeatInterval: 5 * time.Second}
		},
	}
}

// Machine holds the groups of one coordinator partition.
type Machine struct {
	o         Options
	groups    map[string]*group                // with the soft state
	saved     map[string][]byte                // classic groups as their records have them: groupRecord
	consumers map[string]*consumerGroup        // those of the consumer protocol; no id is in groups as well
	offsets   map[string]map[partition]*offset // by group

	counted     counts               // since the machine was loaded
	rebalancing map[string]time.Time // soft: since when a group rebalances
	spare       []assign.Member      // room for what the next assignment is made of

	txns       map[int64]*openTxn // by producer id
	applied    uint64             // records of offsets so far: which of two is the newer one
	markers    uint64             // markers so far
	ended      map[int64]uint64   // by producer id, the number of its newest marker
	endedFloor uint64             // guards from before are too old to tell
}

// New makes an empty machine.
func New(o Options) *Machine {
	return &Machine{
		o: o, groups: map[string]*group{}, saved: map[string][]byte{}, consumers: map[string]*consumerGroup{},
		offsets: map[string]map[partition]*offset{}, rebalancing: map[string]time.Time{},
		txns: map[int64]*openTxn{}, ended: map[int64]uint64{},
		counted: counts{took: statelog.NewDurations(rebalanceBounds...)},
	}
}

// phase is the state of a group; its text is Kafka's.
type phase string

const (
	empty      phase = "Empty"
	preparing  phase = "PreparingRebalance"  // waiting for every member to join
	completing phase = "CompletingRebalance" // waiting for the leader's assignment
	stable     phase = "Stable"
)

// consumerProtocol is the protocol type of consumers, whose metadata we can read.
const consumerProtocol = "consumer"

type group struct {
	id           string
	phase        phase
	since        time.Time // the phase began
	generation   int32
	protocolType string
	protocol     string
	leader       string
	members      map[string]*member
	pending      map[string]bool   // ids given out, not yet joined with (KIP-394)
	instances    map[string]string // static members (KIP-345): instance to member id
	delayed      bool              // the initial rebalance delay is running
	grown        bool              // somebody came during it
	delayLeft    time.Duration     // by how much it may still be prolonged
}

type member struct {
	id, clientID, host string
	instance           *string
	session            time.Duration
	rebalance          time.Duration
	protocols          []kmsg.JoinGroupRequestProtocol
	bytes              int             // of protocols
	join, sync         statelog.Ticket // waiting, zero when not
	joinReq            *kmsg.JoinGroupRequest
	syncReq            *kmsg.SyncGroupRequest
	synced             bool // in this generation
	assignment         []byte
}

// Client is who sent a request.
type Client struct{ ID, Host string }

// Loaded implements statelog.Machine: members have a whole session to come back.
func (m *Machine) Loaded(in statelog.Input) statelog.Effects {
	var e statelog.Effects
	for id, value := range m.saved {
		saved, _ := readGroup(value) // was read by Apply
		g := saved.group(id)
		m.groups[id] = g
		for _, mb := range g.members {
			m.arm(&e, in, g, mb)
		}
		if len(g.members) > 0 && g.leader == "" {
			m.rebalance(&e, in, g, "it rebalanced when the server stopped")
		}
	}
	m.loadConsumers(&e, in)
	m.armExpiry(&e, in)
	return e
}

// Timeout implements statelog.Machine.
func (m *Machine) Timeout(in statelog.Input, key string) statelog.Effects {
	var e statelog.Effects
	what, memberID, groupID := parseKey(key)
	if what == "expire" {
		m.expire(&e, in)
		m.armExpiry(&e, in)
		return e
	}
	switch what {
	case timerAlive, timerRevoke, timerRejoin, timerResync:
		m.consumerTimeout(&e, in, what, memberID, groupID)
		return e
	}
	g := m.groups[groupID]
	if g == nil {
		return e
	}
	switch what {
	case "join":
		m.joinDue(&e, in, g)
	case "sync":
		m.syncDue(&e, in, g)
	case "session":
		if mb := g.members[memberID]; mb != nil && mb.join == 0 {
			m.remove(&e, g, memberID)
			m.rebalance(&e, in, g, fmt.Sprintf("member %s was silent for %s", memberID, mb.session))
		}
		if g.pending[memberID] {
			delete(g.pending, memberID)
			m.completeIfAll(&e, in, g)
		}
	}
	return e
}

// Records implements statelog.Machine.
func (m *Machine) Records() iter.Seq[statelog.Record] {
	return func(yield func(statelog.Record) bool) {
		for id, value := range m.saved {
			if !yield(statelog.Record{Key: groupKey(id), Value: value}) {
				return
			}
		}
		if !m.pendingRecords(true, yield) {
			return
		}
		for _, g := range m.consumers {
			for _, r := range g.records() {
				if !yield(r) {
					return
				}
			}
		}
		for id, offsets := range m.offsets {
			for p, o := range offsets {
				if !yield(o.record(id, p)) {
					return
				}
			}
		}
		m.pendingRecords(false, yield)
	}
}

func (g *group) sorted() []*member {
	out := make([]*member, 0, len(g.members))
	for _, mb := range g.members {
		out = append(out, mb)
	}
	slices.SortFunc(out, func(a, b *member) int { return strings.Compare(a.id, b.id) })
	return out
}

func (g *group) enter(p phase, in statelog.Input) { g.phase, g.since = p, in.Now }

// A timer's key is what, a space, the length of the member id, a slash, the member id and the
// group id: clients choose both ids, so no character can part them.
func timerKey(what, memberID, groupID string) string {
	return what + " " + strconv.Itoa(len(memberID)) + "/" + memberID + groupID
}

func parseKey(key string) (what, memberID, groupID string) {
	what, rest, _ := strings.Cut(key, " ")
	size, ids, _ := strings.Cut(rest, "/")
	n, err := strconv.Atoi(size)
	if err != nil || n > len(ids) {
		panic("group: a timer key of another kind: " + key)
	}
	return what, ids[:n], ids[n:]
}

func sessionKey(g *group, id string) string { return timerKey("session", id, g.id) }
func joinKey(g *group) string               { return timerKey("join", "", g.id) }
func syncKey(g *group) string               { return timerKey("sync", "", g.id) }

func (m *Machine) arm(e *statelog.Effects, in statelog.Input, g *group, mb *member) {
	e.Timers = append(e.Timers, statelog.Timer{Key: sessionKey(g, mb.id), At: in.Now.Add(mb.session)})
}

func cancel(e *statelog.Effects, key string) {
	e.Timers = append(e.Timers, statelog.Timer{Key: key})
}

func reply(e *statelog.Effects, to statelog.Ticket, resp kmsg.Response) {
	e.Replies = append(e.Replies, statelog.Reply{To: to, Response: resp})
}
