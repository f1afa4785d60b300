package group

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

func (m *Machine) armExpiry(e *statelog.Effects, in statelog.Input) {
	e.Timers = append(e.Timers, statelog.Timer{Key: timerKey("expire", "", ""), At: in.Now.Add(m.o.OffsetsRetentionCheck)})
}

// expire forgets offsets past their retention and groups that have nothing left. The clock of an
// offset starts when the group became empty, or for a simple group or a topic that nobody reads
// any more, when it was committed (KIP-211).
func (m *Machine) expire(e *statelog.Effects, in statelog.Input) {
	for id, offsets := range m.offsets {
		g, cg := m.groups[id], m.consumers[id]
		subscribed := g.subscribed()
		left, pending := len(offsets), m.pendingOf(id)
		for p, o := range offsets {
			if cg != nil && cg.reads(p.topic) {
				continue
			}
			if !pending[p] && m.expired(in, g, subscribed, p, o) {
				e.Records = append(e.Records, forgetOffset(id, p))
				left--
			}
		}
		if left == 0 && g != nil && g.phase == empty {
			m.forget(e, g)
		}
		if left == 0 && cg != nil && len(cg.members) == 0 {
			e.Records = append(e.Records, cg.forgetGroup()...)
		}
	}
	for id, cg := range m.consumers {
		if len(cg.members) == 0 && m.offsets[id] == nil {
			e.Records = append(e.Records, cg.forgetGroup()...)
		}
	}
	for id, g := range m.groups {
		if g.phase == empty && len(g.pending) == 0 && m.offsets[id] == nil {
			m.forget(e, g)
		}
	}
}

func (m *Machine) expired(in statelog.Input, g *group, subscribed topics, p partition, o *offset) bool {
	nowMs, since := in.Now.UnixMilli(), o.committedMs
	switch {
	case g != nil && len(g.members) > 0 && (g.protocolType != consumerProtocol || subscribed.has(p.topic)):
		return false
	case o.expireMs >= 0:
		return nowMs >= o.expireMs
	case g != nil && g.phase == empty && g.protocolType != "":
		since = g.since.UnixMilli()
	}
	return nowMs-since >= m.o.OffsetsRetention.Milliseconds()
}

// forget drops a group that has no members.
func (m *Machine) forget(e *statelog.Effects, g *group) {
	if _, durable := m.saved[g.id]; durable {
		e.Records = append(e.Records, statelog.Record{Key: groupKey(g.id)})
	}
	cancel(e, joinKey(g))
	cancel(e, syncKey(g))
	for id := range g.pending {
		cancel(e, sessionKey(g, id))
	}
	delete(m.groups, g.id)
	delete(m.rebalancing, g.id)
}

// topics is a set of names; all says that it cannot be known and may be any.
type topics struct {
	names map[string]bool
	all   bool
}

func (t topics) has(name string) bool { return t.all || t.names[name] }

// subscribed is what the members of a consumer group read, as far as their metadata says.
func (g *group) subscribed() topics {
	if g == nil || g.protocolType != consumerProtocol {
		return topics{}
	}
	out := topics{names: map[string]bool{}}
	for _, mb := range g.members {
		protocol := g.protocol
		if protocol == "" && len(mb.protocols) > 0 {
			protocol = mb.protocols[0].Name
		}
		meta := kmsg.NewConsumerMemberMetadata()
		if err := meta.ReadFrom(mb.metadata(protocol)); err != nil {
			out.all = true
			continue
		}
		for _, t := range meta.Topics {
			out.names[t] = true
		}
	}
	return out
}
