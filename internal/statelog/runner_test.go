package statelog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"reflect"
	"slices"
	"sync"
	"testing"

	"kelp/internal/storage"
	"kelp/internal/storage/embedded"
)

// counter is a machine that counts; it holds a reply back until a later step.
type counter struct{ n int64 }

func (c *counter) Apply(r Record) error {
	c.n = int64(binary.BigEndian.Uint64(r.Value))
	return nil
}
func (c *counter) Loaded(Input) Effects          { return Effects{} }
func (c *counter) Timeout(Input, string) Effects { return Effects{} }
func (c *counter) Records() iter.Seq[Record]     { return func(func(Record) bool) {} }

func (c *counter) add(in Input) Effects {
	value := binary.BigEndian.AppendUint64(nil, uint64(c.n+1))
	return Effects{Records: []Record{{Key: []byte("n"), Value: value}}, Replies: []Reply{{To: in.Ticket, Response: c.n + 1}}}
}

var part = storage.Partition{Topic: [16]byte{9}}

func opener(t *testing.T, s storage.Store) func(context.Context) (storage.Log, error) {
	t.Helper()
	return func(ctx context.Context) (storage.Log, error) {
		if err := s.Create(ctx, part); err != nil {
			return nil, err
		}
		return s.Open(ctx, part, storage.OpenOptions{})
	}
}

func TestEveryAnsweredStepIsThereAfterReopening(t *testing.T) {
	dir := t.TempDir()
	for round := range int64(3) {
		s, err := embedded.Open(dir, embedded.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open(t.Context(), Options[*counter]{Log: opener(t, s), Fresh: func() *counter { return &counter{} }})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		seen := map[int64]bool{}
		for range 8 {
			wg.Go(func() {
				for range 100 {
					got, err := r.Submit((*counter).add).Wait(t.Context())
					mu.Lock()
					if err != nil || seen[got.(int64)] || got.(int64) <= round*800 {
						t.Errorf("%v %v", got, err)
					}
					seen[got.(int64)] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		r.Close()
		if _, err := r.Submit((*counter).add).Wait(t.Context()); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// failing lets appends fail once.
type failing struct {
	storage.Log
	fail *bool
}

type failed struct{ err error }

func (f failed) Wait(context.Context) error { return f.err }
func (f failed) Done() <-chan struct{}      { return nil }

func (f failing) Append(b storage.Batch) storage.Pending {
	if *f.fail {
		*f.fail = false
		return failed{storage.ErrUnavailable}
	}
	return f.Log.Append(b)
}

func TestAFailedAppendIsForgottenByReplay(t *testing.T) {
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	open, fail := opener(t, s), false
	r, err := Open(t.Context(), Options[*counter]{Log: func(ctx context.Context) (storage.Log, error) {
		l, err := open(ctx)
		return failing{l, &fail}, err
	}, Fresh: func() *counter { return &counter{} }})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f := func(want int64, wantErr error) {
		t.Helper()
		got, err := r.Submit((*counter).add).Wait(t.Context())
		if !errors.Is(err, wantErr) || wantErr == nil && got.(int64) != want {
			t.Fatalf("%v %v", got, err)
		}
	}
	f(1, nil)
	fail = true
	f(0, ErrMoved)
	f(2, nil)
}

// diary keeps every record it is given and calls out once for each plain one.
type diary struct{ seen []Record }

func (d *diary) Apply(r Record) error {
	d.seen = append(d.seen, Record{Key: bytes.Clone(r.Key), Transaction: r.Transaction})
	return nil
}
func (d *diary) Loaded(Input) Effects          { return Effects{Calls: []Call{"loaded"}} }
func (d *diary) Timeout(Input, string) Effects { return Effects{} }
func (d *diary) Records() iter.Seq[Record]     { return func(func(Record) bool) {} }

func TestTransactionalRecordsComeBackAsTheyWere(t *testing.T) {
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	calls := make(chan Call, 8)
	o := Options[*diary]{Log: opener(t, s), Fresh: func() *diary { return &diary{} }, Call: func(c Call) { calls <- c }}
	r, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	txn := func(id int64, ended *Marker) *Transaction {
		return &Transaction{ProducerID: id, ProducerEpoch: 3, Ended: ended}
	}
	want := []Record{
		{Key: []byte("plain")},
		{Key: []byte("a"), Transaction: txn(7, nil)},
		{Key: []byte("b"), Transaction: txn(7, nil)},
		{Key: []byte("c"), Transaction: txn(8, nil)},
		{Transaction: txn(7, &Marker{Commit: true, CoordinatorEpoch: 5})},
		{Transaction: txn(8, &Marker{})},
		{Key: []byte("last")},
	}
	step := func(_ *diary, in Input) Effects {
		return Effects{Records: slices.Clone(want), Replies: []Reply{{To: in.Ticket}}, Calls: []Call{"after"}}
	}
	if _, err := r.Submit(step).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if first, second := <-calls, <-calls; first != "loaded" || second != "after" {
		t.Fatalf("calls %v, %v", first, second)
	}
	r.Close()
	again, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !reflect.DeepEqual(again.m.seen, want) {
		t.Fatalf("%+v", again.m.seen)
	}
}
