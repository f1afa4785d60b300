package topic

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
	"kelp/internal/vfs"
)

// TestAFullDisk: produce is refused, reading goes on, and once there is room again the partition takes
// records without a start, with its producers and transactions as they are stored.
func TestAFullDisk(t *testing.T) {
	fs := vfs.NewMem()
	s, err := embedded.Open("/data", embedded.Options{FS: fs, Sync: true, FileBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.UnixMilli(5000)
	set := NewSet(s, func(storage.Partition) Options {
		o := options()
		o.Now = func() time.Time { return now }
		return o
	})
	get := func() txnPartition {
		t.Helper()
		p, err := set.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return txnPartition{p, t}
	}
	get().put(inTxn(8, 0, 0, 1), v1, 0)
	fs.SetCapacity(1)
	sequence := int32(0)
	for ; ; sequence++ {
		a, err := get().Produce(of(9, 0, sequence, 1), Client{})
		if err == nil {
			err = a.Pending.Wait(t.Context())
		}
		if errors.Is(err, storage.ErrUnavailable) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	settled(t, get().Partition)
	if get().HighWatermark() != int64(sequence)+1 || len(stored(t, get().Partition)) == 0 {
		t.Fatalf("%d of %d records can be read", get().HighWatermark(), sequence+1)
	}
	for range 3 { // it stays full
		now = now.Add(time.Minute)
		_ = set.Upkeep(t.Context())
		a, err := get().Produce(of(9, 0, sequence, 1), Client{})
		if err == nil {
			err = a.Pending.Wait(t.Context())
		}
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	fs.SetCapacity(0)
	deadline := time.Now().Add(2 * time.Minute)
	for {
		now = now.Add(time.Minute)
		err := set.Upkeep(t.Context())
		if failed, _ := get().tend(); err == nil && !failed {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	get().refuse(of(9, 0, sequence+1, 1), Client{}, nil, kerr.OutOfOrderSequenceNumber)
	get().put(of(9, 0, sequence, 1), Client{}, int64(sequence)+1)
	get().put(of(9, 0, sequence, 1), Client{}, int64(sequence)+1) // a repeat
	if get().LastStableOffset() != 0 {
		t.Errorf("stable %d, a transaction is open at 0", get().LastStableOffset())
	}
	get().mark(Marker{ProducerID: 8, Commit: true}, nil)
}
