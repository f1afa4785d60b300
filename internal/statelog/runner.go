package statelog

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// Limits of a runner.
const (
	queuedSteps       = 1024 // submissions waiting; the next one blocks
	stepsPerAppend    = 256  // steps that share one append
	maxReplayedRecord = 64 << 20
	replayBytes       = 1 << 20 // read at a time on load
)

// ErrMoved answers everyone who waited when an append failed: the outcome is unknown, the state
// is being replayed, and asking again is safe.
var ErrMoved = errors.New("the state was lost to a failed append and is replayed")

// ErrClosed answers after Close.
var ErrClosed = errors.New("state machine closed")

// Runner owns one machine and the log under it.
type Runner[M Machine] struct {
	open  func(context.Context) (storage.Log, error)
	fresh func() M
	note  func(string)
	call  func(Call)
	log   storage.Log
	m     M
	next  int64

	steps  chan submission[M]
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	ticket  Ticket             // the loop's own, as all below
	waiting map[Ticket]*Answer // callers without a reply yet
	timers  timers
	replies []Reply  // held until records is durable
	calls   []Call   // likewise
	records []Record // decided and applied, not yet appended
}

type submission[M Machine] struct {
	step   func(M, Input) Effects
	answer *Answer
}

// Options of a runner.
type Options[M Machine] struct {
	// Log opens the log to replay; it is called again after a failed append.
	Log   func(context.Context) (storage.Log, error)
	Fresh func() M
	Note  func(string) // takes the notes of steps; nil drops them
	// Call begins a call of a step and returns at once. Nil panics on the first.
	Call func(Call)
}

// Open replays the log and starts the machine.
func Open[M Machine](ctx context.Context, o Options[M]) (*Runner[M], error) {
	if o.Note == nil {
		o.Note = func(string) {}
	}
	r := &Runner[M]{open: o.Log, fresh: o.Fresh, note: o.Note, call: o.Call}
	r.steps, r.done = make(chan submission[M], queuedSteps), make(chan struct{})
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go r.run()
	return r, nil
}

// Submit runs a step in order; its Answer gives what the step replied to its own ticket.
func (r *Runner[M]) Submit(step func(M, Input) Effects) *Answer {
	a := &Answer{}
	select {
	case <-r.ctx.Done():
		a.give(nil, ErrClosed)
		return a
	case r.steps <- submission[M]{step, a}:
	}
	if r.ctx.Err() != nil { // the loop may have looked for the last time before this came
		go func() {
			<-r.done
			a.give(nil, ErrClosed)
		}()
	}
	return a
}

// Close ends the machine; waiting callers get ErrClosed.
func (r *Runner[M]) Close() {
	r.cancel()
	<-r.done
}

func (r *Runner[M]) load(ctx context.Context) error {
	log, err := r.open(ctx)
	if err != nil {
		return err
	}
	r.log, r.m = log, r.fresh()
	r.waiting, r.timers, r.replies, r.calls, r.records = map[Ticket]*Answer{}, timers{}, nil, nil, nil
	end, err := r.replay(ctx, log)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	r.next = end
	r.effects(r.m.Loaded(r.input()))
	return nil
}

// replay folds in what the log holds and gives its end. Offsets may have holes: compaction takes
// records out and leaves their places, down to batches without any record.
func (r *Runner[M]) replay(ctx context.Context, log storage.Log) (end int64, err error) {
	from, end := log.Bounds()
	for from < end {
		span, err := log.Read(ctx, storage.ReadRange{From: from, MaxBytes: replayBytes, AtLeastOne: true})
		if err != nil {
			return end, err
		}
		b, err := span.Bytes()
		if err == nil && len(b) == 0 { // nothing is left up to the end
			span.Release()
			return end, nil
		}
		for len(b) > 0 && err == nil {
			from, b, err = r.replayBatch(b)
		}
		span.Release()
		if err != nil {
			return end, err
		}
	}
	return end, nil
}

// replayBatch folds in the batch at the front of b; it gives the offset after it and what follows.
func (r *Runner[M]) replayBatch(b []byte) (next int64, rest []byte, err error) {
	h, err := batch.ReadHeader(b)
	if err != nil {
		return 0, nil, err
	}
	for stored, err := range batch.Records(b, maxReplayedRecord) {
		if err != nil {
			return 0, nil, err
		}
		rec := Record{Key: stored.Key, Value: bytes.Clone(stored.Value), TimestampMs: stored.TimestampMs}
		if h.Transactional() {
			rec.Transaction = &Transaction{ProducerID: h.ProducerID, ProducerEpoch: h.ProducerEpoch}
		}
		if h.Control() {
			m, known := batch.ReadMarker(stored)
			if !known || rec.Transaction == nil {
				continue
			}
			rec.Key, rec.Value, rec.Transaction.Ended = nil, nil, &Marker{m.Commit, m.CoordinatorEpoch}
		}
		if err := r.m.Apply(rec); err != nil {
			return 0, nil, err
		}
	}
	return h.LastOffset() + 1, b[h.TotalBytes():], nil
}

func (r *Runner[M]) input() Input {
	r.ticket++
	return Input{Now: time.Now(), Ticket: r.ticket, NewID: func() (id [16]byte) {
		_, _ = rand.Read(id[:])
		return id
	}}
}

func (r *Runner[M]) run() {
	defer close(r.done)
	alarm := time.NewTimer(time.Hour)
	for {
		r.due()
		if !r.commit() {
			r.end(ErrMoved)
			if err := r.load(r.ctx); err != nil {
				r.cancel()
				r.end(ErrClosed)
				return
			}
			continue
		}
		alarm.Reset(time.Until(r.earliest()))
		select {
		case <-r.ctx.Done():
			r.end(ErrClosed)
			return
		case s := <-r.steps:
			r.take(s)
		case <-alarm.C:
		}
	}
}

// take runs a step and those queued behind it, so that they share an append.
func (r *Runner[M]) take(s submission[M]) {
	for n := 1; ; n++ {
		in := r.input()
		r.waiting[in.Ticket] = s.answer
		r.effects(s.step(r.m, in))
		if n == stepsPerAppend {
			return
		}
		select {
		case s = <-r.steps:
		default:
			return
		}
	}
}

// effects applies what a step decided; its replies stay until commit.
func (r *Runner[M]) effects(e Effects) {
	nowMs := time.Now().UnixMilli()
	for _, rec := range e.Records {
		rec.TimestampMs = nowMs
		if err := r.m.Apply(rec); err != nil {
			panic(fmt.Sprintf("statelog: a machine cannot apply its own record: %v", err))
		}
		r.records = append(r.records, rec)
	}
	r.replies = append(r.replies, e.Replies...)
	r.calls = append(r.calls, e.Calls...)
	for _, n := range e.Notes {
		r.note(n)
	}
	for _, t := range e.Timers {
		r.timers.set(t)
	}
}

func (r *Runner[M]) earliest() time.Time {
	if at, some := r.timers.earliest(); some {
		return at
	}
	return time.Now().Add(time.Hour)
}

func (r *Runner[M]) due() {
	now := time.Now()
	for {
		key, due := r.timers.due(now)
		if !due {
			return
		}
		r.effects(r.m.Timeout(r.input(), key))
	}
}

// commit makes the records durable and releases the replies that saw them.
func (r *Runner[M]) commit() bool {
	if !r.append() {
		return false
	}
	for _, reply := range r.replies {
		if a := r.waiting[reply.To]; a != nil {
			a.give(reply.Response, reply.Err)
			delete(r.waiting, reply.To)
		}
	}
	r.replies = r.replies[:0]
	for _, c := range r.calls {
		r.call(c)
	}
	r.calls = r.calls[:0]
	return true
}

// append makes the records durable: a batch for each run of records of one transaction or of none.
func (r *Runner[M]) append() bool {
	var last storage.Pending
	for rest := r.records; len(rest) > 0; {
		n := 1
		for n < len(rest) && sameBatch(rest[0], rest[n]) {
			n++
		}
		b := encode(rest[:n], r.next)
		last = r.log.Append(b)
		r.next += int64(n)
		rest = rest[n:]
	}
	r.records = r.records[:0]
	// Appends are durable in order, and after a failed one all fail: the last speaks for all.
	return last == nil || last.Wait(context.WithoutCancel(r.ctx)) == nil
}

func sameBatch(a, b Record) bool {
	if a.Transaction == nil || b.Transaction == nil {
		return a.Transaction == b.Transaction
	}
	return a.Transaction.Ended == nil && b.Transaction.Ended == nil && *a.Transaction == *b.Transaction
}

// encode builds a batch of records that share one.
func encode(recs []Record, base int64) storage.Batch {
	o := batch.NoProducer()
	out := storage.Batch{Base: base, Count: int32(len(recs)), MaxTimestampMs: recs[len(recs)-1].TimestampMs}
	if t := recs[0].Transaction; t != nil {
		o.Transactional, o.ProducerID, o.ProducerEpoch = true, t.ProducerID, t.ProducerEpoch
	}
	o.BaseOffset = base
	if t := recs[0].Transaction; t != nil && t.Ended != nil {
		m := batch.Marker{Commit: t.Ended.Commit, CoordinatorEpoch: t.Ended.CoordinatorEpoch}
		out.Bytes = batch.EncodeMarker(m, out.MaxTimestampMs, o)
		return out
	}
	stored := make([]batch.Record, 0, len(recs))
	for _, rec := range recs {
		stored = append(stored, batch.Record{Key: rec.Key, Value: rec.Value, TimestampMs: rec.TimestampMs})
	}
	out.Bytes = batch.Encode(stored, o)
	return out
}

func (r *Runner[M]) end(err error) {
	r.replies, r.calls = nil, nil // nothing of what was lost may be told or begun
	for _, a := range r.waiting {
		a.give(nil, err)
	}
	for {
		select {
		case s := <-r.steps:
			s.answer.give(nil, err)
		default:
			return
		}
	}
}
