package mq

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"kelp/internal/seaweed"
	"kelp/internal/seaweed/filerpb"
)

// A partition in the filer:
//
//	/topics/<namespace>/<topic>/v2006-01-02-15-04-05/<start>-<stop>/2006-01-02-15-04-05
//	                            generation           range          second of the first entry
//
// A log file grows by whole chunks, each a run of entries: a big-endian uint32 with the length of what
// follows, then a LogEntry. Beside log files lie .parquet files made of them and small .offset files.
const (
	generationLayout = "v2006-01-02-15-04-05"
	logFileLayout    = "2006-01-02-15-04-05"
)

// maxChunkBytes bounds what one chunk of a log file may take in memory: the largest message and a little.
const maxChunkBytes = maxMessageBytes + 1<<20

// Position is how far a partition's log files were read: whole chunks. The zero Position is the start.
type Position struct {
	File   string // name of the last file that was read from
	Chunks int    // of it that were read
	Bytes  int64  // of it that were read, to see that the file is the same one
}

// LogFiles reads log files of one partition from the filer: only what has got there survives a broker.
type LogFiles struct {
	Filer *seaweed.Client
	Dir   string // of the partition
}

// Read visits the entries after a position, in the order in which the broker wrote them, chunk by chunk.
// It returns the position after the last chunk that was visited as a whole; what visit fails on is read
// again from there. A file that is gone, or has become another one, was removed by somebody: its
// successors are read.
func (l LogFiles) Read(ctx context.Context, from Position, visit func(Entry) error) (Position, error) {
	files, err := l.after(ctx, from)
	if err != nil {
		return from, err
	}
	for _, f := range files {
		if f.Name != from.File || !same(f, from) {
			from = Position{File: f.Name}
		}
		for _, b := range f.Blobs[from.Chunks:] {
			if err := l.chunk(ctx, f.Name, b, visit); err != nil {
				return from, err
			}
			from.Chunks++
			from.Bytes += b.Bytes
		}
	}
	return from, nil
}

// Compacted says whether some of the partition lies in Parquet files.
func (l LogFiles) Compacted(ctx context.Context) (bool, error) {
	compacted := false
	err := l.Filer.List(ctx, l.Dir, "", func(e seaweed.Entry, folder bool) error {
		compacted = compacted || !folder && strings.HasSuffix(e.Name, ".parquet")
		return nil
	})
	return compacted, err
}

// same says whether a file still begins with what was read of it.
func same(f seaweed.Entry, p Position) bool {
	if len(f.Blobs) < p.Chunks {
		return false
	}
	var n int64
	for _, b := range f.Blobs[:p.Chunks] {
		n += b.Bytes
	}
	return n == p.Bytes
}

// after lists the position's own file and those after it.
func (l LogFiles) after(ctx context.Context, from Position) ([]seaweed.Entry, error) {
	var files []seaweed.Entry
	if from.File != "" {
		f, err := l.Filer.Lookup(ctx, l.Dir, from.File)
		switch {
		case err == nil:
			files = append(files, f)
		case !errors.Is(err, seaweed.ErrNotFound):
			return nil, err
		}
	}
	err := l.Filer.List(ctx, l.Dir, from.File, func(e seaweed.Entry, folder bool) error {
		if _, err := time.Parse(logFileLayout, e.Name); err == nil && !folder {
			files = append(files, e)
		}
		return nil
	})
	return files, err
}

func (l LogFiles) chunk(ctx context.Context, file string, b seaweed.Blob, visit func(Entry) error) error {
	if b.Bytes > maxChunkBytes {
		return fmt.Errorf("%s/%s: a chunk of %d bytes: %w", l.Dir, file, b.Bytes, ErrCorrupt)
	}
	buf := make([]byte, b.Bytes)
	if err := l.Filer.ReadBlob(ctx, b.FileID, 0, buf); err != nil {
		return fmt.Errorf("%s/%s: %w", l.Dir, file, err)
	}
	if err := Entries(buf, visit); err != nil {
		return fmt.Errorf("%s/%s: %w", l.Dir, file, err)
	}
	return nil
}

// Entries visits the entries of a chunk. They share its memory.
func Entries(chunk []byte, visit func(Entry) error) error {
	for len(chunk) > 0 {
		if len(chunk) < 4 {
			return fmt.Errorf("%w: %d bytes are left", ErrCorrupt, len(chunk))
		}
		n := int64(binary.BigEndian.Uint32(chunk))
		if chunk = chunk[4:]; n > int64(len(chunk)) {
			return fmt.Errorf("%w: an entry of %d bytes in %d", ErrCorrupt, n, len(chunk))
		}
		e, err := parseEntry(chunk[:n])
		if err != nil {
			return err
		}
		if err := visit(e); err != nil {
			return err
		}
		chunk = chunk[n:]
	}
	return nil
}

func parseEntry(b []byte) (Entry, error) {
	var e filerpb.LogEntry
	if err := proto.Unmarshal(b, &e); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return entryOf(&e), nil
}

// Generation is a topic's partitions from one (re)configuration to the next.
type Generation struct {
	Name       string
	Partitions []Partition // in the order of the ring; GenerationNs has whole seconds only
}

// Generations lists what the filer has of a topic, oldest first. Brokers read the newest only.
func Generations(ctx context.Context, filer *seaweed.Client, t Topic) ([]Generation, error) {
	var all []Generation
	err := filer.List(ctx, t.Dir(), "", func(e seaweed.Entry, folder bool) error {
		if at, err := time.Parse(generationLayout, e.Name); err == nil && folder {
			g := Generation{Name: e.Name}
			partitions, err := partitionsIn(ctx, filer, t.Dir()+"/"+e.Name)
			if err != nil {
				return err
			}
			for _, p := range partitions {
				p.GenerationNs = at.UnixNano()
				g.Partitions = append(g.Partitions, p)
			}
			all = append(all, g)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Generation) int { return strings.Compare(a.Name, b.Name) })
	return all, err
}

func partitionsIn(ctx context.Context, filer *seaweed.Client, dir string) ([]Partition, error) {
	var all []Partition
	err := filer.List(ctx, dir, "", func(e seaweed.Entry, folder bool) error {
		p := Partition{RingSize: RingSize}
		if n, err := fmt.Sscanf(e.Name, "%04d-%04d", &p.Start, &p.Stop); folder && n == 2 && err == nil {
			all = append(all, p)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b Partition) int { return cmp.Compare(a.Start, b.Start) })
	return all, err
}
