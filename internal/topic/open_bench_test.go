package topic

import (
	"testing"

	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
)

// BenchmarkWarm opens 5,000 partitions of one record each, as a start does after a clean stop.
func BenchmarkWarm(b *testing.B) {
	const partitions = 5000
	dir := b.TempDir()
	var ids []storage.Partition
	for i := range int32(partitions) {
		ids = append(ids, storage.Partition{Topic: [16]byte{1}, Index: i})
	}
	open := func() (*embedded.Store, *Set) {
		s, err := embedded.Open(dir, embedded.Options{Sync: true})
		if err != nil {
			b.Fatal(err)
		}
		return s, NewSet(s, func(storage.Partition) Options { return options() })
	}
	s, set := open()
	set.Warm(b.Context(), ids)
	for i, id := range ids {
		p, err := set.Get(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		a, err := p.Produce(of(int64(i), 0, 0, 1), Client{})
		if err != nil || i == partitions-1 && a.Pending.Wait(b.Context()) != nil {
			b.Fatal(err)
		}
	}
	stop := func() {
		if err := set.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	stop()
	for b.Loop() {
		s, set = open()
		set.Warm(b.Context(), ids)
		b.StopTimer()
		if n := len(set.opened()); n != partitions {
			b.Fatalf("%d are open", n)
		}
		stop()
		b.StartTimer()
	}
}
