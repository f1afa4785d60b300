package txn

import (
	"fmt"
	"strings"

	"kelp/internal/statelog"
)

// The keys of timers; that of held requests ends in the transactional id.
const (
	abortKey   = "abort"
	expireKey  = "expire"
	holdPrefix = "hold "
)

func holdKey(id string) string { return holdPrefix + id }

func (m *Machine) abortTimer(in statelog.Input) statelog.Timer {
	return statelog.Timer{Key: abortKey, At: in.Now.Add(m.o.AbortCheck)}
}

func (m *Machine) expireTimer(in statelog.Input) statelog.Timer {
	return statelog.Timer{Key: expireKey, At: in.Now.Add(m.o.IDExpirationCheck)}
}

// Timeout implements statelog.Machine.
func (m *Machine) Timeout(in statelog.Input, key string) statelog.Effects {
	var e statelog.Effects
	switch key {
	case abortKey:
		m.abortOverdue(&e, in)
		e.Timers = append(e.Timers, m.abortTimer(in))
	case expireKey:
		m.expire(&e, in)
		e.Timers = append(e.Timers, m.expireTimer(in))
	default:
		m.holdDue(&e, in, strings.TrimPrefix(key, holdPrefix))
	}
	return e
}

// abortOverdue aborts transactions that have been open for longer than their producer said.
func (m *Machine) abortOverdue(e *statelog.Effects, in statelog.Input) {
	nowMs := in.Now.UnixMilli()
	overdue := func(t transaction) bool { return t.state == Ongoing && t.startedMs+int64(t.timeoutMs) < nowMs }
	for _, t := range m.sorted(overdue) {
		m.fence(e, in, t)
		m.counted.Overdue++
		e.Notes = append(e.Notes, fmt.Sprintf("transaction of %q aborted: it was open for more than %d ms", t.id, t.timeoutMs))
	}
}

// expire forgets transactional ids that have not been used for long and have no open transaction.
func (m *Machine) expire(e *statelog.Effects, in statelog.Input) {
	beforeMs := in.Now.Add(-m.o.IDExpiration).UnixMilli()
	unused := func(t transaction) bool { return t.updatedMs <= beforeMs && t.state != Ongoing && !t.state.prepared() }
	for _, t := range m.sorted(unused) {
		e.Records = append(e.Records, statelog.Record{Key: keyOf(t.id)})
	}
}
