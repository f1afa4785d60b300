package seaweedmq

import (
	"sync"
	"sync/atomic"
	"time"
)

// stats are the numbers of one publisher since the start.
type stats struct {
	up           atomic.Bool  // a stream is open
	published    atomic.Int64 // records sent
	bytes        atomic.Int64 // of their messages
	acknowledged atomic.Int64 // by the broker: in its memory
	repeats      atomic.Int64 // entries that the filer had more than once
	foreign      atomic.Int64 // entries that nobody here has published
	undecodable  atomic.Int64
	deadLetters  atomic.Int64 // of undecodable ones, in the dead-letter topic
	skipped      atomic.Int64 // offsets deleted before they were published
	streams      atomic.Int64 // opened
	unclear      atomic.Int64 // opened although an earlier one might still be flushed
	errors       atomic.Int64
	confirmed    atomic.Int64 // offset before which everything is in the filer
	waiting      atomic.Int64 // records on their way

	mu         sync.Mutex // guards what follows
	err        error      // the last one
	errAt      time.Time
	undecoded  error // why the last undecodable one is
	undecodeAt int64
	counted    int64 // repeats of this stream that are in repeats
}

func (s *stats) fail(err error, at time.Time) {
	s.errors.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.errAt = err, at
}

func (s *stats) note(offset int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.undecoded, s.undecodeAt = err, offset
}

// recovered takes the numbers of a stream that is about to begin.
func (s *stats) recovered(p *progress) {
	s.repeats.Add(p.repeats)
	s.mu.Lock()
	s.counted = p.repeats
	s.mu.Unlock()
	s.confirmed.Store(p.confirmed())
}

// took takes the numbers of a stream after a look at the filer. The stream's lock is held.
func (s *stats) took(p *progress) {
	s.mu.Lock()
	s.repeats.Add(p.repeats - s.counted)
	s.counted = p.repeats
	s.mu.Unlock()
	s.waiting.Store(int64(p.waiting()))
}
