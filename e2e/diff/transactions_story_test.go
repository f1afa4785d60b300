package diff

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// firstProtocol tells of a producer before KIP-890's second part, with every key at version v or its last before that.
func (p *pair) firstProtocol(v int16) {
	p.t.Helper()
	id, topic := fmt.Sprintf("first-%d", v), fmt.Sprintf("first-%d", v)
	initV, addV, addOffsetsV, endV, offsetsV := v, min(v, 3), min(v, 4), min(v, 4), min(v, 4)
	p.topic(topic)
	p.tell("find the coordinator", 3, func(*teller) kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey, req.CoordinatorType = id, 1
		return req
	})
	p.tell("init with an empty id", initV, p.init("", nil))
	p.tell("init with a timeout that is too long", initV, p.init(id, func(_ *teller, r *kmsg.InitProducerIDRequest) {
		r.TransactionTimeoutMillis = 1 << 30
	}))
	p.tell("init with no timeout", initV, p.init(id, func(_ *teller, r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 0 }))
	p.tell("end what was never begun", endV, p.end(id, true))
	p.tell("add to what was never begun", addV, p.add(id, topic))
	p.start("init", initV, id, nil)
	p.start("init again", initV, id, nil)
	if v >= 3 {
		p.start("init to go on", initV, id, func(s *teller, r *kmsg.InitProducerIDRequest) {
			r.ProducerID, r.ProducerEpoch = s.of(id).id, s.of(id).epoch
		})
		p.start("init to go on, again", initV, id, func(s *teller, r *kmsg.InitProducerIDRequest) {
			r.ProducerID, r.ProducerEpoch = s.of(id).id, s.of(id).epoch-1
		})
		p.tell("init with an epoch of long ago", initV, p.init(id, func(s *teller, r *kmsg.InitProducerIDRequest) {
			r.ProducerID, r.ProducerEpoch = s.of(id).id, s.of(id).epoch-2
		}))
		p.tell("init with another id", initV, p.init(id, func(_ *teller, r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = 1<<40, 0 }))
		p.tell("init with half an id", initV, p.init(id, func(_ *teller, r *kmsg.InitProducerIDRequest) { r.ProducerID = 7 }))
	}
	p.tell("end an empty transaction", endV, p.end(id, true))
	p.tell("abort an empty transaction", endV, p.end(id, false))
	for _, pv := range []int16{3, 9, 10, 11} {
		p.write("produce before the partition is added", pv, id, topic)
	}
	p.tell("add an unknown topic too", addV, p.add(id, topic, "nowhere"))
	p.tell("add with an old epoch", addV, older(id, p.add(id, topic)))
	p.tell("add with another id", addV, p.add("other"+id, topic))
	p.tell("add", addV, p.add(id, topic))
	p.tell("add again", addV, p.add(id, topic))
	for bv := int16(4); bv <= 5; bv++ {
		p.tell("verify in a batch", bv, p.batch(id, true, topic))
		p.tell("verify another topic in a batch", bv, p.batch(id, true, topic, "nowhere"))
		p.tell("verify an old epoch in a batch", bv, older(id, p.batch(id, true, topic)))
		p.tell("verify another id in a batch", bv, p.batch("other"+id, true, topic))
	}
	p.write("produce", 3+v, id, topic)
	p.wrote(id)
	p.look("while it is open", topic, id)
	p.tell("commit offsets before they are added", offsetsV, p.offsets(id, topic, nil))
	p.tell("add offsets with an old epoch", addOffsetsV, older(id, p.addOffsets(id)))
	p.tell("add offsets", addOffsetsV, p.addOffsets(id))
	p.tell("commit offsets with an old epoch", offsetsV, older(id, p.offsets(id, topic, nil)))
	p.tell("commit offsets of another id", offsetsV, p.offsets("other"+id, topic, nil))
	if v >= 3 {
		p.tell("commit offsets of a stranger", offsetsV, p.offsets(id, topic, func(r *kmsg.TxnOffsetCommitRequest) { r.MemberID, r.Generation = "nobody", 3 }))
	}
	p.tell("commit offsets", offsetsV, p.offsets(id, topic, nil))
	p.look("with offsets in it", topic, id)
	p.tell("end with an old epoch", endV, older(id, p.end(id, true)))
	p.tell("commit", endV, p.end(id, true))
	p.tell("commit again", endV, p.end(id, true))
	p.tell("abort what is committed", endV, p.end(id, false))
	p.look("when it is committed", topic, id)
	p.tell("add to the next", addV, p.add(id, topic))
	p.write("produce to the next", 3+v, id, topic)
	p.wrote(id)
	p.tell("abort", endV, p.end(id, false))
	p.tell("abort again", endV, p.end(id, false))
	p.tell("commit what is aborted", endV, p.end(id, true))
	p.look("when it is aborted", topic, id)
	p.tell("add to the last", addV, p.add(id, topic))
	p.write("produce to the last", 3+v, id, topic)
	p.wrote(id)
	p.ask("init while one is open", initV, p.init(id, nil), false)
	zombies := [2]producer{*p.sessions[0].of(id), *p.sessions[1].of(id)}
	p.start("init after it was aborted", initV, id, nil)
	for i, s := range p.sessions {
		*s.of("zombie" + id) = zombies[i]
	}
	p.tell("end of a zombie", endV, func(s *teller) kmsg.Request {
		req := p.end("zombie"+id, true)(s).(*kmsg.EndTxnRequest)
		req.TransactionalID = id
		return req
	})
	p.write("produce of a zombie", 3+v, "zombie"+id, topic)
	p.look("when it was fenced", topic, id)
}

// secondProtocol tells of a producer that speaks KIP-890, with Produce at version v.
func (p *pair) secondProtocol(v int16) {
	p.t.Helper()
	id, topic := fmt.Sprintf("second-%d", v), fmt.Sprintf("second-%d", v)
	p.topic(topic)
	p.start("init", 5, id, nil)
	p.tell("commit nothing", 5, p.end(id, true))
	p.finish("abort nothing", id, false)
	p.tell("abort nothing again", 5, older(id, p.end(id, false)))
	p.write("produce", v, id, topic)
	p.wrote(id)
	p.tell("commit offsets", 5, p.offsets(id, topic, nil))
	p.tell("commit offsets of a stranger", 5, p.offsets(id, topic, func(r *kmsg.TxnOffsetCommitRequest) { r.MemberID, r.Generation = "nobody", 3 }))
	p.look("while it is open", topic, id)
	p.tell("end with an old epoch", 5, older(id, p.end(id, true)))
	p.finish("commit", id, true)
	p.tell("commit again", 5, older(id, p.end(id, true)))
	p.tell("abort what is committed", 5, older(id, p.end(id, false)))
	p.tell("commit the next before it is begun", 5, p.end(id, true))
	p.look("when it is committed", topic, id)
	p.tell("commit offsets with an old epoch", 5, older(id, p.offsets(id, topic, nil)))
	p.write("produce to the next", v, id, topic)
	p.wrote(id)
	p.tell("late end of the one before", 5, older(id, p.end(id, true)))
	p.finish("abort", id, false)
	p.tell("abort again", 5, older(id, p.end(id, false)))
	p.tell("commit what is aborted", 5, older(id, p.end(id, true)))
	p.look("when it is aborted", topic, id)
	p.write("produce to the last", v, id, topic)
	p.ask("init while one is open", 5, p.init(id, nil), false)
	zombies := [2]producer{*p.sessions[0].of(id), *p.sessions[1].of(id)}
	for i, s := range p.sessions {
		zombies[i].sequence++
		*s.of("zombie" + id) = zombies[i]
	}
	p.start("init after it was aborted", 5, id, nil)
	p.write("produce of a zombie", v, "zombie"+id, topic)
	p.start("init to go on", 5, id, func(s *teller, r *kmsg.InitProducerIDRequest) {
		r.ProducerID, r.ProducerEpoch = s.of(id).id, s.of(id).epoch
	})
	p.look("when it was fenced", topic, id)
}

// finish ends a transaction by KIP-890 and goes on with what the answer gives.
func (p *pair) finish(name, id string, commit bool) {
	p.t.Helper()
	p.tell(name, 5, func(s *teller) kmsg.Request {
		return p.end(id, commit)(s)
	})
	for _, s := range p.sessions {
		s.of(id).epoch++
		s.of(id).sequence = 0
	}
}

// markersByHand tells how an operator ends a transaction in one partition.
func (p *pair) markersByHand() {
	p.t.Helper()
	for v := int16(1); v <= 2; v++ {
		id, topic := fmt.Sprintf("hanging-%d", v), fmt.Sprintf("hanging-%d", v)
		marker := func(topic string, epoch, coordinator int16) func(s *teller) kmsg.Request {
			return func(s *teller) kmsg.Request {
				req := kmsg.NewPtrWriteTxnMarkersRequest()
				m := kmsg.NewWriteTxnMarkersRequestMarker()
				m.ProducerID, m.ProducerEpoch, m.CoordinatorEpoch = s.of(id).id, s.of(id).epoch+epoch, int32(coordinator)
				m.TransactionVersion = int8(v)
				m.Topics = []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: topic, Partitions: []int32{0}}}
				req.Markers = append(req.Markers, m)
				return req
			}
		}
		p.topic(topic)
		p.start("init", 5, id, nil)
		p.start("init again", 5, id, nil)
		p.write("produce", 12, id, topic)
		p.tell("marker with an old epoch", v, marker(topic, -1, 0))
		p.tell("marker to an unknown topic", v, marker("nowhere", 0, 0))
		p.look("while it hangs", topic, id)
		p.tell("marker with the epoch of the transaction", v, marker(topic, 0, 1))
		p.tell("marker with the next epoch", v, marker(topic, 1, 1))
		p.tell("marker of an old coordinator", v, marker(topic, 1, 0))
		p.look("when it was ended", topic, id)
	}
}

// features tells how transaction.version goes down and up.
func (p *pair) features() {
	p.t.Helper()
	change := func(name string, level int16, kind int8, validate bool) func(*teller) kmsg.Request {
		return func(*teller) kmsg.Request {
			req := kmsg.NewPtrUpdateFeaturesRequest()
			req.TimeoutMillis, req.ValidateOnly = 10_000, validate
			u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
			u.Feature, u.MaxVersionLevel, u.UpgradeType, u.AllowDowngrade = name, level, kind, kind != 1
			req.FeatureUpdates = append(req.FeatureUpdates, u)
			return req
		}
	}
	for v := range int16(3) {
		p.tell("change an unknown feature", v, change("no.such.feature", 1, 1, false))
		p.tell("raise too far", v, change("transaction.version", 9, 1, false))
		p.tell("lower without saying so", v, change("transaction.version", 1, 1, false))
		p.tell("raise by a downgrade", v, change("transaction.version", 9, 2, false))
		p.tell("set what is set", v, change("transaction.version", 2, 1, false))
		p.tell("only validate", v, change("transaction.version", 1, 2, v > 0))
		p.tell("lower", v, change("transaction.version", 0, 2, false))
		p.tell("raise", v, change("transaction.version", 2, 1, false))
		p.tell("lower unsafely", v, change("transaction.version", 1, 3, false))
		p.tell("raise again", v, change("transaction.version", 2, 1, false))
	}
	p.tell("an unknown kind of change", 1, change("transaction.version", 1, 7, false))
}
