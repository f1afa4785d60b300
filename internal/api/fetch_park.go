package api

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// parked is a fetch that waits for more to read. While it can tell by its partitions, its time and the
// drain when that is over, no goroutine waits for it.
type parked struct {
	h     *records
	req   *kmsg.FetchRequest
	wants []*wanted
	wait  time.Duration
	until time.Time
	wake  chan struct{} // holds one token: something may have changed

	mu    sync.Mutex // guards what follows
	told  func()     // whom to tell once, nil when nobody waits to be told
	ends  []func()   // stop the watches
	timer *time.Timer
	ended bool
}

// notify has f called when there may be enough to answer with, or at the end of the wait.
func (p *parked) notify(f func()) {
	if p.wait == 0 || p.req.MinBytes <= 0 || p.anything() {
		f()
		return
	}
	p.mu.Lock()
	p.told = f
	p.mu.Unlock()
	p.watch()
	if p.anything() { // since the first look
		p.stir()
	}
}

// anything reports, without reading, that a partition has something to say: records or an error.
func (p *parked) anything() bool {
	for _, w := range p.wants {
		part, err := p.h.find(p.h.draining, w.topic, w.id, w.Partition)
		if err != nil {
			return true
		}
		end := part.HighWatermark()
		if p.req.IsolationLevel == readCommitted {
			end = part.LastStableOffset()
		}
		if end != w.FetchOffset || w.LastFetchedEpoch >= 0 && w.LastFetchedEpoch != part.LeaderEpoch() {
			return true
		}
	}
	return false
}

// watch arranges that stir is called when a partition grows, time is up or the server drains.
func (p *parked) watch() {
	stops := make([]func(), 0, len(p.wants)+1)
	for _, w := range p.wants {
		if part, err := p.h.find(p.h.draining, w.topic, w.id, w.Partition); err == nil {
			stops = append(stops, part.Watch(p.stir))
		}
	}
	drained := context.AfterFunc(p.h.draining, p.stir)
	stops = append(stops, func() { drained() })
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended { // answered meanwhile
		for _, stop := range stops {
			defer stop()
		}
		return
	}
	p.ends = stops
	p.timer = time.AfterFunc(p.wait, p.stir)
}

// stir lets whoever waits look again.
func (p *parked) stir() {
	p.mu.Lock()
	told := p.told
	p.told = nil
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
	if told != nil {
		told()
	}
}

// run reads until there is enough or the wait is over. Most often the first look decides.
func (p *parked) run(ctx context.Context, s *fetchSession) (kmsg.Response, error) {
	for {
		f := p.h.readAll(ctx, p.req, p.wants)
		over := !time.Now().Before(p.until) || p.h.draining.Err() != nil
		if over || f.enough(p.req.MinBytes) {
			return f.answer(p.h, p.req, s), nil
		}
		f.release()
		p.mu.Lock()
		watched := p.ends != nil
		p.mu.Unlock()
		if !watched { // and look once more, as something may have come before the watch
			p.watch()
			continue
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// end stops watching.
func (p *parked) end() {
	p.mu.Lock()
	stops, timer := p.ends, p.timer
	p.ends, p.timer, p.ended = nil, nil, true
	p.mu.Unlock()
	for _, stop := range stops {
		stop()
	}
	if timer != nil {
		timer.Stop()
	}
}
