package cluster

import (
	"context"
	"errors"
	"testing"
	"time"

	"kelp/internal/storage"
	"kelp/internal/storage/memory"
)

// flaky is a store whose next append is kept, but reported as failed; opening fails while away.
type flaky struct {
	storage.Store
	lose, away bool
}

func (f *flaky) Open(ctx context.Context, p storage.Partition, o storage.OpenOptions) (storage.Log, error) {
	if f.away {
		return nil, storage.ErrUnavailable
	}
	l, err := f.Store.Open(ctx, p, o)
	return flakyLog{l, f}, err
}

type flakyLog struct {
	storage.Log
	f *flaky
}

type lost struct{ storage.Pending }

func (l lost) Wait(ctx context.Context) error {
	return errors.Join(storage.ErrUnavailable, l.Pending.Wait(ctx))
}

func (l flakyLog) Append(b storage.Batch) storage.Pending {
	p := l.Log.Append(b)
	if l.f.lose {
		return lost{p}
	}
	return p
}

// After a change of unknown fate nothing else is changed until the metadata has been read again.
func TestReviveFindsOutWhatBecameOfAChange(t *testing.T) {
	s := &flaky{Store: memory.New()}
	c, err := Open(t.Context(), s, Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	create := func(name string) error {
		_, err := c.CreateTopic(t.Context(), Topic{Name: name, Partitions: 1}, false)
		return err
	}
	id, err := c.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.lose = true
	if err := create("kept"); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatal(err)
	}
	s.lose, s.away = false, true
	if err := create("later"); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("a change before the metadata was read again: %v", err)
	}
	if ok, err := c.Revive(t.Context()); ok || err == nil {
		t.Fatalf("revived %v, %v while storage is away", ok, err)
	}
	s.away = false
	if ok, err := c.Revive(t.Context()); !ok || err != nil {
		t.Fatalf("revived %v, %v", ok, err)
	}
	if ok, err := c.Revive(t.Context()); ok || err != nil {
		t.Fatalf("revived twice: %v, %v", ok, err)
	}
	if err := create("kept"); !errors.Is(err, ErrExists) {
		t.Fatalf("the change whose answer was lost is forgotten: %v", err)
	}
	if err := create("later"); err != nil {
		t.Fatal(err)
	}
	if next, err := c.Next(t.Context()); err != nil || next != id+1 {
		t.Fatalf("producer id %d follows %d: %v", next, id, err)
	}
}
