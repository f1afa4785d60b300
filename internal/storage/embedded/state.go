package embedded

import (
	"encoding/json"
	"fmt"
	"slices"

	"kelp/internal/storage"
)

// entry is where one batch lies.
type entry struct {
	base  int64
	maxMs int64
	file  *file
	pos   int64 // of the batch's bytes
	size  int32
	count int32
}

func (e *entry) end() int64 { return e.base + int64(e.count) }

// state is what is known of one partition; the store's lock guards it.
type state struct {
	id         storage.Partition
	start, end int64
	bytes      int64
	epochs     []storage.EpochStart
	entries    []entry
	checkpoint []byte
	checkedAt  int64
	hasCheck   bool
	owner      *log
}

// kept is the form of a state in a snapshot frame.
type kept struct {
	Topic      []byte               `json:"t"`
	Index      int32                `json:"i"`
	Start      int64                `json:"s"`
	End        int64                `json:"e"`
	Epochs     []storage.EpochStart `json:"h,omitempty"`
	Checkpoint []byte               `json:"c,omitempty"`
	CheckedAt  int64                `json:"a,omitempty"`
}

// apply folds one frame in: the only code that changes what partitions hold, live and on replay.
func (s *Store) apply(f *frame, in *file, payloadPos int64) error {
	p := s.parts[f.partition]
	switch {
	case f.kind == kindSnapshot:
		return s.applySnapshot(f.payload)
	case f.kind == kindCreate && p == nil:
		s.parts[f.partition] = &state{id: f.partition}
		return nil
	case f.kind == kindCreate, p == nil: // there already, or deleted before this frame came
		return nil
	}
	switch f.kind {
	case kindDelete:
		for i := range p.entries {
			p.entries[i].file.live--
		}
		delete(s.parts, f.partition)
	case kindOpen:
		if n := len(p.epochs); n == 0 || p.epochs[n-1].Epoch < f.epoch {
			p.epochs = append(p.epochs, storage.EpochStart{Epoch: f.epoch, Start: p.end})
		}
	case kindTrim:
		p.trim(f.base)
	case kindBatch:
		p.entries = append(p.entries, entry{
			base: f.base, maxMs: f.maxMs, file: in, pos: payloadPos, size: int32(len(f.payload)), count: f.count,
		})
		in.live++
		p.bytes += int64(len(f.payload))
		p.end = f.base + int64(f.count)
	case kindCheckpoint:
		p.checkpoint, p.checkedAt, p.hasCheck = slices.Clone(f.payload), f.base, true
	default:
		return fmt.Errorf("%w: frame of kind %d", storage.ErrCorrupt, f.kind)
	}
	return nil
}

func (p *state) trim(to int64) {
	if to <= p.start {
		return
	}
	p.start = to
	p.end = max(p.end, to)
	gone := 0
	for gone < len(p.entries) && p.entries[gone].end() <= to {
		p.entries[gone].file.live--
		p.bytes -= int64(p.entries[gone].size)
		gone++
	}
	p.entries = slices.Delete(p.entries, 0, gone)
}

func (s *Store) applySnapshot(payload []byte) error {
	var all []kept
	if err := json.Unmarshal(payload, &all); err != nil {
		return fmt.Errorf("%w: snapshot: %w", storage.ErrCorrupt, err)
	}
	old := s.parts
	s.parts = make(map[storage.Partition]*state, len(all))
	for _, k := range all {
		id := storage.Partition{Topic: [16]byte(k.Topic), Index: k.Index}
		p := old[id]
		if p == nil {
			p = &state{id: id}
		}
		delete(old, id)
		p.trim(k.Start)
		p.end, p.epochs = max(p.end, k.End), k.Epochs
		p.checkpoint, p.checkedAt, p.hasCheck = k.Checkpoint, k.CheckedAt, k.Checkpoint != nil
		s.parts[id] = p
	}
	for _, gone := range old {
		for i := range gone.entries {
			gone.entries[i].file.live--
		}
	}
	return nil
}

// snapshot is the payload that lets every file before it go once its batches are gone.
func (s *Store) snapshot() ([]byte, error) {
	all := make([]kept, 0, len(s.parts))
	for id, p := range s.parts {
		k := kept{Topic: id.Topic[:], Index: id.Index, Start: p.start, End: p.end, Epochs: p.epochs}
		if p.hasCheck {
			k.Checkpoint, k.CheckedAt = p.checkpoint, p.checkedAt
		}
		all = append(all, k)
	}
	return json.Marshal(all)
}
