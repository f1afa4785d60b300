package topic

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
)

// The machine that owns a state partition appends to it; others read it and cannot write.
func TestAnOwnedPartitionIsReadByAllAndWrittenByOne(t *testing.T) {
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	set := NewSet(s, func(storage.Partition) Options {
		o := options()
		o.State = true
		return o
	})
	log, err := set.Own(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	p, err := set.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	wake := make(chan struct{}, 1)
	defer p.Watch(func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})()
	b := of(-1, -1, -1, 1, 2, 3)
	if err := log.Append(storage.Batch{Count: 3, MaxTimestampMs: 3, Bytes: b}).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-wake
	span, err := p.Read(t.Context(), 0, 1<<20, true)
	if err != nil || p.HighWatermark() != 3 || span.Len() != len(b) {
		t.Fatal(err, p.HighWatermark(), span.Len())
	}
	span.Release()
	if _, err := p.Produce(of(-1, -1, -1, 4), Client{}); !errors.Is(err, kerr.InvalidTopicException) {
		t.Fatal(err)
	}
}
