package seaweedfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"kelp/internal/seaweed"
	"kelp/internal/storage"
)

// maxLooks bounds how often a read looks again because what it saw was replaced meanwhile.
const maxLooks = 20

// Read fetches the blocks that it needs before it returns, so that a span never fails half-way.
func (l *log) Read(ctx context.Context, r storage.ReadRange) (storage.Span, error) {
	for attempt := 0; ; attempt++ {
		s, err := l.read(ctx, r)
		// A segment can be replaced between looking and fetching: look again.
		if attempt < maxLooks && errors.Is(err, seaweed.ErrNotFound) {
			continue
		}
		if err != nil && !isContract(err) && ctx.Err() == nil {
			err = unavailable(err)
		}
		return s, err
	}
}

func isContract(err error) bool {
	return errors.Is(err, storage.ErrNotFound) || errors.Is(err, storage.ErrOutOfRange) || errors.Is(err, storage.ErrCorrupt)
}

func (l *log) read(ctx context.Context, r storage.ReadRange) (storage.Span, error) {
	l.s.mu.RLock()
	err := l.gone()
	start, end := l.p.start, l.p.end
	views := l.p.views(l.p.find(r.From), r.MaxBytes)
	l.s.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	if r.From < start || r.From > end {
		return nil, fmt.Errorf("read %s at %d, have %d to %d: %w", l.id, r.From, start, end, storage.ErrOutOfRange)
	}
	s := &span{}
	var picked []batchRef
	for i, v := range views {
		refs, err := l.s.refs(ctx, v)
		if err != nil {
			return nil, err
		}
		var rest []batchRef
		if picked, rest = s.pick(picked, refs, r); len(rest) > 0 {
			l.s.readAhead(picked, rest, views[i+1:])
			break
		}
	}
	return s, s.fetch(ctx, l.s, picked)
}

// pick adds the batches that the range asks for; when it is full the rest is given back.
func (s *span) pick(picked, refs []batchRef, r storage.ReadRange) (all, rest []batchRef) {
	from, _ := slices.BinarySearchFunc(refs, r.From, func(ref batchRef, offset int64) int {
		if ref.end() <= offset {
			return -1
		}
		return 1
	})
	for i := from; i < len(refs); i++ {
		ref := &refs[i]
		first := len(picked) == 0
		if r.Before > 0 && ref.Base >= r.Before || s.n+int(ref.Size) > r.MaxBytes && (!first || !r.AtLeastOne) {
			return picked, refs[i:]
		}
		picked = append(picked, *ref)
		s.n, s.end = s.n+int(ref.Size), ref.end()
	}
	return picked, nil
}

// span is batches in blocks that are held in memory.
type span struct {
	parts net.Buffers
	n     int
	end   int64
}

// fetch gets the blocks of the picked batches, several at a time.
func (s *span) fetch(ctx context.Context, st *Store, picked []batchRef) error {
	blocks := map[string][]byte{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readsAtOnce)
	for i := range picked {
		k := picked[i].Block
		mu.Lock()
		_, asked := blocks[k.key()]
		if !asked {
			blocks[k.key()] = nil
		}
		mu.Unlock()
		if asked {
			continue
		}
		g.Go(func() error {
			b, err := st.block(ctx, k)
			mu.Lock()
			blocks[k.key()] = b
			mu.Unlock()
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range picked {
		ref := &picked[i]
		b := blocks[ref.Block.key()]
		if ref.At+int64(ref.Size) > int64(len(b)) {
			return fmt.Errorf("%w: batch at %d ends after its block", storage.ErrCorrupt, ref.Base)
		}
		b = b[ref.At : ref.At+int64(ref.Size)]
		if checksum(b) != ref.CRC {
			return fmt.Errorf("%w: batch at %d in %s has another checksum", storage.ErrCorrupt, ref.Base, ref.Block.key())
		}
		s.parts = append(s.parts, b)
	}
	return nil
}

func (s *span) Len() int   { return s.n }
func (s *span) End() int64 { return s.end }
func (s *span) Release()   { s.parts = nil }

func (s *span) AppendBuffers(to net.Buffers) net.Buffers { return append(to, s.parts...) }

func (s *span) WriteTo(w io.Writer) (int64, error) {
	parts := append(net.Buffers(nil), s.parts...)
	return parts.WriteTo(w)
}

func (s *span) Bytes() ([]byte, error) {
	if len(s.parts) == 1 {
		return s.parts[0], nil
	}
	b := make([]byte, 0, s.n)
	for _, p := range s.parts {
		b = append(b, p...)
	}
	return b, nil
}

func (b block) key() string {
	if b.FileID != "" {
		return b.FileID
	}
	return "#" + strconv.FormatUint(b.Seq, 10)
}

// block gives a whole block, from memory or from SeaweedFS, which is asked once for all that wait.
func (s *Store) block(ctx context.Context, k block) ([]byte, error) {
	if c := s.cache.get(k.key()); c != nil {
		s.m.hits.Inc()
		return c.bytes, nil
	}
	s.m.misses.Inc()
	select {
	case r := <-s.load(k):
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.([]byte), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// load fetches a block into the cache, once for all that ask meanwhile.
func (s *Store) load(k block) <-chan singleflight.Result {
	return s.cache.once.DoChan(k.key(), func() (any, error) {
		if c := s.cache.get(k.key()); c != nil { // a flight ended between the look and this one
			return c.bytes, nil
		}
		var b []byte
		err := s.retry(s.life, func(ctx context.Context) (err error) {
			b, err = s.fetchBlock(ctx, k)
			return err
		})
		if err == nil {
			s.cache.put(&cached{key: k.key(), bytes: b})
		}
		return b, err
	})
}

func (s *Store) fetchBlock(ctx context.Context, k block) ([]byte, error) {
	if k.FileID != "" {
		b := make([]byte, k.Bytes)
		return b, s.obj.ReadBlob(ctx, k.FileID, 0, b)
	}
	dir, name := s.place(k.Seq)
	e, err := s.obj.Lookup(ctx, dir, name)
	if err != nil {
		return nil, err
	}
	c, err := parseChunk(e.Content)
	if err != nil {
		return nil, err
	}
	return e.Content[c.payloadAt():], nil
}

// view is a segment as it was at one moment: settling moves the batches of the segments that lie in
// chunks, so those of several segments must be taken together.
type view struct {
	file     string // empty: in chunks
	index    block
	indexCRC uint32
	batches  []batchRef // when in chunks
}

// views takes the segments from an index on that so many bytes can reach into: the first and as
// many as follow. It is called under the store's lock.
func (p *partition) views(from, maxBytes int) (out []view) {
	behind := int64(0)
	for i, g := range p.segments[from:] {
		if i > 0 {
			behind += g.Bytes
		}
		out = append(out, g.view())
		if behind > int64(maxBytes) {
			break
		}
	}
	return out
}

func (g *segment) view() view {
	return view{g.File, g.Index, g.IndexCRC, g.Refs[:len(g.Refs):len(g.Refs)]}
}

// refs lists the batches of a view.
func (s *Store) refs(ctx context.Context, v view) ([]batchRef, error) {
	if v.file == "" {
		return v.batches, nil
	}
	key := indexKey(v)
	if parsed := s.cache.get(key); parsed != nil {
		return parsed.refs, nil
	}
	b, err := s.block(ctx, v.index)
	if err != nil {
		return nil, err
	}
	if checksum(b) != v.indexCRC {
		return nil, fmt.Errorf("%w: index of %s", storage.ErrCorrupt, v.file)
	}
	refs, err := parseIndex(b)
	if err == nil {
		s.cache.put(&cached{key: key, refs: refs})
		s.cache.drop(v.index.key()) // what was parsed is not looked at again
	}
	return refs, err
}

// indexKey is where the parsed index of a settled segment is cached.
func indexKey(v view) string { return "index " + v.index.key() }

// The index blob of a segment: 0 blobs uint32, then for each 0 length of its file id uint16 | the
// id | bytes int64; then for each batch 0 base int64 | 8 count int32 | 12 max timestamp int64
// | 20 size uint32 | 24 CRC-32C uint32 | 28 blob uint32 | 32 at int64.
const indexRow = 40

func appendIndex(blobs []block, refs []batchRef, blobOf []int) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, uint32(len(blobs)))
	for _, k := range blobs {
		b = be.AppendUint16(b, uint16(len(k.FileID)))
		b = append(b, k.FileID...)
		b = be.AppendUint64(b, uint64(k.Bytes))
	}
	for i := range refs {
		r := &refs[i]
		b = be.AppendUint64(b, uint64(r.Base))
		b = be.AppendUint32(b, uint32(r.Count))
		b = be.AppendUint64(b, uint64(r.MaxMs))
		b = be.AppendUint32(b, uint32(r.Size))
		b = be.AppendUint32(b, r.CRC)
		b = be.AppendUint32(b, uint32(blobOf[i]))
		b = be.AppendUint64(b, uint64(r.At))
	}
	return b
}

func parseIndex(b []byte) ([]batchRef, error) {
	be, bad := binary.BigEndian, fmt.Errorf("%w: index of a segment", storage.ErrCorrupt)
	if len(b) < 4 {
		return nil, bad
	}
	n := int(be.Uint32(b))
	b = b[4:]
	if n > len(b) {
		return nil, bad
	}
	blobs := make([]block, n)
	for i := range blobs {
		if len(b) < 10 || len(b) < 10+int(be.Uint16(b)) {
			return nil, bad
		}
		size := int(be.Uint16(b))
		blobs[i] = block{FileID: string(b[2 : 2+size]), Bytes: int64(be.Uint64(b[2+size:]))}
		b = b[10+size:]
	}
	if len(b)%indexRow != 0 {
		return nil, bad
	}
	refs := make([]batchRef, 0, len(b)/indexRow)
	for ; len(b) > 0; b = b[indexRow:] {
		k := int(be.Uint32(b[28:]))
		if k >= len(blobs) {
			return nil, bad
		}
		refs = append(refs, batchRef{
			Base: int64(be.Uint64(b)), Count: int32(be.Uint32(b[8:])), MaxMs: int64(be.Uint64(b[12:])), Size: int32(be.Uint32(b[20:])),
			CRC: be.Uint32(b[24:]), At: int64(be.Uint64(b[32:])), Block: blobs[k],
		})
	}
	return refs, nil
}
