package seaweedmq

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"kelp/internal/seaweed/mq"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// Limits of a publisher.
const (
	readBytes        = 1 << 20 // of the log at once
	maxDecompressed  = 256 << 20
	maxWaiting       = 300_000         // records on their way: published and not seen in the filer
	maxAhead         = stampSpan/2 - 1 // offsets beyond the checkpoint, since stamps tell no more apart
	lookEvery        = time.Second     // at the filer, while records are on their way
	lookSooner       = 200 * time.Millisecond
	settleLimit      = 60 * time.Second // for a broker to flush what an earlier stream left
	flushGrace       = 5 * time.Second  // for the same when the broker cannot be asked what is in its memory
	retryFirst       = 200 * time.Millisecond
	retryMost        = 5 * time.Second
	filerCallTimeout = 30 * time.Second
)

// errConflict says that SeaweedMQ's topic holds what this topic has not published. It takes a person.
var errConflict = errors.New("the topic in SeaweedMQ holds other records")

// Log is a partition of Kafka's log, as *topic.Partition is one.
type Log interface {
	ReadCommitted(ctx context.Context, from int64, maxBytes int, atLeastOne bool) (storage.Span, []topic.Aborted, error)
	LogStartOffset() int64
	LastStableOffset() int64
	Watch(f func()) (cancel func())
}

// publisher publishes one partition, stream after stream.
type publisher struct {
	t     *mirrored
	index int32
	rows  rows
	stats stats

	log    atomic.Pointer[Log]
	cp     Checkpoint // the last one saved
	loaded bool
	saved  time.Time
}

func newPublisher(t *mirrored, index int32) *publisher {
	return &publisher{t: t, index: index, rows: rows{
		mode: t.mode, undecodable: t.undecodable, partition: index, shapes: t.shapes, seed: maphash.MakeSeed(),
	}}
}

// run publishes until ctx ends. What fails is tried again, with a pause that grows while nothing works.
func (p *publisher) run(ctx context.Context) {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		before := p.stats.confirmed.Load()
		err := p.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		p.t.invalidate(err)
		p.stats.fail(err, p.t.m.o.Now())
		if p.stats.confirmed.Load() != before {
			pause = retryFirst
		}
		p.t.m.o.Logger.Warn("publishing to SeaweedMQ was interrupted and goes on", "topic", p.t.topic.Name, "partition", p.index,
			"error", err, "pause", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// stream runs one stream to the leader, from recovery to the first error.
func (p *publisher) stream(ctx context.Context) error {
	if err := p.open(ctx); err != nil {
		return err
	}
	a, err := p.t.assignment(ctx, p.index)
	if err != nil {
		return err
	}
	filer, err := p.t.m.filer(ctx)
	if err != nil {
		return err
	}
	s := &stream{p: p, log: *p.log.Load(), a: a, files: mq.LogFiles{Filer: filer, Dir: a.Partition.Dir(p.t.target)}}
	if err := p.begin(ctx, s); err != nil {
		return err
	}
	if err := s.recover(ctx); err != nil {
		return err
	}
	return s.run(ctx)
}

// open opens the log and loads the checkpoint, which needs nothing of SeaweedMQ: so the lag is known
// whatever else fails.
func (p *publisher) open(ctx context.Context) error {
	if p.log.Load() == nil {
		log, err := p.t.m.o.Partition(ctx, storage.Partition{Topic: p.t.topic.ID, Index: p.index})
		if err != nil {
			return err
		}
		p.log.Store(&log)
	}
	if p.loaded {
		return nil
	}
	cp, found, err := p.t.m.o.Checkpoints.Load(ctx, p.t.topic.Name, p.index)
	if err != nil {
		return fmt.Errorf("load the checkpoint: %w", err)
	}
	if p.loaded = true; found {
		p.cp = cp
		p.stats.confirmed.Store(cp.Next)
	}
	return nil
}

// lag is how many offsets of the log are not known to be in the filer.
func (p *publisher) lag() int64 {
	log := p.log.Load()
	if log == nil {
		return 0
	}
	return max(0, (*log).LastStableOffset()-max(p.stats.confirmed.Load(), (*log).LogStartOffset()))
}

// begin checks that the checkpoint is of this topic in this generation, or makes the first one if
// SeaweedMQ's partition is empty.
func (p *publisher) begin(ctx context.Context, s *stream) error {
	topicID := hex.EncodeToString(p.t.topic.ID[:])
	same := p.cp.Topic == topicID && p.cp.Mode == p.t.mode
	if same && p.cp.GenerationNs == s.a.Partition.GenerationNs {
		return nil
	}
	if empty, err := s.empty(ctx); err != nil || !empty {
		if err == nil {
			err = fmt.Errorf("%w: %s in the filer has records that were not published from here; delete the folder %s, "+
				"or give the topic config kelp.seaweedmq.topic another name", errConflict, s.files.Dir, p.t.target.Dir())
		}
		return err
	}
	// A new topic, or a new generation, in which nothing is: everything that the log still has is published.
	return p.save(ctx, Checkpoint{
		Next: s.log.LogStartOffset(), Topic: topicID, Mode: p.t.mode, GenerationNs: s.a.Partition.GenerationNs,
	})
}

func (p *publisher) save(ctx context.Context, cp Checkpoint) error {
	if cp == p.cp && p.t.m.o.Now().Sub(p.saved) < refreshAfter {
		return nil
	}
	if err := p.t.m.o.Checkpoints.Save(ctx, p.t.topic.Name, p.index, cp); err != nil {
		return fmt.Errorf("save the checkpoint: %w", err)
	}
	p.cp, p.saved = cp, p.t.m.o.Now()
	p.stats.confirmed.Store(cp.Next)
	return nil
}

// stream is one stream to the leader of the partition.
type stream struct {
	p      *publisher
	log    Log
	a      mq.Assignment
	files  mq.LogFiles
	stamps stamps

	mu       sync.Mutex // guards what follows
	progress *progress
	position mq.Position // how far the filer was read
	maxStamp int64       // before position
	base     int64       // of the checkpoint: what offsets in stamps are near to
	room     chan struct{}
}

// empty says whether the filer has nothing of the partition.
func (s *stream) empty(ctx context.Context) (bool, error) {
	some := errors.New("some")
	_, err := s.files.Read(ctx, mq.Position{}, func(mq.Entry) error { return some })
	if errors.Is(err, some) {
		return false, nil
	}
	return err == nil, err
}

// recover reads what the filer has beyond the checkpoint, once nothing of an earlier stream can follow.
//
// A broker flushes the partition when its last publisher leaves. So this waits until there is none and
// the filer has all that the broker's memory has. If that does not come to pass, publishing begins
// anyway: nothing gets lost, but what is flushed later is there twice. The memory of a broker whose partition is
// compacted is not asked for (mq.Client.Unflushed says why); it gets a while to flush in place of that.
func (s *stream) recover(ctx context.Context) error {
	p := s.p
	s.progress, s.position, s.maxStamp, s.base = resume(p.cp.Next), p.cp.Position, p.cp.StampNs, p.cp.Next
	s.room = make(chan struct{}, 1)
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	compacted, err := s.files.Compacted(ctx)
	if err != nil {
		return fmt.Errorf("list the tail: %w", err)
	}
	var quietSince time.Time
	for {
		quiet, inMemory, err := s.left(ctx, !compacted)
		if err != nil {
			return err
		}
		if s.position, err = s.files.Read(ctx, s.position, s.found); err != nil {
			return fmt.Errorf("read the tail: %w", err)
		}
		switch {
		case !quiet:
			quietSince = time.Time{}
		case quietSince.IsZero():
			quietSince = time.Now()
		}
		if quiet && inMemory <= s.maxStamp && (!compacted || time.Since(quietSince) >= flushGrace) {
			break
		}
		select {
		case <-time.After(lookSooner):
			continue
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return ctx.Err()
			}
			p.stats.unclear.Add(1)
		}
		s.maxStamp = max(s.maxStamp, inMemory)
		break
	}
	s.stamps.last = s.maxStamp
	p.stats.recovered(s.progress)
	return nil
}

// left says whether nobody publishes to the partition, and if asked to the newest timestamp in the leader's memory.
func (s *stream) left(ctx context.Context, look bool) (quiet bool, inMemory int64, err error) {
	c, target := s.p.t.m.o.Client, s.p.t.target
	publishing, err := c.Publishing(ctx, target)
	if err != nil {
		return false, 0, err
	}
	if look {
		err = c.Unflushed(ctx, target, s.a, func(e mq.Entry) error {
			inMemory = max(inMemory, e.TsNs)
			return nil
		})
	}
	return publishing[s.a.Partition.Start] == 0, inMemory, err
}

func (s *stream) found(e mq.Entry) error {
	s.maxStamp = max(s.maxStamp, e.TsNs)
	if offset, sum, ok := s.p.rows.identify(e, s.base); ok {
		s.progress.found(offset, sum)
	} else {
		s.p.stats.foreign.Add(1)
	}
	return nil
}

// run publishes, counts acknowledgements and looks at the filer, until the first error.
func (s *stream) run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	name := fmt.Sprintf("kelp/%s/%d", s.p.t.topic.Name, s.p.index)
	pub, err := s.connect(ctx, name)
	if err != nil {
		return err
	}
	s.p.stats.streams.Add(1)
	s.p.stats.up.Store(true)
	defer s.p.stats.up.Store(false)
	var wg sync.WaitGroup
	wg.Go(func() { end(s.receive(pub)) })
	wg.Go(func() { end(s.confirm(ctx)) })
	err = s.publish(ctx, pub)
	if errors.Is(err, errStream) || errors.Is(err, context.Canceled) {
		<-ctx.Done() // the receiving side knows why
		err = nil
	}
	end(err)
	pub.Close()
	wg.Wait()
	return context.Cause(ctx)
}

// receive counts acknowledgements: the broker has so much in its memory.
func (s *stream) receive(pub sender) error {
	for {
		if _, err := pub.Receive(); err != nil {
			return fmt.Errorf("the stream for the broker %s has ended: %w", s.a.Leader, err)
		}
		s.p.stats.acknowledged.Add(1)
	}
}

// confirm looks at the filer while records are on their way, and moves the checkpoint.
func (s *stream) confirm(ctx context.Context) error {
	tick := time.NewTicker(lookSooner)
	defer tick.Stop()
	moves := moving{limit: s.p.t.stallLimit()}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		s.mu.Lock()
		waiting, next := s.progress.waiting(), s.progress.confirmed()
		s.mu.Unlock()
		if err := moves.check(waiting, next, s.p.t.m.o.Now()); err != nil {
			return err
		}
		if waiting == 0 && next == s.p.cp.Next && s.p.t.m.o.Now().Sub(s.p.saved) < refreshAfter {
			continue
		}
		if waiting < maxWaiting/2 && n%int(lookEvery/lookSooner) != 0 {
			continue
		}
		if err := s.look(ctx); errors.Is(err, errLost) || errors.Is(err, mq.ErrCorrupt) {
			return err
		} else if err != nil && ctx.Err() == nil {
			s.p.stats.fail(err, s.p.t.m.o.Now()) // the filer may come back
		}
	}
}

// look reads what is new in the filer.
func (s *stream) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, filerCallTimeout)
	defer cancel()
	stamp := s.maxStamp
	position, err := s.files.Read(ctx, s.position, func(e mq.Entry) error {
		stamp = max(stamp, e.TsNs)
		return s.seen(e)
	})
	if errors.Is(err, errLost) {
		return err
	}
	s.position, s.maxStamp = position, stamp
	s.mu.Lock()
	cp := s.p.cp
	cp.Next = s.progress.confirmed()
	if s.progress.settled() {
		cp.Position, cp.StampNs = s.position, s.maxStamp
	} else {
		cp = s.p.cp
	}
	s.p.stats.took(s.progress)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.p.save(ctx, cp); err != nil {
		return err
	}
	s.mu.Lock()
	s.base = cp.Next
	s.mu.Unlock()
	select {
	case s.room <- struct{}{}:
	default:
	}
	return nil
}

func (s *stream) seen(e mq.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	offset, sum, ok := s.p.rows.identify(e, s.base)
	if !ok {
		s.p.stats.foreign.Add(1)
		return nil
	}
	return s.progress.seen(offset, sum)
}
