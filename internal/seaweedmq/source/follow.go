package source

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"kelp/internal/batch"
	"kelp/internal/schema"
	"kelp/internal/schema/record"
	"kelp/internal/seaweed"
	"kelp/internal/seaweed/mq"
	"kelp/internal/storage"
)

// errEnd ends a reading where the scan before it ended.
var errEnd = errors.New("the scanned part is read")

// follower fills one partition.
type follower struct {
	o         *Options
	want      want
	source    mq.Topic
	partition int32
	metrics   *metrics

	filer *seaweed.Client
	log   Log
	place Place
	saved time.Time // when place was last saved

	schema   *encoding
	schemaAt time.Time
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	pause := readEvery
	for ctx.Err() == nil {
		err := f.round(ctx)
		if err == nil {
			pause = readEvery
		} else if ctx.Err() == nil {
			f.metrics.errors.WithLabelValues(f.want.name).Inc()
			f.o.Logger.Warn("could not read from SeaweedMQ; it will be tried again", "topic", f.want.name, "partition", f.partition,
				"source", f.source.String(), "error", err)
			pause = min(2*pause, retryMost)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// round reads what is new.
func (f *follower) round(ctx context.Context) error {
	if err := f.open(ctx); err != nil {
		return err
	}
	d, err := f.o.Client.Describe(ctx, f.source)
	if err != nil {
		return err
	}
	if len(d.Assignments) != int(f.want.partitions) {
		return fmt.Errorf("the topic has %d partitions, in SeaweedMQ it has %d: make them the same", f.want.partitions, len(d.Assignments))
	}
	dirs, err := f.dirs(ctx, d.Assignments[f.partition].Partition)
	if err != nil {
		return err
	}
	began := f.o.Now()
	s := &scan{most: f.log.End() - 1}
	var few []mq.Entry // nil when there are more than are held
	bytes := 0
	next, err := f.read(ctx, dirs, func(e mq.Entry) error {
		s.see(e.Offset)
		if bytes += len(e.Key) + len(e.Value); bytes <= inMemoryBytes {
			few = append(few, e)
		} else {
			few = nil
		}
		return nil
	})
	if err != nil {
		return err
	}
	if s.entries > 0 {
		if err := f.take(ctx, d.RecordType, s, few, dirs); err != nil {
			return err
		}
	}
	next.Repeats, next.Skipped, next.Unfitted, next.ReadMs = f.place.Repeats, f.place.Skipped, f.place.Unfitted, began.UnixMilli()
	f.place = next
	if s.entries > 0 || began.Sub(f.saved) >= saveIdleEvery {
		f.saved = began
		return f.o.Places.Save(ctx, f.want.name, f.partition, f.log.End(), f.place)
	}
	return nil
}

// open connects and finds out how far the partition was read.
func (f *follower) open(ctx context.Context) error {
	if f.log != nil {
		return nil
	}
	var err error
	if f.filer, err = f.o.Filer(ctx); err != nil {
		return err
	}
	if f.place, err = f.o.Places.Load(ctx, f.want.name, f.partition); err != nil {
		return err
	}
	log, err := f.o.Partition(ctx, storage.Partition{Topic: f.want.id, Index: f.partition})
	if err == nil {
		f.log = log
	}
	return err
}

// dir is a partition's folder in one generation.
type dir struct{ generation, path string }

// dirs lists the folders of a partition from the place on: generations in which it had the same range.
func (f *follower) dirs(ctx context.Context, p mq.Partition) ([]dir, error) {
	generations, err := mq.Generations(ctx, f.filer, f.source)
	if err != nil {
		return nil, err
	}
	var all []dir
	for _, g := range generations {
		for _, had := range g.Partitions {
			if had.Start == p.Start && had.Stop == p.Stop && g.Name >= f.place.Generation {
				all = append(all, dir{g.Name, had.Dir(f.source)})
			}
		}
	}
	return all, nil
}

// read visits the entries after the place and gives the place behind them.
func (f *follower) read(ctx context.Context, dirs []dir, visit func(mq.Entry) error) (Place, error) {
	at := f.place
	for _, d := range dirs {
		if d.generation != at.Generation {
			at.Generation, at.Position = d.generation, mq.Position{}
		}
		var err error
		if at.Position, err = (mq.LogFiles{Filer: f.filer, Dir: d.path}).Read(ctx, at.Position, visit); err != nil {
			return at, err
		}
	}
	return at, nil
}

// take appends what was scanned: from memory, or by reading it again.
func (f *follower) take(ctx context.Context, typ *record.RecordType, s *scan, few []mq.Entry, dirs []dir) error {
	c, err := f.converter(ctx, typ)
	if err != nil {
		return err
	}
	a := &appender{log: f.log, ctx: ctx}
	m := &merger{scan: s, next: f.log.End(), give: func(e mq.Entry) error { return a.add(c.record(e)) }}
	if few != nil {
		for _, e := range few {
			if err := m.add(e); err != nil {
				return err
			}
		}
	} else {
		left := s.entries
		_, err := f.read(ctx, dirs, func(e mq.Entry) error {
			if left == 0 {
				return errEnd
			}
			left--
			return m.add(e)
		})
		if err != nil && !errors.Is(err, errEnd) {
			return err
		}
	}
	if err := errors.Join(m.end(), a.end()); err != nil {
		return err
	}
	f.place.Repeats, f.place.Skipped, f.place.Unfitted = f.place.Repeats+m.repeats, f.place.Skipped+m.skipped, f.place.Unfitted+c.unfitted
	f.metrics.took(f.want.name, a.records, m.repeats, m.skipped, c.unfitted)
	if m.repeats > 0 || m.skipped > 0 {
		f.o.Logger.Info("offsets in SeaweedMQ are repeated or missing", "topic", f.want.name, "partition", f.partition,
			"repeated entries", m.repeats, "missing offsets", m.skipped)
	}
	return nil
}

// converter makes what turns entries into records.
func (f *follower) converter(ctx context.Context, typ *record.RecordType) (*converter, error) {
	c := &converter{typ: typ, format: f.want.format}
	if typ == nil || len(typ.Fields) == 0 {
		c.typ = nil
		return c, nil
	}
	if c.format != "schema" {
		return c, nil
	}
	if f.o.Now().Sub(f.schemaAt) > schemaKeptFor {
		found, err := f.find(ctx)
		if err != nil {
			return nil, err
		}
		f.schema, f.schemaAt = found, f.o.Now()
	}
	c.schema = f.schema
	return c, nil
}

// find gives the encoding of the subject's newest schema, nil when there is none.
func (f *follower) find(ctx context.Context) (*encoding, error) {
	r, err := f.o.Registries.Named(f.want.registry)
	if err != nil {
		return nil, err
	}
	v, err := r.Version(ctx, f.want.name+"-value", schema.Latest)
	if schema.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	source, err := r.Source(ctx, v)
	if err != nil {
		return nil, err
	}
	format := f.o.Formats[v.Type]
	if format == nil {
		return nil, fmt.Errorf("schema type %s is not known here", v.Type)
	}
	parsed, err := format.Parse(source)
	if err != nil {
		return nil, err
	}
	coder, ok := parsed.(record.Coder)
	if !ok {
		return nil, fmt.Errorf("%s values cannot be encoded here", v.Type)
	}
	codec, err := coder.Codec(record.Options{})
	if err != nil {
		return nil, err
	}
	typ, err := codec.RecordType()
	if err != nil {
		return nil, err
	}
	return &encoding{id: v.ID, kind: v.Type, codec: codec, typ: typ}, nil
}

// appender gathers records into batches and appends them.
type appender struct {
	log Log
	ctx context.Context

	recs    []batch.Record
	bytes   int
	pending []storage.Pending
	records int64
}

func (a *appender) add(r batch.Record) error {
	size := len(r.Key) + len(r.Value)
	if n := len(a.recs); n > 0 && (n == batchRecords || a.bytes+size > batchBytes || r.Offset-a.recs[0].Offset >= math.MaxInt32) {
		if err := a.flush(); err != nil {
			return err
		}
	}
	a.recs, a.bytes = append(a.recs, r), a.bytes+size
	return nil
}

func (a *appender) flush() error {
	p, err := a.log.Import(batch.EncodeAt(a.recs, batch.NoProducer()))
	if err != nil {
		return err
	}
	a.records += int64(len(a.recs))
	a.recs, a.bytes = a.recs[:0], 0
	a.pending = append(a.pending, p)
	if len(a.pending) < pendingMost {
		return nil
	}
	err = a.pending[0].Wait(a.ctx)
	a.pending = a.pending[1:]
	return err
}

// end appends the rest and waits until all is durable.
func (a *appender) end() error {
	if len(a.recs) > 0 {
		if err := a.flush(); err != nil {
			return err
		}
	}
	for _, p := range a.pending {
		if err := p.Wait(a.ctx); err != nil {
			return err
		}
	}
	return nil
}
