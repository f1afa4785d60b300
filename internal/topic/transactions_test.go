package topic

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/storage"
	"kelp/internal/storage/memory"
)

// v1 is a client whose partitions were added to the transaction before; v2 adds them by Produce.
var (
	v1 = Client{Transactional: true}
	v2 = Client{Transactional: true, Implicit: true}
)

// inTxn is a batch of count records that belongs to a transaction.
func inTxn(producer int64, epoch int16, sequence int32, count int) []byte {
	return batch.Encode(make([]batch.Record, count), batch.Options{
		ProducerID: producer, ProducerEpoch: epoch, BaseSequence: sequence, Transactional: true,
	})
}

// txnPartition is a partition and what tests do to it.
type txnPartition struct {
	*Partition
	t *testing.T
}

func inMemory(t *testing.T) txnPartition {
	t.Helper()
	s := memory.New()
	t.Cleanup(func() { _ = s.Close() })
	return txnPartition{reopened(t, s), t}
}

func reopened(t *testing.T, s storage.Store) *Partition {
	t.Helper()
	p, err := Open(t.Context(), s, id, options())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// put writes a batch, answering the coordinator's question with yes.
func (p txnPartition) put(b []byte, c Client, offset int64) {
	p.t.Helper()
	a, err := p.Produce(b, c)
	if err != nil {
		p.t.Fatal(err)
	}
	if a.Verify != nil {
		a.Verify.Done(nil)
	}
	if a.Pending != nil {
		if err := a.Pending.Wait(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
	}
	if got := a.Final().BaseOffset; got != offset {
		p.t.Fatalf("offset %d, want %d", got, offset)
	}
}

// refuse writes a batch that the partition or, with answer, the coordinator refuses.
func (p txnPartition) refuse(b []byte, c Client, answer error, want *kerr.Error) {
	p.t.Helper()
	a, err := p.Produce(b, c)
	if a.Verify != nil {
		a.Verify.Done(answer)
	}
	if err == nil && a.Pending != nil {
		err = a.Pending.Wait(p.t.Context())
	}
	if !errors.Is(err, want) {
		p.t.Fatalf("%v, want %v", err, want)
	}
}

func (p txnPartition) mark(m Marker, want error) {
	p.t.Helper()
	a, err := p.WriteMarker(m)
	if err == nil {
		err = a.Pending.Wait(p.t.Context())
	}
	if !errors.Is(err, want) {
		p.t.Fatalf("%v, want %v", err, want)
	}
}

// shows compares the high watermark, the last stable offset and the aborted transactions.
func (p txnPartition) shows(want string) {
	p.t.Helper()
	settled(p.t, p.Partition)
	got := fmt.Sprintf("high %d stable %d", p.HighWatermark(), p.LastStableOffset())
	for _, a := range p.Aborted(p.LogStartOffset(), p.HighWatermark()) {
		got += fmt.Sprintf(" aborted %d:%d-%d", a.ProducerID, a.FirstOffset, a.LastOffset)
	}
	if got != want {
		p.t.Fatalf("%s, want %s", got, want)
	}
}

// settled waits until the store has told the partition of everything that is durable.
func settled(t testing.TB, p *Partition) {
	t.Helper()
	wake := make(chan struct{}, 1)
	defer p.Watch(func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})()
	for {
		if _, end := p.log.Bounds(); p.HighWatermark() == end {
			return
		}
		select {
		case <-wake:
		case <-t.Context().Done():
			t.Fatal("the high watermark does not come")
		}
	}
}

func TestLastStableOffsetAndAbortedTransactions(t *testing.T) {
	dir := t.TempDir()
	s, part := opened(t, dir)
	p := txnPartition{part, t}
	p.put(of(-1, -1, -1, 1), Client{}, 0)
	p.shows("high 1 stable 1")
	p.put(inTxn(7, 0, 0, 2), v1, 1)
	p.put(inTxn(8, 0, 0, 1), v1, 3)
	p.put(inTxn(7, 0, 2, 1), v1, 4)
	p.shows("high 5 stable 1")
	p.mark(Marker{ProducerID: 8, CoordinatorEpoch: 3}, nil) // 5
	p.shows("high 6 stable 1 aborted 8:3-5")
	p.mark(Marker{ProducerID: 7, CoordinatorEpoch: 3, Commit: true}, nil) // 6
	p.shows("high 7 stable 7 aborted 8:3-5")
	p.put(inTxn(8, 0, 1, 1), v1, 7)
	p.mark(Marker{ProducerID: 8, CoordinatorEpoch: 3}, nil) // 8
	p.put(inTxn(9, 0, 0, 1), v1, 9)
	want := "high 10 stable 9 aborted 8:3-5 aborted 8:7-8"
	p.shows(want)
	if got := p.Aborted(6, 10); len(got) != 1 || got[0].FirstOffset != 7 {
		t.Fatal(got)
	}
	if got := p.Aborted(0, 3); len(got) != 0 {
		t.Fatal(got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, part = opened(t, dir)
	defer s.Close()
	p = txnPartition{part, t}
	p.shows(want)
	p.put(inTxn(9, 0, 1, 1), v1, 10) // its transaction is still open: nobody is asked
	for _, known := range p.Producers() {
		if known.ID == 9 && (known.TxnStartOffset != 9 || known.LastSequence != 1 || known.CoordinatorEpoch != -1) ||
			known.ID == 8 && (known.TxnStartOffset != -1 || known.CoordinatorEpoch != 3) {
			t.Errorf("%+v", known)
		}
	}
	if low, err := p.DeleteRecords(t.Context(), 6); err != nil || low != 6 {
		t.Fatal(low, err)
	}
	p.shows("high 11 stable 9 aborted 8:7-8")
	if low, err := p.DeleteRecords(t.Context(), -1); err != nil || low != 11 {
		t.Fatal(low, err)
	}
	p.shows("high 11 stable 11")
	p.mark(Marker{ProducerID: 9, CoordinatorEpoch: 3}, nil)
	p.shows("high 12 stable 12 aborted 9:9-11")
}

func TestReadCommittedEndsBeforeTheLastStableOffset(t *testing.T) {
	p := inMemory(t)
	f := func(from int64, wantOffsets []int64, wantAborted ...int64) {
		t.Helper()
		settled(t, p.Partition)
		span, aborted, err := p.ReadCommitted(t.Context(), from, 1<<20, true)
		if err != nil {
			t.Fatal(err)
		}
		defer span.Release()
		b, _ := span.Bytes()
		var offsets, producers []int64
		for len(b) > 0 {
			h, err := batch.ReadHeader(b)
			if err != nil {
				t.Fatal(err)
			}
			offsets, b = append(offsets, h.BaseOffset), b[h.TotalBytes():]
		}
		for _, a := range aborted {
			producers = append(producers, a.ProducerID)
		}
		if !slices.Equal(offsets, wantOffsets) || !slices.Equal(producers, wantAborted) {
			t.Fatalf("from %d: batches at %v, aborted %v", from, offsets, producers)
		}
	}
	f(0, nil)
	p.put(inTxn(7, 0, 0, 1), v1, 0)
	f(0, nil)
	p.mark(Marker{ProducerID: 7}, nil)
	f(0, []int64{0, 1}, 7)
	p.put(of(-1, -1, -1, 1), Client{}, 2)
	p.put(inTxn(7, 0, 1, 1), v1, 3)
	p.put(of(-1, -1, -1, 1), Client{}, 4)
	f(0, []int64{0, 1, 2}, 7)
	f(2, []int64{2})
	f(3, nil)
	f(4, nil)
	if _, _, err := p.ReadCommitted(t.Context(), 6, 1, true); !errors.Is(err, storage.ErrOutOfRange) {
		t.Fatal(err)
	}
}

// TestMarkersAreKafkas compares with bytes that Apache Kafka's MemoryRecords.withEndTransactionMarker
// writes for producer 5, epoch 2, coordinator epoch 3, time 4.
func TestMarkersAreKafkas(t *testing.T) {
	const kafka = "00000000000000000000004200000000021a07e02400300000000000000000000000040000000000000004" +
		"00000000000000050002ffffffff00000001200000000800000001" + "0c000000000003" + "00"
	b := batch.EncodeMarker(batch.Marker{Commit: true, CoordinatorEpoch: 3}, 4, batch.Options{ProducerID: 5, ProducerEpoch: 2})
	if got := hex.EncodeToString(b); got != kafka {
		t.Errorf("%s, want %s", got, kafka)
	}
}

func TestMarkersAreFenced(t *testing.T) {
	p := inMemory(t)
	p.put(inTxn(7, 4, 0, 1), v1, 0)
	p.mark(Marker{ProducerID: 7, ProducerEpoch: 3, CoordinatorEpoch: 2}, kerr.InvalidProducerEpoch)
	p.mark(Marker{ProducerID: 7, ProducerEpoch: 4, CoordinatorEpoch: 2, TransactionVersion: 2}, kerr.InvalidProducerEpoch)
	p.mark(Marker{ProducerID: 7, ProducerEpoch: 5, CoordinatorEpoch: 2, TransactionVersion: 2}, nil)
	p.mark(Marker{ProducerID: 7, ProducerEpoch: 5, CoordinatorEpoch: 2, TransactionVersion: 2}, nil) // once more
	p.mark(Marker{ProducerID: 7, ProducerEpoch: 5, CoordinatorEpoch: 1}, kerr.TransactionCoordinatorFenced)
	p.mark(Marker{ProducerID: 7, ProducerEpoch: 5, CoordinatorEpoch: 3}, nil)
	p.refuse(inTxn(7, 4, 1, 1), v2, nil, kerr.InvalidProducerEpoch)
	p.refuse(inTxn(7, 5, 1, 1), v2, nil, kerr.OutOfOrderSequenceNumber)
	p.put(inTxn(7, 5, 0, 1), v2, 4)
	p.mark(Marker{ProducerID: 99, ProducerEpoch: 1}, nil) // nothing is known of it
	p.refuse(inTxn(99, 0, 0, 1), v2, nil, kerr.InvalidProducerEpoch)
	p.shows("high 6 stable 4 aborted 7:0-1")
	p.refuse(of(7, 5, 1, 1), Client{}, nil, kerr.InvalidTxnState)
	p.refuse(batch.EncodeMarker(batch.Marker{}, 4, batch.Options{ProducerID: 7, ProducerEpoch: 5}), v2, nil, kerr.InvalidRecord)
}

func TestBatchesWaitForTheirTransactionToBeVerified(t *testing.T) {
	p := inMemory(t)
	produce := func(b []byte) Appended {
		t.Helper()
		a, err := p.Produce(b, v1)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	p.refuse(inTxn(7, 0, 0, 1), Client{}, nil, kerr.InvalidTxnState) // no transactional id
	first, second := produce(inTxn(7, 0, 0, 2)), produce(inTxn(7, 0, 2, 1))
	if first.Verify == nil || second.Verify != nil {
		t.Fatal("one question per producer is enough")
	}
	p.put(of(-1, -1, -1, 1), Client{}, 0) // others pass
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if err := first.Pending.Wait(short); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	first.Verify.Done(nil)
	for i, a := range []Appended{first, second} {
		if err := a.Pending.Wait(t.Context()); err != nil || a.Final().BaseOffset != []int64{1, 3}[i] {
			t.Fatalf("%+v %v", a.Final(), err)
		}
		<-a.Pending.Done()
	}
	p.put(inTxn(7, 0, 2, 1), v1, 3) // a repeat, here is what it got

	// An abort overtakes the answer: the batch must not open the next transaction.
	p.mark(Marker{ProducerID: 7, Commit: true}, nil)
	late := produce(inTxn(7, 0, 3, 1))
	p.mark(Marker{ProducerID: 7}, nil)
	late.Verify.Done(nil)
	if err := late.Pending.Wait(t.Context()); !errors.Is(err, kerr.InvalidTxnState) {
		t.Fatal(err)
	}
	// What was refused does not let later sequences pass.
	p.refuse(inTxn(8, 0, 0, 1), v1, kerr.InvalidTxnState, kerr.InvalidTxnState)
	p.refuse(inTxn(8, 0, 1, 1), v1, nil, kerr.OutOfOrderSequenceNumber)
	p.put(inTxn(8, 0, 0, 1), v1, 6)
	p.refuse(inTxn(9, 0, 5, 1), v2, nil, kerr.OutOfOrderSequenceNumber) // V2 begins with 0
	p.put(inTxn(10, 0, 5, 1), v1, 7)
	// A newer epoch takes the place of the one that waits.
	old := produce(inTxn(11, 0, 0, 1))
	p.put(inTxn(11, 1, 0, 1), v1, 8)
	old.Verify.Done(nil)
	if err := old.Pending.Wait(t.Context()); !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Fatal(err)
	}
	p.refuse(inTxn(11, 0, 0, 1), v1, nil, kerr.InvalidProducerEpoch)
}

// The first batch of a transaction can come before the marker of the one before (KIP-890 tells the client its next epoch
// with the decision): it waits for the coordinator, never joins what is still open, and outlives the marker.
func TestTheNextTransactionWaitsForTheMarkerOfTheOneBefore(t *testing.T) {
	p := inMemory(t)
	p.put(inTxn(7, 0, 0, 1), v2, 0)
	a, err := p.Produce(inTxn(7, 1, 0, 1), v2)
	if err != nil || a.Verify == nil {
		t.Fatalf("it is not asked about: %+v, %v", a, err)
	}
	p.mark(Marker{ProducerID: 7, ProducerEpoch: 1, Commit: true, TransactionVersion: 2}, nil)
	a.Verify.Done(nil)
	if err := a.Pending.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if offset := a.Final().BaseOffset; offset != 2 {
		t.Fatalf("it lies at %d, the marker at 1", offset)
	}
	settled(t, p.Partition)
	if stable := p.LastStableOffset(); stable != 2 {
		t.Fatal("the second transaction is open from 2 on, stable is", stable)
	}
}
