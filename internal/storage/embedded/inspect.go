package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// Report is what a data folder holds and what is wrong with it.
type Report struct {
	Files      []FileReport
	Partitions []PartitionReport
	Problems   []Problem
}

// FileReport is one data file.
type FileReport struct {
	Name    string
	Bytes   int64
	Live    int64 // bytes of batches and checkpoints that are still wanted
	Batches int64
	Index   bool // it is finished and has its index
}

// PartitionReport is one partition.
type PartitionReport struct {
	Partition  storage.Partition `json:"-"`
	Topic      string            // for who knows how topics are named
	Index      int32
	Start, End int64
	Bytes      int64
	Batches    int64
	Checkpoint int64 // -1: none
	Segments   []storage.Segment
	Epochs     []storage.EpochStart
}

// Problem is something that is not as it was written. Lost says what a repair gives up for good,
// empty when nothing is lost. Harmless is what a crash leaves: nothing acknowledged is touched.
type Problem struct {
	Harmless        bool
	File, Partition string
	From, To        int64 // offsets, when a partition is named
	What, Lost      string
}

// visitor is shown the batches of a partition in order.
type visitor = func(p storage.Partition, base int64, b []byte)

// Inspect reads a folder that no process has open, and changes nothing. With check it reads every
// batch. Each batch of a partition is shown to see, in order, without its bytes unless check is set.
func Inspect(ctx context.Context, dir string, check bool, see visitor) (*Report, error) {
	s, notes, err := openStill(dir, vfs.ReadOnly{FS: vfs.OS{}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.closeFiles() }() // only read
	r := &Report{Problems: notes.problems}
	for _, st := range s.ordered() {
		p, problems := s.inspect(ctx, st, check, see)
		r.Partitions = append(r.Partitions, p)
		r.Problems = append(r.Problems, problems...)
	}
	slices.SortFunc(r.Partitions, func(a, b PartitionReport) int {
		return cmp.Or(slices.Compare(a.Partition.Topic[:], b.Partition.Topic[:]), cmp.Compare(a.Partition.Index, b.Partition.Index))
	})
	for _, f := range s.files {
		r.Files = append(r.Files, s.inspectFile(f))
	}
	slices.SortFunc(r.Files, func(a, b FileReport) int { return strings.Compare(a.Name, b.Name) })
	return r, ctx.Err()
}

// openStill reads a folder back without starting anything.
func openStill(dir string, fs vfs.FS) (*Store, *notes, error) {
	if names, err := fs.List(dir); err != nil {
		return nil, nil, err
	} else if !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "journal-") || strings.HasPrefix(n, "state-") }) {
		return nil, nil, fmt.Errorf("%s holds no log: name the folder log in the data folder", dir)
	}
	lock, err := fs.Lock(filepath.Join(dir, "LOCK"))
	if err != nil {
		return nil, nil, fmt.Errorf("%s is in use by a server: stop it first: %w", dir, err)
	}
	n := &notes{}
	s := newStore(dir, Options{FS: fs, Logger: slog.New(n), rebuild: true}.withDefaults(), lock)
	if _, err := s.recover(); err != nil {
		return nil, nil, errors.Join(err, s.closeFiles())
	}
	return s, n, nil
}

func (s *Store) inspectFile(f *file) FileReport {
	r := FileReport{Name: filepath.Base(f.name), Live: f.live.Load(), Index: f.sealed && f.noIndex == nil}
	for _, p := range f.pieces.all {
		r.Batches += int64(p.n)
	}
	if h, err := s.handles.pin(f); err == nil {
		r.Bytes, _ = h.Size()
		s.handles.unpin(f)
	}
	return r
}

func (s *Store) inspect(ctx context.Context, st *state, check bool, see visitor) (PartitionReport, []Problem) {
	l := &log{s: s, st: st}
	shape := l.Shape()
	r := PartitionReport{
		Partition: st.id, Index: st.id.Index, Start: st.start, End: st.end,
		Bytes: shape.Bytes, Segments: shape.Segments, Epochs: shape.Epochs, Checkpoint: -1,
	}
	var problems []Problem
	bad := func(f *file, from, to int64, what string) {
		p := Problem{Partition: st.id.String(), From: from, To: to, What: what, Lost: fmt.Sprintf("offsets %d to %d", from, to-1)}
		if f != nil {
			p.File = filepath.Base(f.name)
		}
		problems = append(problems, p)
	}
	for _, d := range st.damaged {
		bad(nil, d.from, d.to, "batches that were acknowledged are missing")
	}
	if at, _, err := l.Checkpoint(ctx); err == nil {
		r.Checkpoint = at
	} else if st.check.file != nil {
		problems = append(problems, Problem{Partition: st.id.String(), What: "the checkpoint is damaged; it is derived again"})
	}
	for _, v := range st.views {
		entries, err := s.entries(st, v)
		if err != nil {
			bad(v.file, v.shown().base, v.shown().end, err.Error())
			continue
		}
		h, err := s.handles.pin(v.file)
		if err != nil {
			bad(v.file, v.shown().base, v.shown().end, err.Error())
			continue
		}
		for i := range entries {
			e := &entries[i]
			if r.Batches++; ctx.Err() != nil {
				break
			}
			b := make([]byte, min(int64(e.size), headBytes))
			if check {
				b = make([]byte, e.size)
			}
			if err := readFull(h, b, int64(e.pos)); err != nil || check && checksum(b) != e.crc {
				bad(v.file, e.base, e.end(), "a batch is not as it was written")
			} else if see != nil {
				see(st.id, e.base, b)
			}
		}
		s.handles.unpin(v.file)
	}
	return r, problems
}

// headBytes is how much of a batch is shown when it is not checked.
const headBytes = 128

// Repair makes a folder whole that no process has open: what is damaged is given up, so that what
// lies behind it can be read, and indexes and snapshots are written again.
func Repair(ctx context.Context, dir string) (*Report, error) {
	before, err := Inspect(ctx, dir, true, nil)
	if err != nil {
		return nil, err
	}
	s, err := Open(dir, Options{Sync: true, rebuild: true})
	if err != nil {
		return nil, err
	}
	for _, p := range before.Problems {
		if p.Lost == "" || p.Partition == "" {
			continue
		}
		if err := s.giveUp(ctx, p); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return before, s.Close()
}

// giveUp takes the batches in a damaged range out of their partition.
func (s *Store) giveUp(ctx context.Context, p Problem) error {
	for _, st := range s.ordered() {
		if st.id.String() != p.Partition {
			continue
		}
		for range replaceTries {
			e := &edit{}
			st.mu.RLock()
			views := slices.Clone(st.views)
			st.mu.RUnlock()
			for _, v := range views {
				if sum := v.shown(); sum.end <= p.From || sum.base >= p.To {
					continue
				}
				e.remove = append(e.remove, v.ref())
				entries, err := s.entries(st, v)
				if err != nil {
					continue // all of it is lost
				}
				low, high := 0, len(entries)
				for low < len(entries) && entries[low].base < p.From {
					low++
				}
				for high > low && entries[high-1].base >= p.To {
					high--
				}
				if low > 0 {
					e.add = append(e.add, v.split(0, low, entries))
				}
				if high < len(entries) {
					e.add = append(e.add, v.split(high, len(entries), entries))
				}
			}
			err := s.do(ctx, st, item{kind: kindGiveUp, id: st.id, base: p.From, prev: p.To}, e.encode())
			if err == nil || !errors.Is(err, errStale) {
				return err
			}
		}
		return errStale
	}
	return nil
}

// notes turns what reading a folder back logs into problems.
type notes struct {
	mu       sync.Mutex
	problems []Problem
}

// Enabled implements slog.Handler.
func (n *notes) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (n *notes) Handle(_ context.Context, r slog.Record) error {
	p := Problem{What: r.Message, Harmless: r.Level < slog.LevelError}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "file":
			p.File = filepath.Base(a.Value.String())
		case "partition":
			p.Partition = a.Value.String()
		case "dropped_bytes":
			p.Lost = fmt.Sprintf("%d bytes that were never acknowledged", a.Value.Int64())
		default:
			p.What += fmt.Sprintf(", %s %v", a.Key, a.Value)
		}
		return true
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	n.problems = append(n.problems, p)
	return nil
}

// WithAttrs implements slog.Handler.
func (n *notes) WithAttrs([]slog.Attr) slog.Handler { return n }

// WithGroup implements slog.Handler.
func (n *notes) WithGroup(string) slog.Handler { return n }
