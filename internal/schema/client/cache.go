package client

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"kelp/internal/schema"
)

// CacheOptions bound what is remembered and for how long.
type CacheOptions struct {
	Entries int
	Bytes   int
	// IDs is how long the schema of an id or of a numbered version is believed; Subjects how long a
	// latest version or a look-up is; Negative how long it is believed that something is not there.
	IDs, Subjects, Negative time.Duration
}

func (o CacheOptions) withDefaults() CacheOptions {
	set := func(d *time.Duration, standard time.Duration) {
		if *d <= 0 {
			*d = standard
		}
	}
	set(&o.IDs, time.Hour)
	set(&o.Subjects, time.Minute)
	set(&o.Negative, 10*time.Second)
	if o.Entries <= 0 {
		o.Entries = 10_000
	}
	if o.Bytes <= 0 {
		o.Bytes = 64 << 20
	}
	return o
}

// kind says how long an answer is believed.
type kind int

const (
	byID kind = iota
	bySubject
)

// entryOverhead is roughly what an entry takes beside its texts.
const entryOverhead = 256

// cache keeps the answers that were used last.
type cache struct {
	o CacheOptions

	mu    sync.Mutex // guards the rest
	byKey map[string]*list.Element
	used  *list.List // of *entry, the last used first
	bytes int
}

type entry struct {
	key     string
	version *schema.Version
	refusal error // when the answer was that there is none
	until   time.Time
	bytes   int
}

func newCache(o CacheOptions) *cache {
	return &cache{o: o, byKey: map[string]*list.Element{}, used: list.New()}
}

// get gives an answer that is still believed.
func (c *cache) get(key string, now time.Time) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	if !now.Before(e.Value.(*entry).until) {
		c.remove(e)
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(*entry)
}

func (c *cache) put(e *entry) {
	e.bytes = entryOverhead + 2*len(e.key)
	if e.version != nil {
		e.bytes += len(e.version.Text)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.byKey[e.key]; old != nil {
		c.remove(old)
	}
	c.byKey[e.key] = c.used.PushFront(e)
	c.bytes += e.bytes
	for c.used.Len() > c.o.Entries || c.bytes > c.o.Bytes {
		c.remove(c.used.Back())
	}
}

func (c *cache) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.remove(e)
	}
}

// remove takes an element out. c.mu is held.
func (c *cache) remove(e *list.Element) {
	gone := c.used.Remove(e).(*entry)
	delete(c.byKey, gone.key)
	c.bytes -= gone.bytes
}

// cached gives a remembered answer or asks for one, once for all who want it at the time.
func (c *Client) cached(ctx context.Context, key string, k kind, ask func(context.Context) (*schema.Version, error),
) (*schema.Version, error) {
	if e := c.cache.get(key, time.Now()); e != nil {
		c.metrics.hits.Inc()
		return e.answer()
	}
	c.metrics.misses.Inc()
	// The request goes on for the others when the caller that began it gives up.
	flight := c.flights.DoChan(key, func() (any, error) {
		// An earlier flight may have ended between the look above and the start of this one.
		if e := c.cache.get(key, time.Now()); e != nil {
			return e.answer()
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.total)
		defer cancel()
		v, err := ask(ctx)
		c.remember(key, k, v, err)
		return v, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-flight:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*schema.Version), nil
	}
}

// answer is what was remembered: a version, or that there is none.
func (e *entry) answer() (*schema.Version, error) { return e.version, e.refusal }

// remember keeps versions and the answer that there is none; a failure to ask is no answer.
func (c *Client) remember(key string, k kind, v *schema.Version, err error) {
	e := &entry{key: key, version: v}
	life := c.cache.o.IDs
	if k == bySubject {
		life = c.cache.o.Subjects
	}
	if err != nil {
		var no *schema.Error
		if !schema.IsNotFound(err) || !errors.As(err, &no) {
			return
		}
		e.refusal = no
		life = c.cache.o.Negative
	}
	e.until = time.Now().Add(life)
	c.cache.put(e)
}
