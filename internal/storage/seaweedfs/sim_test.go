package seaweedfs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kelp/internal/seaweed"
)

// sim is a SeaweedFS in memory, whose calls are lost, held up, repeated and left unanswered, as its
// seed says.
type sim struct {
	mu      sync.Mutex
	entries map[string]seaweed.Entry // by path
	blobs   map[string][]byte
	gone    map[string]string // which entry a blob was deleted with
	next    int
	random  *rand.Rand
	late    sync.WaitGroup // calls that take effect after their callers gave up

	faults float64       // share of calls that go wrong
	slow   time.Duration // most that a call is held up on each way
	away   bool
	fenced func(owner [16]byte) // told of each fence while the lock is held
}

var errLost = errors.New("simulated: no answer")

func newSim(seed uint64) *sim {
	return &sim{
		entries: map[string]seaweed.Entry{}, blobs: map[string][]byte{}, gone: map[string]string{},
		random: rand.New(rand.NewPCG(seed, 1)),
	}
}

// node is one node's way to the simulated SeaweedFS.
type node struct {
	*sim
	gate atomic.Pointer[chan struct{}] // of a paused process: its calls wait
	dead atomic.Bool                   // of a killed one
}

// fate is what becomes of one call.
type fate struct {
	to, from time.Duration // on the way there and back
	lost     bool          // it never arrives
	silent   bool          // the answer never arrives
	late     time.Duration // it arrives after the caller has given up
	again    time.Duration // it arrives a second time
}

func (s *sim) fate() (f fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	within := func(most time.Duration) time.Duration { return time.Duration(s.random.Int64N(int64(most) + 1)) }
	if s.slow > 0 {
		f.to, f.from = within(s.slow), within(s.slow)
	}
	if s.random.Float64() >= s.faults {
		return f
	}
	switch s.random.IntN(5) {
	case 0:
		f.lost = true
	case 1:
		f.silent = true
	case 2:
		f.late = time.Millisecond + within(20*time.Second)
	case 3:
		f.again = time.Millisecond + within(20*time.Second)
	case 4:
		f.to += within(3 * time.Second)
	}
	return f
}

// pass waits for as long as the node is paused and says whether it lives.
func (n *node) pass() bool {
	for gate := n.gate.Load(); gate != nil; gate = n.gate.Load() {
		<-*gate
	}
	return !n.dead.Load()
}

func wait(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// call runs do as the call's fate says.
func (n *node) call(ctx context.Context, do func() error) error {
	unclear := func() error { return fmt.Errorf("%w: %w", seaweed.ErrUnclear, errLost) }
	locked := func() error {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.away {
			return unclear()
		}
		return do()
	}
	later := func(d time.Duration) { // it is in the network: whether the node lives does not matter
		n.late.Go(func() {
			time.Sleep(d) //nolint:forbidigo // of the simulated network
			_ = locked()
		})
	}
	f := n.fate()
	if !n.pass() {
		return unclear()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	switch {
	case f.lost:
		wait(ctx, f.from)
		return unclear()
	case f.late > 0:
		later(f.late)
		wait(ctx, f.from)
		return unclear()
	case f.again > 0:
		later(f.again)
	}
	wait(ctx, f.to)
	err := locked()
	wait(ctx, f.from)
	if !n.pass() || f.silent {
		return unclear()
	}
	return err
}

func (n *node) PutBlob(ctx context.Context, b []byte, _ bool) (out seaweed.Blob, err error) {
	err = n.call(ctx, func() error {
		n.next++
		out = seaweed.Blob{FileID: fmt.Sprintf("1,%x", n.next), Bytes: int64(len(b))}
		n.blobs[out.FileID] = slices.Clone(b)
		return nil
	})
	return out, err
}

func (n *node) ReadBlob(ctx context.Context, fileID string, at int64, b []byte) error {
	return n.call(ctx, func() error {
		have, ok := n.blobs[fileID]
		if !ok {
			return fmt.Errorf("blob %s, which went with %s: %w", fileID, n.gone[fileID], seaweed.ErrNotFound)
		}
		if copy(b, have[at:]) != len(b) {
			return errors.New("simulated: blob too short")
		}
		return nil
	})
}

func (n *node) CreateOnce(ctx context.Context, dir string, e seaweed.Entry) error {
	return n.call(ctx, func() error {
		at := path.Join(dir, e.Name)
		if _, there := n.entries[at]; there {
			return seaweed.ErrExists
		}
		n.entries[at] = clone(e)
		if c, err := parseChunk(e.Content); err == nil && len(c.frames) == 0 && n.fenced != nil {
			n.fenced(c.owner)
		}
		return nil
	})
}

func clone(e seaweed.Entry) seaweed.Entry {
	e.Content = slices.Clone(e.Content)
	e.Blobs = slices.Clone(e.Blobs)
	return e
}

func (n *node) Put(ctx context.Context, dir string, e seaweed.Entry) error {
	return n.call(ctx, func() error {
		n.entries[path.Join(dir, e.Name)] = clone(e)
		return nil
	})
}

func (n *node) Lookup(ctx context.Context, dir, name string) (out seaweed.Entry, err error) {
	err = n.call(ctx, func() error {
		e, there := n.entries[path.Join(dir, name)]
		if !there {
			return fmt.Errorf("%s/%s: %w", dir, name, seaweed.ErrNotFound)
		}
		out = clone(e)
		return nil
	})
	return out, err
}

func (n *node) List(ctx context.Context, dir, after string, visit func(seaweed.Entry, bool) error) error {
	type found struct {
		e      seaweed.Entry
		folder bool
	}
	var all []found
	err := n.call(ctx, func() error {
		seen := map[string]bool{}
		for _, at := range slices.Sorted(maps.Keys(n.entries)) {
			rest, in := strings.CutPrefix(at, dir+"/")
			name, _, folder := strings.Cut(rest, "/")
			if !in || name <= after || seen[name] {
				continue
			}
			seen[name] = true
			e := seaweed.Entry{Name: name}
			if !folder {
				e = clone(n.entries[at])
			}
			all = append(all, found{e, folder})
		}
		return nil
	})
	for _, f := range all {
		if err == nil {
			err = visit(f.e, f.folder)
		}
	}
	return err
}

func (n *node) Delete(ctx context.Context, dir, name string) error {
	return n.call(ctx, func() error {
		at := path.Join(dir, name)
		for p, e := range n.entries {
			if p == at || strings.HasPrefix(p, at+"/") {
				for _, b := range e.Blobs {
					delete(n.blobs, b.FileID)
					n.gone[b.FileID] = at
				}
				delete(n.entries, p)
			}
		}
		return nil
	})
}
