package seaweed

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
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
	end   context.CancelFunc
	wg    sync.WaitGroup
}

// Acquire waits until the lock is free, or ctx ends, and holds it. waiting is called once when
// somebody else has it.
func (c *Client) Acquire(ctx context.Context, name, owner string, ttl time.Duration, waiting func(error)) (*Lease, error) {
	l := &Lease{c: c, name: name, owner: owner, ttl: ttl}
	told := false
	for {
		token, err := c.Lock(ctx, name, owner, "", ttl)
		if err == nil {
			l.token = token
			break
		}
		if !told {
			told = true
			waiting(err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(ttl / 10):
		}
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	l.end = end
	l.wg.Go(func() { l.renew(life) })
	return l, nil
}

func (l *Lease) renew(ctx context.Context) {
	tick := time.NewTicker(l.ttl / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		token, err := l.c.Lock(ctx, l.name, l.owner, l.token, l.ttl)
		if errors.Is(err, ErrLocked) { // expired, or the filer forgot it: take it anew if it is free
			token, err = l.c.Lock(ctx, l.name, l.owner, "", l.ttl)
		}
		if err == nil {
			l.token = token
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

// Limits of a probe.
const (
	probeRounds = 8
	probeRacers = 8
)

// Probe races creates of the same names below dir, over connections of their own, and returns an
// error when more or fewer than one of them won: a log cannot be kept safely there.
func (c *Client) Probe(ctx context.Context, dir string) error {
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	dir = path.Join(dir, "probe-"+hex.EncodeToString(id))
	racers := make([]*Client, probeRacers)
	for i := range racers {
		o := c.o
		o.Filer = c.Filer()
		r, err := Dial(ctx, o)
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		racers[i] = r
	}
	defer func() { _ = c.Delete(context.WithoutCancel(ctx), path.Dir(dir), path.Base(dir)) }()
	for round := range probeRounds {
		errs := make([]error, probeRacers)
		var wg sync.WaitGroup
		for i, r := range racers {
			wg.Go(func() {
				errs[i] = r.CreateOnce(ctx, dir, Entry{Name: fmt.Sprint(round), Content: []byte{byte(i)}})
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, ErrExists):
				return fmt.Errorf("probe: %w", err)
			}
		}
		if won != 1 {
			return fmt.Errorf("SeaweedFS is not safe for a log: %d of %d concurrent creates of one name succeeded on filer %s, it must be 1",
				won, probeRacers, c.Filer())
		}
	}
	return nil
}
