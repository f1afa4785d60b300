package txn

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// expected is the id and epoch with which a producer says that it goes on (KIP-360).
type expected struct {
	producerID int64
	epoch      int16
}

// InitProducerID gives a transactional id its producer id and the next epoch, which fences whoever
// had it before. An open transaction is aborted first; its caller asks again. fresh is a producer
// id that nobody has, or -1: when it turns out to be needed, the reply is ErrNeedsProducerID.
func (m *Machine) InitProducerID(in statelog.Input, req *kmsg.InitProducerIDRequest, fresh int64) statelog.Effects {
	var e statelog.Effects
	t, err := m.begin(&e, in, req, fresh)
	if err == ErrNeedsProducerID {
		e.Replies = append(e.Replies, statelog.Reply{To: in.Ticket, Err: err})
		return e
	}
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = codeOf(fenced(err, req.Version, 4)), -1, -1
	if err == nil {
		resp.ProducerID, resp.ProducerEpoch = t.producerID, t.epoch
	}
	e.Replies = append(e.Replies, statelog.Reply{To: in.Ticket, Response: resp})
	return e
}

func (m *Machine) begin(
	e *statelog.Effects, in statelog.Input, req *kmsg.InitProducerIDRequest, fresh int64,
) (transaction, *kerr.Error) {
	id := *req.TransactionalID
	switch {
	case (req.ProducerID == -1) != (req.ProducerEpoch == -1), id == "":
		return transaction{}, kerr.InvalidRequest
	case req.TransactionTimeoutMillis <= 0 || req.TransactionTimeoutMillis > m.o.MaxTimeoutMs:
		return transaction{}, kerr.InvalidTransactionTimeout
	}
	t, known := m.byID[id]
	var want *expected
	if req.ProducerID != -1 {
		want = &expected{req.ProducerID, req.ProducerEpoch}
	}
	if known && want != nil && want.producerID != t.producerID && (want.producerID != t.previousID || !exhausted(want.epoch)) {
		return t, kerr.ProducerFenced
	}
	switch {
	case !known && !m.room(e):
		return t, kerr.PolicyViolation
	case !known:
		if fresh == -1 {
			return t, ErrNeedsProducerID
		}
		t = transaction{id: id, producerID: fresh, previousID: fresh, nextID: -1, epoch: -1}
	case t.state.prepared():
		return t, kerr.ConcurrentTransactions
	case t.state == Ongoing:
		m.fence(e, in, t)
		m.counted.Fenced++
		e.Notes = append(e.Notes, fmt.Sprintf("transaction of %q aborted: another producer came with its transactional id", id))
		return t, kerr.ConcurrentTransactions
	}
	next, err := m.bump(t, want, fresh, in.Now.UnixMilli())
	if err != nil {
		return t, err
	}
	next.timeoutMs, next.partitions, next.startedMs = req.TransactionTimeoutMillis, nil, -1
	e.Records = append(e.Records, next.record(m.level))
	return next, nil
}

// room reports that one more transactional id can be remembered. The first that cannot is told of.
func (m *Machine) room(e *statelog.Effects) bool {
	if len(m.byID) < m.o.MaxIDs {
		m.full = false
		return true
	}
	if !m.full {
		e.Notes = append(e.Notes, fmt.Sprintf(
			"%d transactional ids are remembered, the most that may be: new ones are refused until some expire or max-transactional-ids is raised",
			len(m.byID)))
	}
	m.full = true
	m.counted.Refused++
	return false
}

// bump gives a producer without an open transaction its next epoch, or when those are used up a new
// id (TransactionMetadata.prepareIncrementProducerEpoch and prepareProducerIdRotation).
func (m *Machine) bump(t transaction, want *expected, fresh, nowMs int64) (transaction, *kerr.Error) {
	s := m.softly(t.id)
	next := t.next(Empty, nowMs)
	switch {
	case exhausted(t.epoch) && (want == nil || want.epoch == t.epoch):
		if fresh == -1 {
			return t, ErrNeedsProducerID
		}
		next.producerID, next.epoch = fresh, 0
		s.lastEpoch = -1
		if want != nil {
			s.lastEpoch = t.epoch
		}
	case want == nil:
		next.epoch++
		s.lastEpoch = -1
	case t.epoch == -1 || want.epoch == t.epoch:
		next.epoch++
		s.lastEpoch = t.epoch
	case want.epoch == s.lastEpoch:
		// Its last call was answered and the answer got lost: give the same again, as often as it asks.
		next.previousID = t.previousID
	default:
		return t, kerr.ProducerFenced
	}
	return next, nil
}
