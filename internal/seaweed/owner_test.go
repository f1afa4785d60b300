package seaweed

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

const root = "/kelp"

func owner(t *testing.T, o Options) (string, error) {
	t.Helper()
	c, err := Owner(t.Context(), o, root)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	return c.Filer(), nil
}

func wantOwner(t *testing.T, o Options, want *fakeFiler) {
	t.Helper()
	if got, err := owner(t, o); err != nil || got != want.addr {
		t.Fatalf("owner %s, %v; want %s", got, err, want.addr)
	}
}

func wantRefused(t *testing.T, o Options, words string) {
	t.Helper()
	if got, err := owner(t, o); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), words) {
		t.Fatalf("owner %s, %v; want ErrUnsafe with %q", got, err, words)
	}
}

// Filers of one store: the oldest is claimed, and stays the owner whatever filers come and go.
func TestOwnerOfASharedStore(t *testing.T) {
	shared := newMetadata(7)
	young, old := newFiler(t, shared), newFiler(t, shared)
	addr, master := newMaster(t, young, old)
	o := Options{Masters: []string{addr}}
	wantOwner(t, o, old)
	older := newFiler(t, shared)
	master.filers = append(master.filers, older)
	wantOwner(t, o, old)
	o.Filer = young.addr
	wantRefused(t, o, "is written through filer "+old.addr)
	o.Filer = old.addr
	wantOwner(t, o, old)
	// While it is away nobody goes elsewhere by themselves.
	old.server.Stop()
	master.filers = master.filers[:1]
	o.Filer = ""
	if got, err := owner(t, o); err == nil || errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "does not answer") {
		t.Fatalf("owner %s, %v", got, err)
	}
	// Somebody says that it is gone for good.
	o.Filer = young.addr
	wantOwner(t, o, young)
	o.Filer = ""
	wantOwner(t, o, young)
}

func TestOwnerOfSeparateStores(t *testing.T) {
	a, b := newFiler(t, newMetadata(1)), newFiler(t, newMetadata(2))
	addr, master := newMaster(t, a, b)
	o := Options{Masters: []string{addr}}
	wantRefused(t, o, "metadata stores of their own")
	o.Filer = a.addr
	wantOwner(t, o, a)
	o.Filer = b.addr
	wantRefused(t, o, "is written through filer "+a.addr)
	o.Filer = ""
	wantOwner(t, o, a)
	// The claim has not reached the other store, and its filer is gone: that one is not believed.
	a.server.Stop()
	master.filers = master.filers[1:]
	o.Filer = b.addr
	if got, err := owner(t, o); err != nil || got != b.addr {
		// It cannot be known here that a log exists in a's store; see below for where it can.
		t.Fatalf("owner %s, %v", got, err)
	}
}

// The first claim is not made while a filer is silent: it might hold one.
func TestOwnerAsksEveryFilerFirst(t *testing.T) {
	a, b := newFiler(t, newMetadata(1)), newFiler(t, newMetadata(2))
	addr, _ := newMaster(t, a, b)
	b.server.Stop()
	if got, err := owner(t, Options{Masters: []string{addr}, Filer: a.addr}); err == nil {
		t.Fatalf("owner %s although a filer is silent", got)
	}
}

// Nodes that come first at the same time through different filers never go on with both.
func TestOwnersRace(t *testing.T) {
	for round := range 20 {
		stores := []*metadata{newMetadata(1), newMetadata(2)}
		if round%2 == 0 {
			stores[1] = stores[0]
		}
		a, b := newFiler(t, stores[0]), newFiler(t, stores[1])
		addr, _ := newMaster(t, a, b)
		var got [4]string
		var wg sync.WaitGroup
		for i := range got {
			wg.Go(func() {
				got[i], _ = owner(t, Options{Masters: []string{addr}, Filer: []*fakeFiler{a, b}[i%2].addr})
			})
		}
		wg.Wait()
		won := ""
		for _, filer := range got {
			if filer != "" && won != "" && filer != won {
				t.Fatalf("owners %v", got)
			}
			won = max(won, filer)
		}
	}
}

func TestNodesAsksTheNextMasterAndTheLeader(t *testing.T) {
	f := newFiler(t, newMetadata(1))
	leader, _ := newMaster(t, f)
	follower, state := newMaster(t) // knows no filer
	state.leader = leader
	o := Options{Masters: []string{"127.0.0.1:1.1", follower}}
	if got, err := Nodes(t.Context(), o, "filer"); err != nil || len(got) != 1 || got[0] != f.addr {
		t.Fatal(got, err)
	}
	state.leader = "127.0.0.1:1.1" // it is gone, and a new one is not chosen yet
	if got, err := Nodes(t.Context(), o, "filer"); err == nil {
		t.Fatal(got)
	}
	o.Masters = append(o.Masters, leader)
	if got, err := Nodes(t.Context(), o, "filer"); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if _, err := Nodes(t.Context(), Options{}, "filer"); err == nil {
		t.Fatal("no master is no error")
	}
}

func TestProbe(t *testing.T) {
	f := newFiler(t, newMetadata(1))
	c := dialled(t, f, Options{})
	if err := c.Probe(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if len(f.entries) > 0 {
		t.Fatalf("%d entries stay", len(f.entries))
	}
	if err := c.ProbeBlob(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	refused := func(words string) {
		t.Helper()
		if err := c.Probe(t.Context(), root); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), words) {
			t.Fatalf("%v, want ErrUnsafe with %q", err, words)
		}
	}
	f.ttl = 60
	refused("entries expire after 60 seconds")
	f.ttl, f.blind = 0, true
	refused("8 of 8 concurrent creates")
	f.blind, f.silent = false, true
	if err := c.Probe(t.Context(), root); err == nil || errors.Is(err, ErrUnsafe) {
		t.Fatalf("a filer whose answers are lost: %v", err)
	}
}

func TestLease(t *testing.T) {
	f := newFiler(t, newMetadata(1))
	a, b := dialled(t, f, Options{}), dialled(t, f, Options{})
	const ttl = 3 * time.Second // also bounds each call: a busy machine must not make one late
	first, err := a.Acquire(t.Context(), LeaseOptions{Name: "l", Owner: "a", TTL: ttl, Waiting: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	lost := make(chan struct{}, 100)
	first.OnLost(func() {
		select {
		case lost <- struct{}{}:
		default:
		}
	}, nil)
	waiting, got := make(chan error, 100), make(chan *Lease, 1)
	go func() {
		l, err := b.Acquire(t.Context(), LeaseOptions{Name: "l", Owner: "b", TTL: ttl, Waiting: func(err error) { waiting <- err }})
		if err != nil {
			waiting <- err
		}
		got <- l
	}()
	if err := <-waiting; !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
	f.mu.Lock() // as if the first had been paused for longer than the lease
	f.lock, f.late = "", "a"
	f.mu.Unlock()
	second := <-got
	<-lost // the first is told
	first.Release()
	second.Release()
}

// An owner that cannot reach the filer is told so once, if somebody waits for the lock.
func TestCutOff(t *testing.T) {
	for _, queued := range []bool{true, false} {
		shared := newMetadata(1)
		f, other := newFiler(t, shared), newFiler(t, shared)
		a, b := dialled(t, f, Options{}), dialled(t, other, Options{})
		const ttl = 500 * time.Millisecond
		o := LeaseOptions{Name: "l", Owner: "a", TTL: ttl, Queue: root + "/queue", Waiting: func(err error) { t.Error(err) }}
		l, err := a.Acquire(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		told := make(chan struct{}, 10)
		l.OnLost(nil, func() { told <- struct{}{} })
		q := queue{c: b, dir: o.Queue, name: "b"}
		for listed := 0; listed < 3; { // it has looked at the queue more than once while somebody was in it
			if queued {
				q.show(t.Context(), 0)
			}
			if err := sleep(t.Context(), ttl/10); err != nil {
				t.Fatal(err)
			}
			shared.mu.Lock()
			listed = f.listed
			shared.mu.Unlock()
		}
		f.server.Stop()
		if queued {
			<-told
		} else if err := sleep(t.Context(), 4*ttl); err != nil || len(told) > 0 {
			t.Fatalf("it makes way for nobody (%v)", err)
		}
		l.Release()
	}
}
