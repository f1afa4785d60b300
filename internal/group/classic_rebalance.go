package group

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// rebalance moves the group into preparing, and on once everybody has joined.
func (m *Machine) rebalance(e *statelog.Effects, in statelog.Input, g *group, why string) {
	switch g.phase {
	case preparing, assigning, reconciling: // the last two are no states of a classic group
	case empty:
		longest := g.longestRebalance()
		g.delayed, g.grown = m.o.InitialRebalanceDelay > 0, false
		g.delayLeft = max(0, longest-m.o.InitialRebalanceDelay)
		wait := longest
		if g.delayed {
			wait = m.o.InitialRebalanceDelay
		}
		m.prepare(e, in, g, wait, why)
	case completing, stable:
		for _, mb := range g.members {
			m.failSync(e, mb, kerr.RebalanceInProgress)
		}
		m.prepare(e, in, g, g.longestRebalance(), why)
	}
	m.completeIfAll(e, in, g)
}

func (m *Machine) prepare(e *statelog.Effects, in statelog.Input, g *group, wait time.Duration, why string) {
	e.Notes = append(e.Notes, fmt.Sprintf("group %s rebalances after generation %d: %s", g.id, g.generation, why))
	m.counted.classic++
	m.begun(in, g.id)
	g.enter(preparing, in)
	cancel(e, syncKey(g))
	e.Timers = append(e.Timers, statelog.Timer{Key: joinKey(g), At: in.Now.Add(wait)})
}

func (g *group) longestRebalance() time.Duration {
	longest := time.Duration(0)
	for _, mb := range g.members {
		longest = max(longest, mb.rebalance)
	}
	return longest
}

// completeIfAll begins the next generation when nobody is missing.
func (m *Machine) completeIfAll(e *statelog.Effects, in statelog.Input, g *group) {
	if g.phase != preparing || len(g.pending) > 0 || g.delayed && len(g.members) > 0 {
		return
	}
	for _, mb := range g.members {
		if mb.join == 0 {
			return
		}
	}
	m.complete(e, in, g)
}

// joinDue ends the wait for members: the initial delay, or those who do not come.
func (m *Machine) joinDue(e *statelog.Effects, in statelog.Input, g *group) {
	if g.phase != preparing {
		return
	}
	if g.delayed && g.grown && g.delayLeft > 0 {
		more := min(m.o.InitialRebalanceDelay, g.delayLeft)
		g.grown, g.delayLeft = false, g.delayLeft-more
		e.Timers = append(e.Timers, statelog.Timer{Key: joinKey(g), At: in.Now.Add(more)})
		return
	}
	g.delayed = false
	anybody := false
	for id, mb := range g.members {
		switch {
		case mb.join != 0:
			anybody = true
		case mb.instance == nil: // a static one keeps its place until its session ends
			m.remove(e, g, id)
		}
	}
	if !anybody && len(g.members) > 0 {
		e.Timers = append(e.Timers, statelog.Timer{Key: joinKey(g), At: in.Now.Add(g.longestRebalance())})
		return
	}
	m.complete(e, in, g)
}

// complete begins the next generation with those who are members.
func (m *Machine) complete(e *statelog.Effects, in statelog.Input, g *group) {
	cancel(e, joinKey(g))
	g.delayed = false
	g.generation++
	if len(g.members) == 0 {
		g.leader, g.protocol = "", ""
		m.settled(in, g.id)
		g.enter(empty, in)
		e.Records = append(e.Records, g.record())
		return
	}
	g.enter(completing, in)
	g.protocol = g.vote()
	if leader := g.members[g.leader]; leader == nil || leader.join == 0 {
		for _, mb := range g.sorted() {
			if mb.join != 0 {
				g.leader = mb.id
				break
			}
		}
	}
	for _, mb := range g.sorted() {
		mb.synced = false
		if mb.join == 0 {
			continue
		}
		reply(e, mb.join, m.joined(g, mb, mb.joinReq))
		mb.join, mb.joinReq = 0, nil
		m.arm(e, in, g, mb)
	}
	e.Timers = append(e.Timers, statelog.Timer{Key: syncKey(g), At: in.Now.Add(g.longestRebalance())})
}

// syncDue takes out who joined a generation and never synced.
func (m *Machine) syncDue(e *statelog.Effects, in statelog.Input, g *group) {
	if g.phase != completing && g.phase != stable {
		return
	}
	gone := ""
	for id, mb := range g.members {
		if !mb.synced {
			m.remove(e, g, id)
			gone = id
		}
	}
	if gone != "" {
		m.rebalance(e, in, g, fmt.Sprintf("member %s never synced", gone))
	}
}

// vote chooses the protocol: among those that all know, the one most members list first.
func (g *group) vote() string {
	votes := map[string]int{}
	for _, mb := range g.members {
		for _, p := range mb.protocols {
			if g.allKnow(p.Name) {
				votes[p.Name]++
				break
			}
		}
	}
	chosen := ""
	for name, n := range votes {
		if chosen == "" || n > votes[chosen] || n == votes[chosen] && name < chosen {
			chosen = name
		}
	}
	return chosen
}

// remove takes a member out and answers what it waits for; the caller rebalances.
func (m *Machine) remove(e *statelog.Effects, g *group, id string) {
	mb := g.members[id]
	delete(g.members, id)
	cancel(e, sessionKey(g, id))
	if mb.instance != nil && g.instances[*mb.instance] == id {
		delete(g.instances, *mb.instance)
	}
	if mb.join != 0 {
		reply(e, mb.join, joinFailed(mb.joinReq, kerr.UnknownMemberID, id))
		mb.join = 0
	}
	m.failSync(e, mb, kerr.UnknownMemberID)
}

// failSync answers a sync that waits.
func (m *Machine) failSync(e *statelog.Effects, mb *member, err *kerr.Error) {
	if mb.sync == 0 {
		return
	}
	resp := mb.syncReq.ResponseKind().(*kmsg.SyncGroupResponse)
	resp.ErrorCode = err.Code
	reply(e, mb.sync, resp)
	mb.sync, mb.syncReq = 0, nil
}
