package embedded

import (
	"container/list"
	"fmt"
	"sync"
	"sync/atomic"

	"kelp/internal/storage"
)

// block is the entries of one piece, read back from its index, and which of their batches have
// been found whole since.
type block struct {
	piece    *piece
	entries  []entry
	fresh    bool            // written by this process: nothing to check
	verified []atomic.Uint64 // a bit for each entry
	used     atomic.Bool     // since the cache last looked
}

func newBlock(p *piece, entries []entry) *block {
	return &block{piece: p, entries: entries, verified: make([]atomic.Uint64, (len(entries)+63)/64)}
}

func (b *block) bytes() int64 {
	return int64(len(b.entries))*entryBytes + int64(len(b.verified))*8 + 128
}

func (b *block) known(i int) bool {
	return b.fresh || b.verified[i/64].Load()&(1<<(i%64)) != 0
}

func (b *block) mark(i int) { b.verified[i/64].Or(1 << (i % 64)) }

// cache bounds the blocks in memory: the one that has waited longest and was not used goes (CLOCK).
type cache struct {
	budget int64

	mu   sync.Mutex
	used int64
	all  *list.List // of *block
}

func newCache(budget int64) *cache { return &cache{budget: budget, all: list.New()} }

func (c *cache) put(b *block) {
	b.piece.block.Store(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all.PushBack(b)
	c.used += b.bytes()
	for c.used > c.budget && c.all.Len() > 1 {
		e := c.all.Front()
		old := e.Value.(*block)
		if old.used.Swap(false) {
			c.all.MoveToBack(e)
			continue
		}
		c.all.Remove(e)
		c.used -= old.bytes()
		old.piece.block.CompareAndSwap(old, nil)
	}
}

// block gives the entries of a sealed piece.
func (s *Store) block(p *piece) (*block, error) {
	if b := p.block.Load(); b != nil {
		b.used.Store(true)
		return b, nil
	}
	s.filesMu.RLock()
	pos, crc := p.indexPos, p.indexCRC
	s.filesMu.RUnlock()
	handle, err := s.handles.pin(p.file)
	if err != nil {
		return nil, err
	}
	defer s.handles.unpin(p.file)
	raw := make([]byte, int(p.n)*entryBytes)
	if pos > 0 {
		err = readFull(handle, raw, pos)
	}
	if pos == 0 || err != nil || checksum(raw) != crc {
		s.damage("the index of a log file is damaged; it is built again", "file", p.file.name, "partition", p.id, "error", err)
		return s.recount(p)
	}
	s.m.readBlocks.Inc()
	b := newBlock(p, parseEntries(raw))
	s.cache.put(b)
	return b, nil
}

// recount reads a piece's entries from the tables of the chunks, as they were before it was sealed.
func (s *Store) recount(p *piece) (*block, error) {
	found, err := s.scanPieces(&file{seq: p.file.seq, name: p.file.name})
	if err != nil {
		return nil, err
	}
	for _, q := range found.all {
		if q.id == p.id && q.sum == p.sum && q.n == p.n {
			b := newBlock(p, q.entries)
			s.cache.put(b)
			return b, nil
		}
	}
	return nil, fmt.Errorf("%w: batches %d to %d of %s in %s cannot be found", storage.ErrCorrupt, p.sum.base, p.sum.end, p.id, p.file.name)
}

// entries gives what a view shows. The partition's lock is not held.
func (s *Store) entries(st *state, v *view) ([]entry, error) {
	st.mu.RLock()
	entries := v.entries
	st.mu.RUnlock()
	if entries == nil {
		b, err := s.block(v.piece)
		if err != nil {
			return nil, err
		}
		entries = b.entries
	}
	return v.clip(entries), nil
}
