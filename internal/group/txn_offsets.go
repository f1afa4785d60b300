package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// Limits of offsets in transactions.
const maxEndedKept = 10_000 // producers whose last marker is remembered for guards

// openTxn is the offsets that a producer has committed in a transaction that is still open. Nobody
// sees them before the marker.
type openTxn struct {
	epoch   int16
	offsets map[string]map[partition]*offset // by group
}

// Guard is a moment in the life of a machine. A transaction that was verified after it may only
// add offsets while no marker of its producer came in between (Kafka's VerificationGuard).
type Guard struct {
	of   *Machine
	seen uint64
	// Open says that the producer has offsets here in this epoch already: there is nothing to verify.
	Open bool
}

// TxnGuard takes a guard for a producer. The reply is the Guard.
func (m *Machine) TxnGuard(in statelog.Input, producerID int64, epoch int16) statelog.Effects {
	t := m.txns[producerID]
	g := Guard{of: m, seen: m.markers, Open: t != nil && t.epoch == epoch}
	return statelog.Effects{Replies: []statelog.Reply{{To: in.Ticket, Response: g}}}
}

// TxnOffsetCommit keeps offsets of an open transaction until its marker comes (KIP-98). The member
// that commits is checked as for OffsetCommit (KIP-447).
func (m *Machine) TxnOffsetCommit(in statelog.Input, req *kmsg.TxnOffsetCommitRequest, guard Guard) statelog.Effects {
	var e statelog.Effects
	refused, at := m.mayCommitTxn(req, guard)
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	txn := &statelog.Transaction{ProducerID: req.ProducerID, ProducerEpoch: req.ProducerEpoch}
	for _, t := range req.Topics {
		out := kmsg.NewTxnOffsetCommitResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			answer.Partition = p.Partition
			switch {
			case refused != nil:
				answer.ErrorCode = refused.Code
			case at != nil && at.stale(m.o.Topics(), t.Topic, p.Partition, req.Generation) != nil:
				answer.ErrorCode = at.wrongEpoch().Code
			case p.Metadata != nil && len(*p.Metadata) > m.o.MaxMetadataBytes:
				answer.ErrorCode = kerr.OffsetMetadataTooLarge.Code
			default:
				o := &offset{at: p.Offset, leaderEpoch: p.LeaderEpoch, committedMs: in.Now.UnixMilli(), expireMs: -1}
				if p.Metadata != nil {
					o.metadata = *p.Metadata
				}
				rec := o.record(req.Group, partition{t.Topic, p.Partition})
				rec.Transaction = txn
				m.counted.commits++
				e.Records = append(e.Records, rec)
			}
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	reply(&e, in.Ticket, resp)
	return e
}

// mayCommitTxn says why a commit in a transaction is refused. A producer that names no member may
// commit for any group: clients before KIP-447 did.
func (m *Machine) mayCommitTxn(req *kmsg.TxnOffsetCommitRequest, guard Guard) (*kerr.Error, *consumerMember) {
	t := m.txns[req.ProducerID]
	switch {
	case req.Group == "":
		return kerr.InvalidGroupID, nil
	case t != nil && req.ProducerEpoch < t.epoch:
		return kerr.InvalidProducerEpoch, nil
	case guard.of != m || guard.seen < m.endedFloor || guard.seen < m.ended[req.ProducerID]:
		return kerr.InvalidTxnState, nil
	}
	nobody := req.Generation < 0 && req.MemberID == "" && req.InstanceID == nil
	if g := m.consumers[req.Group]; g != nil {
		if nobody || req.Generation < 0 && len(g.members) == 0 {
			return nil, nil
		}
		return g.memberAt(req.MemberID, req.Generation)
	}
	g := m.groups[req.Group]
	_, known := m.phaseOf(req.Group)
	switch {
	case g == nil && req.Generation >= 0 && known:
		return kerr.UnknownMemberID, nil // a group of offsets alone has no members
	case g == nil && req.Generation >= 0:
		return kerr.IllegalGeneration, nil
	case g == nil, nobody, req.Generation < 0 && g.phase == empty:
		return nil, nil
	}
	if _, err := g.member(req.MemberID, req.InstanceID); err != nil {
		return err, nil
	}
	if req.Generation != g.generation {
		return kerr.IllegalGeneration, nil
	}
	return nil, nil
}

// TxnMarker is the end of a producer's transaction, as its coordinator decided it.
type TxnMarker struct {
	ProducerID       int64
	ProducerEpoch    int16
	CoordinatorEpoch int32
	Commit           bool
	Version          int16 // transaction.version: from 2 on the epoch is above that of the transaction
}

// epochBumped is the transaction.version from which a marker has a new epoch (KIP-890).
const epochBumped = 2

// EndTxn writes the marker of a transaction: its offsets are committed or forgotten. A marker may
// come again.
func (m *Machine) EndTxn(in statelog.Input, end TxnMarker) statelog.Effects {
	t := m.txns[end.ProducerID]
	late := t != nil && (end.ProducerEpoch < t.epoch || end.Version >= epochBumped && end.ProducerEpoch == t.epoch)
	if late {
		return statelog.Effects{Replies: []statelog.Reply{{To: in.Ticket, Err: kerr.InvalidProducerEpoch}}}
	}
	return statelog.Effects{
		Records: []statelog.Record{{Transaction: &statelog.Transaction{
			ProducerID: end.ProducerID, ProducerEpoch: end.ProducerEpoch,
			Ended: &statelog.Marker{Commit: end.Commit, CoordinatorEpoch: end.CoordinatorEpoch},
		}}},
		Replies: []statelog.Reply{{To: in.Ticket}},
	}
}

// applyMarker folds in the end of a transaction. An offset that was committed after the
// transaction's stays, as it is the newer one.
func (m *Machine) applyMarker(t *statelog.Transaction) {
	m.markers++
	if len(m.ended) >= maxEndedKept {
		clear(m.ended)
		m.endedFloor = m.markers
	}
	m.ended[t.ProducerID] = m.markers
	open := m.txns[t.ProducerID]
	delete(m.txns, t.ProducerID)
	if open == nil || !t.Ended.Commit {
		return
	}
	for group, offsets := range open.offsets {
		for p, o := range offsets {
			if now := m.offsets[group][p]; now == nil || now.order < o.order {
				m.putOffset(group, p, o)
			}
		}
	}
}

// applyPending folds in an offset of an open transaction.
func (m *Machine) applyPending(t *statelog.Transaction, group string, p partition, o *offset) {
	open := m.txns[t.ProducerID]
	if open == nil {
		open = &openTxn{offsets: map[string]map[partition]*offset{}}
		m.txns[t.ProducerID] = open
	}
	open.epoch = t.ProducerEpoch
	if open.offsets[group] == nil {
		open.offsets[group] = map[partition]*offset{}
	}
	open.offsets[group][p] = o
}

// forgetPending drops what open transactions hold for a partition of a group whose offset is deleted.
func (m *Machine) forgetPending(group string, p partition) {
	for _, open := range m.txns {
		delete(open.offsets[group], p)
	}
}

// pendingOf is the partitions of a group whose offset an open transaction may change.
func (m *Machine) pendingOf(group string) map[partition]bool {
	out := map[partition]bool{}
	for _, open := range m.txns {
		for p := range open.offsets[group] {
			out[p] = true
		}
	}
	return out
}

// pendingRecords yields offsets of open transactions, either those that a committed offset came
// after or the others: order decides which one counts once the marker comes.
func (m *Machine) pendingRecords(before bool, yield func(statelog.Record) bool) bool {
	for id, open := range m.txns {
		txn := &statelog.Transaction{ProducerID: id, ProducerEpoch: open.epoch}
		for group, offsets := range open.offsets {
			for p, o := range offsets {
				now := m.offsets[group][p]
				if (now != nil && now.order > o.order) != before {
					continue
				}
				rec := o.record(group, p)
				rec.Transaction = txn
				if !yield(rec) {
					return false
				}
			}
		}
	}
	return true
}
