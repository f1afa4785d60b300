package seaweed

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Lease is a lock that is renewed until Release. It decides who tries, no more: after a filer's
// restart, or a long pause, two owners can hold the same one.
type Lease struct {
	c     *Client
	name  string
	owner string
	ttl   time.Duration
	token string // the renewing goroutine's
	queue queue
	end   context.CancelFunc
	wg    sync.WaitGroup

	mu     sync.Mutex // guards what follows
	lost   func()
	cutOff func()
}

// LeaseOptions say which lock to hold.
type LeaseOptions struct {
	Name, Owner string
	TTL         time.Duration
	// Queue is a folder in which those who wait show that they do.
	Queue string
	// Waiting is told why the lock cannot be had yet, each time that the reason changes.
	Waiting func(error)
}

// Acquire waits until the lock is free, or ctx ends, and holds it.
//
// Locks vanish when a filer restarts, and its owner needs a moment to take it anew. Who has seen
// that somebody else holds the lock and then loses sight of the filer waits for one more TTL after
// the filer is back, so that not every restart of a filer becomes a change of owners.
func (c *Client) Acquire(ctx context.Context, o LeaseOptions) (*Lease, error) {
	l := &Lease{c: c, name: o.Name, owner: o.Owner, ttl: o.TTL, queue: queue{c: c, dir: o.Queue, name: o.Owner}}
	defer l.queue.leave(ctx)
	told, taken, away := "", false, false
	for {
		if away && taken {
			if err := c.answers(ctx, o); err != nil {
				return nil, err
			}
		}
		token, err := c.Lock(ctx, l.name, l.owner, "", l.ttl)
		if err == nil {
			l.token = token
			break
		}
		locked := errors.Is(err, ErrLocked)
		taken, away = taken || locked, !locked
		if locked {
			l.queue.show(ctx, o.TTL/2)
		}
		if told != err.Error() {
			told = err.Error()
			o.Waiting(err)
		}
		if err := sleep(ctx, l.ttl/10); err != nil {
			return nil, err
		}
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	l.end = end
	l.wg.Go(func() { l.renew(life) })
	return l, nil
}

// answers waits until the filer answers, and then for one TTL.
func (c *Client) answers(ctx context.Context, o LeaseOptions) error {
	for {
		if _, err := c.Store(ctx); err == nil {
			return sleep(ctx, o.TTL)
		}
		if err := sleep(ctx, o.TTL/10); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// OnLost sets what is called, again and again, while another owner has the lock, and what is called
// once when the lock could not be renewed for two TTLs although somebody was waiting for it: most
// likely they have it by now, and only this owner is cut off from the filer.
func (l *Lease) OnLost(lost, cutOff func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost, l.cutOff = lost, cutOff
}

// call calls one of the functions, if it is set.
func (l *Lease) call(which *func()) {
	l.mu.Lock()
	f := *which
	l.mu.Unlock()
	if f != nil {
		f()
	}
}

func (l *Lease) renew(ctx context.Context) {
	pause, renewed, told := l.ttl/3, time.Now(), false
	for sleep(ctx, pause) == nil {
		token, err := l.c.Lock(ctx, l.name, l.owner, l.token, l.ttl)
		if errors.Is(err, ErrLocked) { // expired, or the filer forgot it: take it anew if it is free
			token, err = l.c.Lock(ctx, l.name, l.owner, "", l.ttl)
		}
		pause = l.ttl / 3
		switch {
		case err == nil:
			l.token, renewed = token, time.Now()
			l.queue.look(ctx, l.ttl)
		case errors.Is(err, ErrLocked):
			l.call(&l.lost)
		default:
			pause = l.ttl / 10 // the filer is away: be there first when it is back
			if !told && time.Since(renewed) > 2*l.ttl && l.queue.waiting {
				told = true
				l.call(&l.cutOff)
			}
		}
	}
}

// Release gives the lock back, so that another node need not wait for its end.
func (l *Lease) Release() {
	l.end()
	l.wg.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), l.ttl)
	defer cancel()
	_ = l.c.Unlock(ctx, l.name, l.token) // it ends by itself otherwise
}
