package statelog

import (
	"context"
	"sync"
)

// Answer is a reply on its way. Every answer is given in the end, if only because the runner ended.
type Answer struct {
	mu       sync.Mutex // guards what follows
	given    bool
	response any
	err      error
	done     chan struct{} // made by the first who waits
	notify   func()
}

// give answers, unless that was done before.
func (a *Answer) give(response any, err error) {
	a.mu.Lock()
	if a.given {
		a.mu.Unlock()
		return
	}
	a.given, a.response, a.err = true, response, err
	notify := a.notify
	a.notify = nil
	if a.done != nil {
		close(a.done)
	}
	a.mu.Unlock()
	if notify != nil {
		notify()
	}
}

// Notify has f called once Wait gives the response at once: at most one f for an answer, which runs on the
// runner's goroutine or the caller's and must not block. A request that waits needs no goroutine then.
func (a *Answer) Notify(f func()) {
	a.mu.Lock()
	given := a.given
	if !given {
		a.notify = f
	}
	a.mu.Unlock()
	if given {
		f()
	}
}

// Wait gives the response once it may be known.
func (a *Answer) Wait(ctx context.Context) (any, error) {
	a.mu.Lock()
	if a.given {
		defer a.mu.Unlock()
		return a.response, a.err
	}
	if a.done == nil {
		a.done = make(chan struct{})
	}
	done := a.done
	a.mu.Unlock()
	select {
	case <-done:
		return a.response, a.err // what was given stays
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
