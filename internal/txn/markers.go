package txn

import (
	"kelp/internal/statelog"
)

// coordinatorEpoch marks the markers of this coordinator. One node owns the state, so it never changes.
const coordinatorEpoch = 0

// WriteMarkers is the call for a decided transaction: write its marker to every partition, for as
// long as it takes, and hand the call back to MarkersWritten.
type WriteMarkers struct {
	Producer
	Commit           bool
	CoordinatorEpoch int32
	Version          int16 // transaction.version of the transaction
	Partitions       []Partition
}

func markersOf(t transaction) WriteMarkers {
	return WriteMarkers{
		Producer: Producer{t.id, t.producerID, t.epoch}, Commit: t.state == PrepareCommit, CoordinatorEpoch: coordinatorEpoch,
		Version: t.version, Partitions: t.partitions,
	}
}

// MarkersWritten completes a transaction. What was complete already stays as it is.
func (m *Machine) MarkersWritten(in statelog.Input, w WriteMarkers) statelog.Effects {
	e := statelog.Effects{Replies: []statelog.Reply{{To: in.Ticket}}}
	t, known := m.byID[w.TransactionalID]
	if !known || !t.state.prepared() || t.producerID != w.ID || t.epoch != w.Epoch {
		return e
	}
	m.counted.completed(t, in.Now.UnixMilli())
	done := t.complete(in.Now.UnixMilli())
	e.Records = append(e.Records, done.record(m.level))
	m.release(&e, in, done)
	return e
}

// complete is what a prepared transaction becomes; the next id takes over where epochs are used up.
func (t transaction) complete(nowMs int64) transaction {
	s := CompleteAbort
	if t.state == PrepareCommit {
		s = CompleteCommit
	}
	next := t.next(s, nowMs)
	if t.nextID != -1 {
		next.producerID, next.epoch = t.nextID, 0
	}
	next.nextID, next.partitions = -1, nil
	return next
}
