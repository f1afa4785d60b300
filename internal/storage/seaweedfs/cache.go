package seaweedfs

import (
	"container/list"
	"sync"
	"unsafe"

	"golang.org/x/sync/singleflight"
)

// Limits of reading ahead.
const (
	aheadBlocks = 2 // of one reader
	aheadAtOnce = 4 // of all readers
	aheadQueue  = 8 // blocks that wait for their turn; more are not read ahead
)

// cache keeps blocks and parsed indexes in memory, the least recently used go first.
type cache struct {
	once  singleflight.Group
	max   int64
	ahead chan block // to be read ahead

	mu    sync.Mutex // guards all below
	bytes int64
	order *list.List // of *cached, newest first
	byKey map[string]*list.Element
}

// cached is a block or a parsed index.
type cached struct {
	key   string
	bytes []byte
	refs  []batchRef
}

func (c *cached) size() int64 {
	return int64(len(c.bytes)) + int64(len(c.refs))*int64(unsafe.Sizeof(batchRef{}))
}

func newCache(maxBytes int64) *cache {
	return &cache{max: maxBytes, ahead: make(chan block, aheadQueue), order: list.New(), byKey: map[string]*list.Element{}}
}

func (c *cache) get(key string) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached)
}

func (c *cache) has(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byKey[key] != nil
}

func (c *cache) put(one *cached) {
	if one.size() > c.max/2 {
		return // one large block must not push everything out
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[one.key]; e != nil {
		c.order.MoveToFront(e)
		return
	}
	c.byKey[one.key] = c.order.PushFront(one)
	for c.bytes += one.size(); c.bytes > c.max; {
		c.remove(c.order.Back())
	}
}

func (c *cache) drop(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.remove(e)
	}
}

// remove is called under the lock.
func (c *cache) remove(e *list.Element) {
	old := c.order.Remove(e).(*cached)
	delete(c.byKey, old.key)
	c.bytes -= old.size()
}

// readAhead fetches the blocks that a reader who goes on will ask for next: those of the batches that follow what it got.
// Nobody waits for them.
func (s *Store) readAhead(picked, rest []batchRef, next []view) {
	last := ""
	if len(picked) > 0 {
		last = picked[len(picked)-1].Block.key()
	}
	left := aheadBlocks
	for i := range rest {
		k := rest[i].Block
		if key := k.key(); key != last {
			last = key
			s.fetchAhead(k)
			if left--; left == 0 {
				return
			}
		}
	}
	if len(next) > 0 && next[0].file != "" && !s.cache.has(indexKey(next[0])) {
		s.fetchAhead(next[0].index)
	}
}

func (s *Store) fetchAhead(k block) {
	if s.cache.has(k.key()) {
		return
	}
	select {
	case s.cache.ahead <- k:
	default:
	}
}

// fetchAll reads ahead until the store is closed.
func (s *Store) fetchAll() {
	for {
		select {
		case <-s.closing:
			return
		case k := <-s.cache.ahead:
			if !s.cache.has(k.key()) {
				s.m.ahead.Inc()
				<-s.load(k) // who needs it meets the error
			}
		}
	}
}
