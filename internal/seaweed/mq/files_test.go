package mq

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"kelp/internal/seaweed"
	"kelp/internal/seaweed/filerpb"
	"kelp/internal/seaweed/mqpb"
)

func chunk(t testing.TB, entries ...*filerpb.LogEntry) []byte {
	t.Helper()
	var b []byte
	for _, e := range entries {
		one, err := proto.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(one))), one...)
	}
	return b
}

func TestEntriesOfAChunk(t *testing.T) {
	b := chunk(t,
		&filerpb.LogEntry{TsNs: 5, Data: []byte("v"), Key: []byte("k")}, // offset 0 is not written
		&filerpb.LogEntry{TsNs: 6, Offset: 1, PartitionKeyHash: -7},
	)
	var got []Entry
	if err := Entries(b, func(e Entry) error { got = append(got, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 ||
		got[0].TsNs != 5 || string(got[0].Key) != "k" || string(got[0].Value) != "v" || got[1].Offset != 1 || got[1].Key != nil {
		t.Errorf("%+v", got)
	}
	for cut := 1; cut < len(b); cut++ {
		n := 0
		err := Entries(b[:cut], func(Entry) error { n++; return nil })
		if whole := 4 + int(binary.BigEndian.Uint32(b)); cut != whole && !errors.Is(err, ErrCorrupt) || cut < whole && n != 0 {
			t.Errorf("cut at %d: %d entries, %v", cut, n, err)
		}
	}
	stop := errors.New("stop")
	if err := Entries(b, func(Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
}

func TestAFileThatBecameAnotherIsReadFromItsStart(t *testing.T) {
	f := func(chunks []int64, p Position, want bool) {
		t.Helper()
		e := seaweed.Entry{Name: p.File}
		for _, n := range chunks {
			e.Blobs = append(e.Blobs, seaweed.Blob{Bytes: n})
		}
		if got := same(e, p); got != want {
			t.Errorf("%v at %+v: %v", chunks, p, got)
		}
	}
	f([]int64{3, 4}, Position{File: "a", Chunks: 1, Bytes: 3}, true)
	f([]int64{3}, Position{File: "a", Chunks: 1, Bytes: 3}, true)
	f([]int64{5, 4}, Position{File: "a", Chunks: 1, Bytes: 3}, false)
	f(nil, Position{File: "a", Chunks: 1, Bytes: 3}, false)
	f([]int64{5}, Position{File: "a"}, true)
}

func TestPlacesInTheFiler(t *testing.T) {
	p := Partition{RingSize: RingSize, Start: 630, Stop: 1260, GenerationNs: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC).UnixNano()}
	if got := p.Dir(Topic{"kafka", "orders"}); got != "/topics/kafka/orders/v2026-01-02-03-04-05/0630-1260" {
		t.Error(got)
	}
}

func TestAssignmentsAreInTheOrderOfTheRing(t *testing.T) {
	var in []*mqpb.BrokerPartitionAssignment
	for _, start := range []int32{1890, 0, 630, 1260} {
		p := &mqpb.Partition{RingSize: RingSize, RangeStart: start, RangeStop: start + 630}
		in = append(in, &mqpb.BrokerPartitionAssignment{Partition: p, LeaderBroker: "b"})
	}
	var starts []int32
	for _, a := range assignmentsOf(in) {
		starts = append(starts, a.Partition.Start)
	}
	if !slices.Equal(starts, []int32{0, 630, 1260, 1890}) {
		t.Error(starts)
	}
}

func FuzzEntries(f *testing.F) {
	f.Add(chunk(f, &filerpb.LogEntry{TsNs: 5, Data: []byte("v"), Key: []byte("k"), Offset: 3}))
	f.Add([]byte{0, 0, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := Entries(b, func(Entry) error { return nil }); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
	})
}
