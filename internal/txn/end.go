package txn

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// EndTxn decides a transaction: from here on it is committed or aborted, whatever happens. From v5
// on every end bumps the epoch (KIP-890), so that a request that comes late or again can be told
// from one of the next transaction. fresh is as for InitProducerID.
func (m *Machine) EndTxn(in statelog.Input, req *kmsg.EndTxnRequest, fresh int64) statelog.Effects {
	var e statelog.Effects
	r := ending{
		by: Producer{req.TransactionalID, req.ProducerID, req.ProducerEpoch}, commit: req.Commit, fresh: fresh, nowMs: in.Now.UnixMilli(),
	}
	end := m.endFirst
	if req.Version >= 5 {
		end = m.endSecond
	}
	t, next, err := end(r)
	if err == ErrNeedsProducerID {
		e.Replies = append(e.Replies, statelog.Reply{To: in.Ticket, Err: err})
		return e
	}
	if next != nil {
		m.decide(&e, *next)
		t = *next
	}
	resp := req.ResponseKind().(*kmsg.EndTxnResponse)
	resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = codeOf(fenced(err, req.Version, 2)), -1, -1
	if err == nil && req.Version >= 5 {
		resp.ProducerID, resp.ProducerEpoch = t.producerID, t.epoch
		if t.nextID != -1 {
			resp.ProducerID, resp.ProducerEpoch = t.nextID, 0
		}
	}
	e.Replies = append(e.Replies, statelog.Reply{To: in.Ticket, Response: resp})
	return e
}

// ending is a request to end a transaction.
type ending struct {
	by     Producer
	commit bool
	fresh  int64
	nowMs  int64
}

func (r ending) prepare() State {
	if r.commit {
		return PrepareCommit
	}
	return PrepareAbort
}

// repeats reports that a transaction has just come to the end that is asked for.
func (r ending) repeats(s State) bool {
	return s == CompleteCommit && r.commit || s == CompleteAbort && !r.commit
}

// endFirst is the first protocol: the epoch stays, and asking again for the same end is fine.
func (m *Machine) endFirst(r ending) (t transaction, next *transaction, err *kerr.Error) {
	t, known := m.byID[r.by.TransactionalID]
	switch {
	case r.by.TransactionalID == "":
		return t, nil, kerr.InvalidRequest
	case !known, t.producerID != r.by.ID:
		return t, nil, kerr.InvalidProducerIDMapping
	case t.epoch != r.by.Epoch:
		return t, nil, kerr.ProducerFenced
	case t.state == Ongoing:
		decided := t.next(r.prepare(), r.nowMs)
		decided.version = 0
		return t, &decided, nil
	case r.repeats(t.state):
		return t, nil, nil
	case t.state == r.prepare():
		return t, nil, kerr.ConcurrentTransactions
	}
	return t, nil, kerr.InvalidTxnState
}

// endSecond is KIP-890's protocol. A repeated request carries the epoch before; the current epoch
// always means the next transaction, which may be aborted though nothing is in it yet:
//
//	                abort again  abort now  commit again  commit now     again: epoch - 1, now: epoch
//	Empty           fenced       bump       fenced        invalid state
//	CompleteAbort   fine         bump       invalid       invalid state
//	CompleteCommit  invalid      bump       fine          invalid state
func (m *Machine) endSecond(r ending) (t transaction, next *transaction, err *kerr.Error) {
	t, known := m.byID[r.by.TransactionalID]
	rotated := known && t.previousID == r.by.ID && t.producerID != r.by.ID && r.by.Epoch == maxEpoch-1 && t.epoch == 0
	again := known && t.epoch != 0 && r.by.Epoch == t.epoch-1 || rotated
	valid := r.by.Epoch == t.epoch
	if t.state.prepared() {
		valid = again
	} else if t.state == CompleteCommit || t.state == CompleteAbort {
		valid = valid || again
	}
	if known && t.state.prepared() && t.nextID != -1 && r.by.ID == t.nextID && r.by.Epoch == 0 {
		return t, nil, kerr.ConcurrentTransactions // the end of the next transaction, before this one is complete
	}
	switch {
	case r.by.TransactionalID == "":
		return t, nil, kerr.InvalidRequest
	case !known, t.producerID != r.by.ID && !rotated:
		return t, nil, kerr.InvalidProducerIDMapping
	case !valid:
		return t, nil, kerr.ProducerFenced
	case t.state.prepared():
		if t.state == r.prepare() {
			return t, nil, kerr.ConcurrentTransactions
		}
		return t, nil, kerr.InvalidTxnState
	case t.state == Ongoing, !r.commit && !again:
		return m.bumpedEnd(t, r)
	case again && r.repeats(t.state):
		return t, nil, nil
	}
	return t, nil, kerr.InvalidTxnState
}

// bumpedEnd decides a transaction under the next epoch, with which its markers are written.
func (m *Machine) bumpedEnd(t transaction, r ending) (transaction, *transaction, *kerr.Error) {
	next := t.next(r.prepare(), r.nowMs)
	if exhausted(t.epoch) {
		if r.fresh == -1 {
			return t, nil, ErrNeedsProducerID
		}
		next.nextID = r.fresh
	}
	if t.state != Ongoing {
		next.startedMs = r.nowMs // an abort of nothing starts and ends now
	}
	next.epoch, next.version = t.epoch+1, epochBumped
	m.softly(t.id).lastEpoch = t.epoch
	return t, &next, nil
}

// fence aborts the open transaction of a producer that somebody replaces or that took too long.
// Its epoch goes up, so that what it still sends is refused.
func (m *Machine) fence(e *statelog.Effects, in statelog.Input, t transaction) {
	next := t.next(PrepareAbort, in.Now.UnixMilli())
	next.epoch, next.version = t.epoch+1, 0
	m.softly(t.id).lastEpoch = -1
	if m.level >= epochBumped {
		next.version = epochBumped
		m.softly(t.id).lastEpoch = t.epoch
	}
	m.decide(e, next)
}

// decide makes a decision durable, after which its markers are written.
func (m *Machine) decide(e *statelog.Effects, t transaction) {
	e.Records = append(e.Records, t.record(m.level))
	e.Calls = append(e.Calls, markersOf(t))
}
