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

	"kelp/internal/seaweed"
)

// sim is a SeaweedFS in memory that can lose answers and refuse calls, as its seed says.
type sim struct {
	mu      sync.Mutex
	entries map[string]seaweed.Entry // by path
	blobs   map[string][]byte
	next    int
	random  *rand.Rand
	faults  float64 // share of calls that fail; half of them after they took effect
	away    bool
	frozen  map[*node]chan struct{}
}

var errLost = errors.New("simulated: no answer")

func newSim(seed uint64) *sim {
	return &sim{
		entries: map[string]seaweed.Entry{}, blobs: map[string][]byte{}, random: rand.New(rand.NewPCG(seed, 1)),
		frozen: map[*node]chan struct{}{},
	}
}

// node is one node's way to the simulated SeaweedFS.
type node struct{ *sim }

// call runs f, unless the call is lost on its way there, and loses some answers.
func (n *node) call(ctx context.Context, f func() error) error {
	n.mu.Lock()
	wait := n.frozen[n]
	before, after := n.random.Float64() < n.faults/2, n.random.Float64() < n.faults/2
	n.mu.Unlock()
	if wait != nil { // a paused process: its request leaves when it goes on
		<-wait
	}
	if err := ctx.Err(); err != nil && wait == nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away || before {
		return fmt.Errorf("%w: %w", seaweed.ErrUnclear, errLost)
	}
	err := f()
	if after {
		return fmt.Errorf("%w: %w", seaweed.ErrUnclear, errLost)
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
			return seaweed.ErrNotFound
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
			return seaweed.ErrNotFound
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
				}
				delete(n.entries, p)
			}
		}
		return nil
	})
}
