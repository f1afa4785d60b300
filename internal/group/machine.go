// Package group is the rules of consumer groups: the classic protocol (join, sync, heartbeat,
// leave) and committed offsets. It is a pure machine: requests and timeouts in; records, replies
// and timers out. It has no clock, lock, goroutine or logger.
//
// Offsets are durable, in the record formats of Kafka's __consumer_offsets. Membership is soft
// state: after a restart members are told UNKNOWN_MEMBER_ID and join again.
//
// Invariants: a generation has one leader, and its members are exactly those that answered its
// join. Every ticket of a waiting join or sync is answered once.
package group

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// Options are the limits of groups, named as Kafka names them.
type Options struct {
	InitialRebalanceDelay time.Duration // group.initial.rebalance.delay.ms
	MinSessionTimeoutMs   int32         // group.min.session.timeout.ms
	MaxSessionTimeoutMs   int32         // group.max.session.timeout.ms
	MaxSize               int           // group.max.size
	MaxMetadataBytes      int           // offset.metadata.max.bytes
}

// Defaults are Kafka's, with a bound on the size of a group.
func Defaults() Options {
	return Options{
		InitialRebalanceDelay: 3 * time.Second, MinSessionTimeoutMs: 6000, MaxSessionTimeoutMs: 1_800_000,
		MaxSize: 10_000, MaxMetadataBytes: 4096,
	}
}

// Machine holds the groups of one coordinator partition.
type Machine struct {
	o       Options
	groups  map[string]*group
	offsets map[offsetKey]offset
}

// New makes an empty machine.
func New(o Options) *Machine {
	return &Machine{o: o, groups: map[string]*group{}, offsets: map[offsetKey]offset{}}
}

type phase int

const (
	empty      phase = iota
	preparing        // waiting for every member to join
	completing       // waiting for the leader's assignment
	stable
)

type group struct {
	id           string
	phase        phase
	generation   int32
	protocolType string
	protocol     string
	leader       string
	members      map[string]*member
	pending      map[string]bool // ids given out, not yet joined with (KIP-394)
	instances    map[string]string
	delayed      bool // the initial rebalance delay is running
}

type member struct {
	id, clientID     string
	instance         *string
	session          time.Duration
	rebalance        time.Duration
	protocols        []kmsg.JoinGroupRequestProtocol
	join, sync       statelog.Ticket // waiting, zero when not
	joinReq, syncReq kmsg.Request
	assignment       []byte
}

// Loaded implements statelog.Machine; only offsets were replayed, which need no timer.
func (m *Machine) Loaded(statelog.Input) statelog.Effects { return statelog.Effects{} }

// Timeout implements statelog.Machine.
func (m *Machine) Timeout(in statelog.Input, key string) statelog.Effects {
	var e statelog.Effects
	what, memberID, groupID := parseKey(key)
	g := m.groups[groupID]
	if g == nil {
		return e
	}
	switch what {
	case "join":
		g.delayed = false
		for id, mb := range g.members {
			if mb.join == 0 {
				m.remove(&e, in, g, id)
			}
		}
		if len(g.members) == 0 {
			m.rebalance(&e, in, g)
		}
		m.complete(&e, in, g)
	case "session":
		if mb := g.members[memberID]; mb != nil && mb.join == 0 {
			m.remove(&e, in, g, memberID)
			m.rebalance(&e, in, g)
		}
		delete(g.pending, memberID)
	}
	return e
}

// Records implements statelog.Machine.
func (m *Machine) Records() iter.Seq[statelog.Record] {
	return func(yield func(statelog.Record) bool) {
		for k, o := range m.offsets {
			if !yield(o.record(k)) {
				return
			}
		}
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

// A timer's key is what, a space, the length of the member id, a slash, the member id and the
// group id: clients choose both ids, so no character can part them.
func timerKey(what, memberID, groupID string) string {
	return fmt.Sprintf("%s %d/%s%s", what, len(memberID), memberID, groupID)
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

func (m *Machine) arm(e *statelog.Effects, in statelog.Input, g *group, mb *member) {
	e.Timers = append(e.Timers, statelog.Timer{Key: sessionKey(g, mb.id), At: in.Now.Add(mb.session)})
}

func reply(e *statelog.Effects, to statelog.Ticket, resp kmsg.Response) {
	e.Replies = append(e.Replies, statelog.Reply{To: to, Response: resp})
}
