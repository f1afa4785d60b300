package txn

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// Producer is who speaks for a transaction: every request carries all three.
type Producer struct {
	TransactionalID string
	ID              int64
	Epoch           int16
}

// addition is a request to make partitions part of a transaction, as it is or as it waits.
type addition struct {
	to         statelog.Ticket
	by         Producer
	partitions []Partition
	version    int16 // transaction.version that the client speaks
	untilMs    int64 // a waiting one is told to try again then
	answer     func(*kerr.Error) kmsg.Response
}

func (a addition) reply(e *statelog.Effects, err *kerr.Error) {
	if a.answer == nil {
		r := statelog.Reply{To: a.to}
		if err != nil {
			r.Err = err
		}
		e.Replies = append(e.Replies, r)
		return
	}
	e.Replies = append(e.Replies, statelog.Reply{To: a.to, Response: a.answer(err)})
}

// AddPartitions answers AddPartitionsToTxn: partitions become part of a transaction, which begins
// with the first, or it is only checked that they are. Whether they exist is the caller's to know.
func (m *Machine) AddPartitions(in statelog.Input, req *kmsg.AddPartitionsToTxnRequest) statelog.Effects {
	var e statelog.Effects
	if req.Version < 4 {
		all := []Partition{}
		for _, t := range req.Topics {
			for _, index := range t.Partitions {
				all = append(all, Partition{t.Topic, index})
			}
		}
		m.add(&e, in, addition{
			to: in.Ticket, by: Producer{req.TransactionalID, req.ProducerID, req.ProducerEpoch}, partitions: all,
			answer: func(err *kerr.Error) kmsg.Response { return addedAll(req, codeOf(fenced(err, req.Version, 2))) },
		})
		return e
	}
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	for _, t := range req.Transactions {
		resp.Transactions = append(resp.Transactions, m.addBatched(&e, in, t))
	}
	e.Replies = append(e.Replies, statelog.Reply{To: in.Ticket, Response: resp})
	return e
}

func addedAll(req *kmsg.AddPartitionsToTxnRequest, code int16) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	for _, t := range req.Topics {
		out := kmsg.NewAddPartitionsToTxnResponseTopic()
		out.Topic = t.Topic
		for _, index := range t.Partitions {
			p := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			p.Partition, p.ErrorCode = index, code
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// addBatched is one transaction of the form that brokers use among themselves. It never waits.
func (m *Machine) addBatched(
	e *statelog.Effects, in statelog.Input, t kmsg.AddPartitionsToTxnRequestTransaction,
) kmsg.AddPartitionsToTxnResponseTransaction {
	by := Producer{t.TransactionalID, t.ProducerID, t.ProducerEpoch}
	var all []Partition
	for _, topic := range t.Topics {
		for _, index := range topic.Partitions {
			all = append(all, Partition{topic.Topic, index})
		}
	}
	var err *kerr.Error
	if t.VerifyOnly {
		_, err = m.check(by)
	} else {
		err = m.tryAdd(e, in, addition{by: by, partitions: all, version: epochBumped})
	}
	out := kmsg.NewAddPartitionsToTxnResponseTransaction()
	out.TransactionalID = t.TransactionalID
	for _, topic := range t.Topics {
		to := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		to.Topic = topic.Topic
		for _, index := range topic.Partitions {
			p := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			p.Partition, p.ErrorCode = index, codeOf(err)
			if err == nil && t.VerifyOnly && !m.byID[t.TransactionalID].has(Partition{topic.Topic, index}) {
				p.ErrorCode = kerr.TransactionAbortable.Code
			}
			to.Partitions = append(to.Partitions, p)
		}
		out.Topics = append(out.Topics, to)
	}
	return out
}

// AddOffsets answers AddOffsetsToTxn: the partition that keeps a group's offsets becomes part of the transaction.
func (m *Machine) AddOffsets(in statelog.Input, req *kmsg.AddOffsetsToTxnRequest, offsets Partition) statelog.Effects {
	var e statelog.Effects
	m.add(&e, in, addition{
		to: in.Ticket, by: Producer{req.TransactionalID, req.ProducerID, req.ProducerEpoch}, partitions: []Partition{offsets},
		answer: func(err *kerr.Error) kmsg.Response {
			resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
			resp.ErrorCode = codeOf(fenced(err, req.Version, 2))
			return resp
		},
	})
	return e
}

// Join makes partitions part of a transaction for a client of KIP-890's second part, whose Produce
// and TxnOffsetCommit say so by themselves. The reply is an error or nothing.
func (m *Machine) Join(in statelog.Input, by Producer, partitions ...Partition) statelog.Effects {
	var e statelog.Effects
	m.add(&e, in, addition{to: in.Ticket, by: by, partitions: partitions, version: epochBumped})
	return e
}

// Verify says which partitions belong to the open transaction of a producer of the first protocol,
// which must have said so before it writes there (KIP-890). The reply is an error, or for each
// partition true or false.
func (m *Machine) Verify(in statelog.Input, by Producer, partitions ...Partition) statelog.Effects {
	t, err := m.check(by)
	r := statelog.Reply{To: in.Ticket}
	if err != nil {
		r.Err = err
		return statelog.Effects{Replies: []statelog.Reply{r}}
	}
	members := make([]bool, len(partitions))
	for i, p := range partitions {
		members[i] = t.has(p)
	}
	r.Response = members
	return statelog.Effects{Replies: []statelog.Reply{r}}
}

// check says whether a producer may work on its transaction now.
func (m *Machine) check(by Producer) (transaction, *kerr.Error) {
	t, known := m.byID[by.TransactionalID]
	switch {
	case by.TransactionalID == "":
		return t, kerr.InvalidRequest
	case !known:
		return t, kerr.InvalidProducerIDMapping
	case t.state.prepared() && t.nextID != -1 && by.ID == t.nextID && by.Epoch == 0:
		return t, kerr.ConcurrentTransactions // it was told its next id already, which takes over in a moment
	case t.producerID != by.ID:
		return t, kerr.InvalidProducerIDMapping
	case t.epoch != by.Epoch:
		return t, kerr.ProducerFenced
	case t.state.prepared():
		return t, kerr.ConcurrentTransactions
	}
	return t, nil
}

// add answers an addition, or holds it while the markers of the transaction before are on their
// way: Kafka says CONCURRENT_TRANSACTIONS and is asked again.
func (m *Machine) add(e *statelog.Effects, in statelog.Input, a addition) {
	err := m.tryAdd(e, in, a)
	if err == kerr.ConcurrentTransactions && m.o.HoldFor > 0 {
		s := m.softly(a.by.TransactionalID)
		if len(s.held) < m.o.MaxHeld {
			at := in.Now.Add(m.o.HoldFor)
			a.untilMs = at.UnixMilli()
			if len(s.held) == 0 {
				e.Timers = append(e.Timers, statelog.Timer{Key: holdKey(a.by.TransactionalID), At: at})
			}
			s.held = append(s.held, a)
			return
		}
	}
	a.reply(e, err)
}

func (m *Machine) tryAdd(e *statelog.Effects, in statelog.Input, a addition) *kerr.Error {
	t, err := m.check(a.by)
	if err != nil {
		return err
	}
	if next, changed := t.with(a, in.Now.UnixMilli()); changed {
		e.Records = append(e.Records, next.record(m.level))
	}
	return nil
}

// with is t with more partitions, open from now on.
func (t transaction) with(a addition, nowMs int64) (next transaction, changed bool) {
	missing := func(p Partition) bool { return !t.has(p) }
	if t.state == Ongoing && !slices.ContainsFunc(a.partitions, missing) {
		return t, false
	}
	next = t.next(Ongoing, nowMs)
	if t.state != Ongoing {
		next.startedMs = nowMs
	}
	next.version = a.version
	next.partitions = slices.Concat(t.partitions, a.partitions)
	slices.SortFunc(next.partitions, comparePartitions)
	next.partitions = slices.Compact(next.partitions)
	return next, true
}

// release gives the held requests of an id their turn on its new state t, or after the wait tells
// those that have waited long enough to try again.
func (m *Machine) release(e *statelog.Effects, in statelog.Input, t transaction) {
	s := m.soft[t.id]
	if s == nil || len(s.held) == 0 {
		return
	}
	held := s.held
	s.held = nil
	e.Timers = append(e.Timers, statelog.Timer{Key: holdKey(t.id)})
	for _, a := range held {
		switch {
		case t.producerID != a.by.ID:
			a.reply(e, kerr.InvalidProducerIDMapping)
		case t.epoch != a.by.Epoch:
			a.reply(e, kerr.ProducerFenced)
		default:
			next, changed := t.with(a, in.Now.UnixMilli())
			if changed {
				e.Records = append(e.Records, next.record(m.level))
				t = next
			}
			a.reply(e, nil)
		}
	}
}

// holdDue sends away the requests of an id that have waited long enough.
func (m *Machine) holdDue(e *statelog.Effects, in statelog.Input, id string) {
	s := m.soft[id]
	if s == nil {
		return
	}
	for len(s.held) > 0 && s.held[0].untilMs <= in.Now.UnixMilli() {
		s.held[0].reply(e, kerr.ConcurrentTransactions)
		s.held = s.held[1:]
	}
	if len(s.held) > 0 {
		e.Timers = append(e.Timers, statelog.Timer{Key: holdKey(id), At: time.UnixMilli(s.held[0].untilMs)})
	}
}
