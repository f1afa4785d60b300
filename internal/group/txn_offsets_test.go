package group

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

func (h *harness) guard(t *testing.T, producerID int64, epoch int16) Guard {
	t.Helper()
	return stepFor[Guard](t, h, func(in statelog.Input) statelog.Effects { return h.m.TxnGuard(in, producerID, epoch) })
}

// stepFor runs a step and gives its one reply, which need not be a response.
func stepFor[R any](t *testing.T, h *harness, f func(in statelog.Input) statelog.Effects) R {
	t.Helper()
	var out R
	h.step(t, func(in statelog.Input) statelog.Effects {
		e := f(in)
		if len(e.Replies) != 1 {
			t.Fatalf("%d replies", len(e.Replies))
		}
		out, _ = e.Replies[0].Response.(R)
		e.Replies = nil
		return e
	})
	return out
}

func (h *harness) txnCommit(t *testing.T, producerID int64, epoch int16, at int64, g Guard) int16 {
	t.Helper()
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = 3, "g", producerID, epoch, -1
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = "t"
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset, p.LeaderEpoch = at, -1
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	resp := stepFor[*kmsg.TxnOffsetCommitResponse](t, h, func(in statelog.Input) statelog.Effects { return h.m.TxnOffsetCommit(in, req, g) })
	return resp.Topics[0].Partitions[0].ErrorCode
}

func (h *harness) marker(t *testing.T, end TxnMarker) error {
	t.Helper()
	var err error
	h.step(t, func(in statelog.Input) statelog.Effects {
		e := h.m.EndTxn(in, end)
		err = e.Replies[0].Err
		return e
	})
	return err
}

// fetched gives the offset of t/0, or the negative code it fails with.
func (h *harness) fetched(t *testing.T, stable bool) int64 {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.RequireStable = 8, stable
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = "g"
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.Partitions = "t", []int32{0}
	g.Topics = append(g.Topics, topic)
	req.Groups = append(req.Groups, g)
	resp := stepFor[*kmsg.OffsetFetchResponse](t, h, func(in statelog.Input) statelog.Effects { return h.m.OffsetFetch(in, req) })
	p := resp.Groups[0].Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		return -int64(p.ErrorCode)
	}
	return p.Offset
}

// restarted checks that the records rebuild what is known and goes on with the rebuilt machine.
func (h *harness) restarted(t *testing.T) {
	t.Helper()
	again := New(h.m.o)
	for r := range h.m.Records() {
		if err := again.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	h.m = again
}

func TestOffsetsOfATransactionCountOnceItIsCommitted(t *testing.T) {
	h := newHarness()
	const open = -88 // UNSTABLE_OFFSET_COMMIT
	want := func(stable, unstable int64) {
		t.Helper()
		for range 2 {
			if s, u := h.fetched(t, true), h.fetched(t, false); s != stable || u != unstable {
				t.Fatalf("stable %d, else %d; want %d, %d", s, u, stable, unstable)
			}
			h.restarted(t)
		}
	}
	want(-1, -1)
	if code := h.txnCommit(t, 7, 0, 10, h.guard(t, 7, 0)); code != 0 {
		t.Fatal(code)
	}
	want(open, -1)
	if err := h.marker(t, TxnMarker{ProducerID: 7, ProducerEpoch: 0, Commit: true}); err != nil {
		t.Fatal(err)
	}
	want(10, 10)
	// KIP-890: the marker's epoch is above the transaction's.
	h.txnCommit(t, 7, 1, 20, h.guard(t, 7, 1))
	late := TxnMarker{ProducerID: 7, ProducerEpoch: 1, Commit: true, Version: 2}
	if err := h.marker(t, late); !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Fatal(err)
	}
	want(open, 10)
	if err := h.marker(t, TxnMarker{ProducerID: 7, ProducerEpoch: 2, Version: 2}); err != nil {
		t.Fatal(err)
	}
	want(10, 10)
	// An offset committed after the transaction's is the newer one, in whatever order records are kept.
	h.txnCommit(t, 8, 0, 30, h.guard(t, 8, 0))
	h.commit(t, 40)
	want(open, 40)
	h.marker(t, TxnMarker{ProducerID: 8, ProducerEpoch: 1, Commit: true, Version: 2})
	want(40, 40)
}

func (h *harness) commit(t *testing.T, at int64) {
	t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, "g", -1
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = "t"
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = at
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	stepFor[*kmsg.OffsetCommitResponse](t, h, func(in statelog.Input) statelog.Effects { return h.m.OffsetCommit(in, req) })
}

func TestAGuardFromBeforeAMarkerLetsNothingIn(t *testing.T) {
	h := newHarness()
	old := h.guard(t, 7, 0)
	if code := h.txnCommit(t, 7, 0, 1, old); code != 0 {
		t.Fatal(code)
	}
	if !h.guard(t, 7, 0).Open || h.guard(t, 7, 1).Open {
		t.Fatal("open is this epoch's and no other's")
	}
	h.marker(t, TxnMarker{ProducerID: 7, ProducerEpoch: 0, Commit: true})
	if code := h.txnCommit(t, 7, 0, 2, old); code != kerr.InvalidTxnState.Code {
		t.Fatal(code)
	}
	fresh := h.guard(t, 7, 0)
	h.marker(t, TxnMarker{ProducerID: 8, ProducerEpoch: 0, Commit: true}) // somebody else's
	if code := h.txnCommit(t, 7, 0, 2, fresh); code != 0 {
		t.Fatal(code)
	}
	before := h.guard(t, 9, 0)
	h.restarted(t)
	if code := h.txnCommit(t, 9, 0, 2, before); code != kerr.InvalidTxnState.Code {
		t.Fatal("a guard of a machine that is gone", code)
	}
	if code := h.txnCommit(t, 7, -1, 2, h.guard(t, 7, -1)); code != kerr.InvalidProducerEpoch.Code {
		t.Fatal(code)
	}
}

func TestDeletingAGroupForgetsItsOpenOffsets(t *testing.T) {
	h := newHarness()
	h.txnCommit(t, 7, 0, 1, h.guard(t, 7, 0))
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{"g"}
	stepFor[*kmsg.DeleteGroupsResponse](t, h, func(in statelog.Input) statelog.Effects { return h.m.DeleteGroups(in, req) })
	h.marker(t, TxnMarker{ProducerID: 7, ProducerEpoch: 0, Commit: true})
	if at := h.fetched(t, true); at != -1 {
		t.Fatal(at)
	}
}
