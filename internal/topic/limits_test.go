package topic

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/storage"
	"kelp/internal/storage/memory"
)

// limited is a set in memory whose clock the test moves.
func limited(t *testing.T, l Limits) (set *Set, get func(index int32) txnPartition, tick func()) {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { _ = s.Close() })
	now := time.UnixMilli(5000)
	set = NewSet(s, func(storage.Partition) Options {
		o := options()
		o.Now = func() time.Time { return now }
		return o
	})
	set.Limit(l)
	get = func(index int32) txnPartition {
		t.Helper()
		p, err := set.Get(t.Context(), storage.Partition{Topic: [16]byte{1}, Index: index})
		if err != nil {
			t.Fatal(err)
		}
		return txnPartition{p, t}
	}
	return set, get, func() {
		t.Helper()
		now = now.Add(time.Second)
		if err := set.Upkeep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestProducersOfAllPartitionsAreBounded: the longest silent go first, wherever they are; those with
// a transaction open stay.
func TestProducersOfAllPartitionsAreBounded(t *testing.T) {
	set, get, tick := limited(t, Limits{Producers: 20})
	get(0).put(inTxn(1000, 0, 0, 1), v1, 0) // the oldest of all
	for i := range int64(30) {
		get(int32(i%3)).put(of(i, 0, 0, 1), Client{}, i/3+map[bool]int64{true: 1}[i%3 == 0])
		tick()
	}
	known := map[int64]bool{}
	for index := range int32(3) {
		for _, p := range get(index).Producers() {
			known[p.ID] = true
		}
	}
	if n, _ := set.Remembered(); len(known) > 20 || int(n) != len(known) || len(known) < 17 {
		t.Errorf("%d producers, %d are said to be there", len(known), n)
	}
	for _, id := range []int64{1000, 29, 28, 20} {
		if !known[id] {
			t.Errorf("producer %d is forgotten", id)
		}
	}
	if known[0] || known[5] {
		t.Error("the longest silent are still known")
	}
}

// TestAbortedTransactionsAreBounded: beyond the limit none begins, those that are open go on and end,
// and once retention has taken the records of some it is over.
func TestAbortedTransactionsAreBounded(t *testing.T) {
	_, get, tick := limited(t, Limits{Aborted: 2})
	p := get(0)
	p.put(inTxn(50, 0, 0, 1), v1, 0)
	for i := range int64(3) {
		p.put(inTxn(i, 0, 0, 1), v1, 1+2*i)
		p.mark(Marker{ProducerID: i}, nil)
	}
	p.put(inTxn(9, 0, 7, 1), v1, 7) // not counted yet
	tick()
	get(1).refuse(inTxn(8, 0, 0, 1), v1, nil, kerr.PolicyViolation)
	p.refuse(inTxn(0, 0, 1, 1), v1, nil, kerr.PolicyViolation)
	p.put(of(-1, -1, -1, 1), Client{}, 8)             // without a transaction
	p.put(inTxn(50, 0, 1, 1), v1, 9)                  // of one that is open
	p.put(inTxn(50, 0, 1, 1), v1, 9)                  // a repeat of it
	p.mark(Marker{ProducerID: 50, Commit: true}, nil) // 10
	p.mark(Marker{ProducerID: 9}, nil)                // 11
	settled(t, p.Partition)
	if _, err := p.DeleteRecords(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	tick()
	get(1).put(inTxn(8, 0, 0, 1), v1, 0)
}
