package topic

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"kelp/internal/storage"
)

// checkpointVersion is that of the blob, which docs/formats/checkpoint.md draws.
const checkpointVersion = 1

// checkpointHeaderBytes are the version and the CRC-32C of what follows.
const checkpointHeaderBytes = 5

// A checkpoint is due once so much was appended since the last one that replaying it would be felt,
// or, when less was appended, after some time. Large checkpoints wait for more, so that they are
// never more than a quarter of what is written.
const (
	checkpointBytes   = 8 << 20
	checkpointAfterMs = 60_000
	checkpointShare   = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errCheckpoint is a blob that cannot be used; everything is then replayed.
var errCheckpoint = errors.New("unusable checkpoint")

// Checkpoint saves what is known of producers and transactions when that is due, or with force
// whenever something was appended since the last time. It waits until what it describes is durable.
func (p *Partition) Checkpoint(ctx context.Context, force bool) error {
	p.saving.Lock() // an older state must not take the place of a newer one
	defer p.saving.Unlock()
	p.mu.Lock()
	if !p.checkpointDue() && (!force || p.appended == 0) || p.failed() {
		p.mu.Unlock()
		return nil
	}
	at, last, since := p.next, p.newest, p.appended
	blob := p.encode()
	p.appended, p.savedMs, p.savedBytes = 0, p.o.Now().UnixMilli(), int64(len(blob))
	p.mu.Unlock()
	var err error
	if last != nil {
		err = last.Wait(ctx)
	}
	if err == nil {
		err = p.log.SaveCheckpoint(ctx, at, blob)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.appended += since // try again next time
		return err
	}
	p.savedAt = at
	return nil
}

// checkpointDue is called with the lock held.
func (p *Partition) checkpointDue() bool {
	return p.appended >= max(checkpointBytes, checkpointShare*p.savedBytes) ||
		p.appended > 0 && p.o.Now().UnixMilli()-p.savedMs >= checkpointAfterMs
}

// encode is called with the lock held.
func (p *Partition) encode() []byte {
	b := make([]byte, checkpointHeaderBytes, checkpointHeaderBytes+64+56*len(p.producers))
	b[0] = checkpointVersion
	b = binary.AppendVarint(b, p.cleaned.Load())
	b = binary.AppendUvarint(b, uint64(len(p.producers)))
	for id, s := range p.producers {
		b = appendProducer(b, id, s)
	}
	b = p.txns.encode(b)
	binary.BigEndian.PutUint32(b[1:], crc32.Checksum(b[checkpointHeaderBytes:], castagnoli))
	return b
}

func appendProducer(b []byte, id int64, s *producer) []byte {
	for _, v := range []int64{id, int64(s.epoch), int64(s.coordinatorEpoch), s.txnStart, s.latestMs, s.seenMs, int64(len(s.batches))} {
		b = binary.AppendVarint(b, v)
	}
	for _, e := range s.batches {
		b = binary.AppendVarint(b, int64(e.first))
		b = binary.AppendVarint(b, int64(e.last))
		b = binary.AppendVarint(b, e.offset)
		b = binary.AppendVarint(b, e.latestMs)
	}
	return b
}

func (t *transactions) encode(b []byte) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	b = binary.AppendUvarint(b, uint64(len(t.aborted)))
	for _, a := range t.aborted {
		b = binary.AppendVarint(b, a.ProducerID)
		b = binary.AppendVarint(b, a.LastOffset)
		b = binary.AppendVarint(b, a.LastOffset-a.FirstOffset)
		b = binary.AppendVarint(b, a.LastOffset-a.stable)
	}
	return b
}

// varints reads numbers; after a fault bad is set and all are 0.
type varints struct {
	b   []byte
	bad bool
}

func (v *varints) next() int64 {
	n, size := binary.Varint(v.b)
	return v.took(n, size)
}

func (v *varints) took(n int64, size int) int64 {
	if size <= 0 {
		v.bad, v.b = true, nil
		return 0
	}
	v.b = v.b[size:]
	return n
}

// count reads a number of entries, each of which takes at least some bytes.
func (v *varints) count(entryBytes int) int {
	n, size := binary.Uvarint(v.b)
	if n > uint64(len(v.b)/entryBytes) {
		size = 0
	}
	return int(v.took(int64(n), size))
}

// decode takes a checkpoint over. The partition is not shared yet.
func (p *Partition) decode(blob []byte) error {
	if len(blob) < checkpointHeaderBytes || blob[0] != checkpointVersion {
		return fmt.Errorf("%w: not of version %d", errCheckpoint, checkpointVersion)
	}
	if crc32.Checksum(blob[checkpointHeaderBytes:], castagnoli) != binary.BigEndian.Uint32(blob[1:]) {
		return fmt.Errorf("%w: wrong checksum", errCheckpoint)
	}
	v := &varints{b: blob[checkpointHeaderBytes:]}
	p.cleaned.Store(v.next())
	producers := v.count(7)
	p.producers = make(map[int64]*producer, producers)
	for range producers {
		id, s := v.producer()
		p.producers[id] = s
	}
	aborted := make([]Aborted, v.count(4))
	for i := range aborted {
		a := &aborted[i]
		a.ProducerID, a.LastOffset = v.next(), v.next()
		a.FirstOffset, a.stable = a.LastOffset-v.next(), a.LastOffset-v.next()
	}
	if v.bad || len(v.b) > 0 {
		return fmt.Errorf("%w: it does not parse", errCheckpoint)
	}
	p.txns.load(p.producers, aborted)
	return nil
}

func (v *varints) producer() (int64, *producer) {
	id := v.next()
	s := &producer{
		epoch: int16(v.next()), coordinatorEpoch: int32(v.next()), txnStart: v.next(), latestMs: v.next(), seenMs: v.next(),
	}
	n := v.next()
	if n < 0 || n > keptBatches {
		v.bad, v.b, n = true, nil, 0
	}
	if s.bare = n == 0; n > 0 {
		s.batches = make([]sent, n)
	}
	for i := range s.batches {
		s.batches[i] = sent{first: int32(v.next()), last: int32(v.next()), offset: v.next(), latestMs: v.next()}
	}
	return id, s
}

// restore rebuilds what is known of producers and transactions: from the checkpoint, and what was
// appended after it from the batches themselves.
func (p *Partition) restore(ctx context.Context, start, end int64) error {
	from := start
	at, blob, err := p.log.Checkpoint(ctx)
	if err == nil && at > end {
		err = fmt.Errorf("%w: it is of offset %d, the log ends at %d", errCheckpoint, at, end)
	}
	if err == nil {
		err = p.decode(blob)
	}
	switch {
	case err == nil:
		from = max(start, at)
		p.savedBytes, p.savedAt = int64(len(blob)), at
	case !errors.Is(err, storage.ErrNotFound):
		p.o.note("replaying a partition whose checkpoint cannot be used", "error", err)
		p.forget()
	}
	p.txns.trim(start)
	p.savedMs = p.o.Now().UnixMilli()
	return p.replay(ctx, from, end)
}
