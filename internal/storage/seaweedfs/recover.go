package seaweedfs

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"time"

	"kelp/internal/seaweed"
	"kelp/internal/storage"
)

// maxReplays bounds how often a start replays anew because the log went on meanwhile: somebody is at
// work who is quicker, and should be let.
const maxReplays = 3

// recover replays what is there and ends every earlier owner.
//
// An owner that is still at work, or that came and went while this one was paused, writes snapshots
// and frees the chunks before them. Then a place that this one finds empty may be one that was
// emptied, and a fence there would end nobody. So the fence counts only if no snapshot reaches up
// to it: folders are freed after a snapshot behind them is there.
func (s *Store) recover(ctx context.Context) error {
	began := time.Now()
	s.life = ctx // until the store runs
	for attempt := 1; ; attempt++ {
		s.parts, s.live, s.fences = map[storage.Partition]*partition{}, map[uint64]int{}, map[uint64]bool{}
		s.seq, s.snapped, s.older, s.newest = 0, 0, 0, -1
		err := s.fenceOthers(ctx)
		if err == nil {
			break
		}
		newest, unknown := s.newestSnapshot(ctx)
		if unknown != nil || newest <= s.snapped || attempt == maxReplays {
			return err
		}
		s.o.Logger.Info("the log went on while it was replayed: once more", "snapshot", newest, "replayed", s.snapped, "error", err)
	}
	s.o.Logger.Info("opened the log on SeaweedFS", "root", s.o.Root, "snapshot", s.snapped, "sequence", s.seq,
		"partitions", len(s.parts), "took", time.Since(began))
	return nil
}

func (s *Store) fenceOthers(ctx context.Context) error {
	if err := s.loadSnapshot(ctx); err != nil {
		return fmt.Errorf("snapshots: %w", err)
	}
	if err := s.catchUp(ctx); err != nil {
		return err
	}
	if err := s.fence(ctx); err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	newest, err := s.newestSnapshot(ctx)
	if err == nil && newest >= s.fenced {
		err = fmt.Errorf("fence %d lies before snapshot %d: %w", s.fenced, newest, storage.ErrFenced)
	}
	return err
}

// newestSnapshot is the sequence number of the newest snapshot, whole or not; 0 without any.
func (s *Store) newestSnapshot(ctx context.Context) (newest uint64, err error) {
	err = s.retry(ctx, func(ctx context.Context) error {
		newest = 0
		return s.obj.List(ctx, s.snapshots(), "", func(e seaweed.Entry, _ bool) error {
			if seq, err := strconv.ParseUint(e.Name, 10, 64); err == nil {
				newest = max(newest, seq)
			}
			return nil
		})
	})
	return newest, err
}

// catchUp replays what there is, however long that takes: patience is for SeaweedFS being away, so
// it begins anew with each chunk.
func (s *Store) catchUp(ctx context.Context) error {
	for {
		before := s.seq
		err := s.retry(ctx, s.replay)
		if err == nil || s.seq == before || ctx.Err() != nil {
			return err
		}
	}
}

// replay applies the chunks after the snapshot.
func (s *Store) replay(ctx context.Context) error {
	folder := s.folderOf(s.seq + 1)
	_, after := s.place(s.seq)
	for {
		found := 0
		err := s.obj.List(ctx, path.Join(s.o.Root, "log", folder), after, func(e seaweed.Entry, _ bool) error {
			c, err := chunkOf(e)
			if err != nil {
				return err
			}
			found++
			return s.replayChunk(ctx, c)
		})
		if err != nil {
			return fmt.Errorf("replay %s: %w", folder, err)
		}
		if next := s.folderOf(s.seq + 1); next != folder {
			folder, after = next, ""
			continue
		}
		if found == 0 {
			return nil
		}
		_, after = s.place(s.seq) // what came while this listed
	}
}

func (s *Store) replayChunk(ctx context.Context, c *chunk) error {
	if c.seq != s.seq+1 {
		return fmt.Errorf("%w: sequence %d follows %d", storage.ErrCorrupt, c.seq, s.seq)
	}
	if len(c.frames) == 0 {
		s.fences[c.seq] = true
		s.newest++ // an owner is newer than all before it
	}
	if err := s.loadPayloads(ctx, c); err != nil {
		return fmt.Errorf("sequence %d: %w", c.seq, err)
	}
	_, err := s.applyChunk(c) // files that are not wanted any more are swept later
	return err
}

// loadPayloads fetches what the frames of a chunk need to be applied: not the batches.
func (s *Store) loadPayloads(ctx context.Context, c *chunk) error {
	if c.inline() {
		return nil
	}
	at := int64(0)
	for i := range c.frames {
		f := &c.frames[i]
		if f.kind == kindCheckpoint || f.kind == kindReplace {
			f.payload = make([]byte, f.size)
			if err := s.obj.ReadBlob(ctx, c.fileID, at, f.payload); err != nil {
				return err
			}
			if checksum(f.payload) != f.crc {
				return fmt.Errorf("%w: payload of a frame", storage.ErrCorrupt)
			}
		}
		at += int64(f.size)
	}
	return nil
}

// fence takes the next place of the sequence. What others committed meanwhile is replayed first.
func (s *Store) fence(ctx context.Context) error {
	for {
		c := &chunk{seq: s.seq + 1, owner: s.owner, createdMs: time.Now().UnixMilli()}
		err := s.createWithin(c, c.content(), s.o.Patience)
		if err == nil {
			s.seq = c.seq
			s.fenced, s.fences[c.seq] = c.seq, true
			s.newest++
			s.epoch = s.newest
			return nil
		}
		if !errors.Is(err, storage.ErrFenced) {
			return err
		}
		if err := s.catchUp(ctx); err != nil {
			return err
		}
	}
}

// stored is the form of a snapshot: all that the chunks up to its sequence number said.
type stored struct {
	Seq        uint64      `json:"seq"`
	Fences     []uint64    `json:"fences"`
	Epoch      int32       `json:"epoch"` // the newest
	Partitions []storedOne `json:"partitions"`
}

type storedOne struct {
	Topic      []byte               `json:"t"`
	Index      int32                `json:"i"`
	Start      int64                `json:"s"`
	End        int64                `json:"e"`
	Epochs     []storage.EpochStart `json:"h,omitempty"`
	Segments   []*segment           `json:"g,omitempty"`
	Checkpoint []byte               `json:"c,omitempty"`
	CheckedAt  int64                `json:"a,omitempty"`
	Reshaped   string               `json:"o,omitempty"`
}

// snapshotMagic begins the content of a snapshot's entry: 0 magic | 8 CRC-32C uint32 of the JSON
// | 12 its bytes uint64. The JSON is the entry's blobs, or follows when it is short.
const snapshotMagic = "KELPSWS1"

// snapshot writes what all partitions hold, so that chunks up to it need not be replayed.
func (s *Store) snapshot(ctx context.Context) error {
	s.mu.RLock()
	seq := s.seq
	if seq == s.snapped {
		s.mu.RUnlock()
		return nil
	}
	all := stored{Seq: seq, Epoch: s.newest}
	for f := range s.fences {
		all.Fences = append(all.Fences, f)
	}
	for id, p := range s.parts {
		one := storedOne{
			Topic: id.Topic[:], Index: id.Index, Start: p.start, End: p.end, Epochs: p.epochs, Segments: p.segments, Reshaped: p.reshaped,
		}
		if p.hasCheck {
			one.Checkpoint, one.CheckedAt = p.checkpoint, p.checkedAt
		}
		all.Partitions = append(all.Partitions, one)
	}
	b, err := json.Marshal(all)
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	e := seaweed.Entry{Name: fmt.Sprintf("%020d", seq), Content: []byte(snapshotMagic)}
	e.Content = binary.BigEndian.AppendUint32(e.Content, checksum(b))
	e.Content = binary.BigEndian.AppendUint64(e.Content, uint64(len(b)))
	if len(b) <= inlineBytes {
		e.Content = append(e.Content, b...)
	} else {
		for part := range slices.Chunk(b, maxChunkBytes) {
			var blob seaweed.Blob
			err := s.retry(ctx, func(ctx context.Context) (err error) {
				blob, err = s.obj.PutBlob(ctx, part, s.o.Sync)
				return err
			})
			if err != nil {
				return fmt.Errorf("snapshot: %w", err)
			}
			e.Blobs = append(e.Blobs, blob)
		}
	}
	if err := s.retry(ctx, func(ctx context.Context) error { return s.obj.Put(ctx, s.snapshots(), e) }); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	s.m.snapshots.Inc()
	s.mu.Lock()
	s.older, s.snapped = s.snapped, seq
	s.mu.Unlock()
	return nil
}

func (s *Store) snapshots() string { return path.Join(s.o.Root, "snapshot") }

// loadSnapshot takes the newest snapshot that is whole.
func (s *Store) loadSnapshot(ctx context.Context) error {
	var found []seaweed.Entry
	err := s.retry(ctx, func(ctx context.Context) error {
		found = nil
		return s.obj.List(ctx, s.snapshots(), "", func(e seaweed.Entry, _ bool) error {
			found = append(found, e)
			return nil
		})
	})
	if err != nil {
		return err
	}
	slices.Reverse(found)
	for i, e := range found {
		all, err := s.readSnapshot(ctx, e)
		if err != nil {
			s.o.Logger.Error("a snapshot cannot be used: trying the one before", "snapshot", e.Name, "error", err)
			if i == len(found)-1 {
				return err
			}
			continue
		}
		s.adopt(all)
		s.snapped = all.Seq
		if i+1 < len(found) {
			s.older, _ = strconv.ParseUint(found[i+1].Name, 10, 64)
		}
		return nil
	}
	return nil
}

func (s *Store) readSnapshot(ctx context.Context, e seaweed.Entry) (all stored, err error) {
	c, be := e.Content, binary.BigEndian
	if len(c) < 20 || string(c[:8]) != snapshotMagic {
		return all, fmt.Errorf("%w: not a snapshot of this format", storage.ErrCorrupt)
	}
	b := c[20:]
	if len(e.Blobs) > 0 {
		b = nil
		for _, blob := range e.Blobs {
			part := make([]byte, blob.Bytes)
			err := s.retry(ctx, func(ctx context.Context) error { return s.obj.ReadBlob(ctx, blob.FileID, 0, part) })
			if err != nil {
				return all, err
			}
			b = append(b, part...)
		}
	}
	if uint64(len(b)) != be.Uint64(c[12:]) || checksum(b) != be.Uint32(c[8:]) {
		return all, fmt.Errorf("%w: snapshot", storage.ErrCorrupt)
	}
	if err := json.Unmarshal(b, &all); err != nil {
		return all, fmt.Errorf("%w: snapshot: %w", storage.ErrCorrupt, err)
	}
	return all, nil
}

func (s *Store) adopt(all stored) {
	s.seq, s.newest = all.Seq, max(all.Epoch, int32(len(all.Fences)-1))
	for _, f := range all.Fences {
		s.fences[f] = true
	}
	for _, one := range all.Partitions {
		p := &partition{
			id: storage.Partition{Topic: [16]byte(one.Topic), Index: one.Index}, start: one.Start, end: one.End, epochs: one.Epochs,
			segments: one.Segments, checkpoint: one.Checkpoint, checkedAt: one.CheckedAt, hasCheck: one.Checkpoint != nil,
			reshaped: one.Reshaped,
		}
		for i, g := range p.segments {
			g.sealed = i < len(p.segments)-1
			for r := range g.Refs {
				s.live[g.Refs[r].Block.Seq]++
			}
		}
		s.parts[p.id] = p
	}
}
