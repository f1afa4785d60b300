package embedded

import (
	"fmt"
	"time"

	"kelp/internal/storage"
)

// run is the journal writer: it takes what is queued, writes it as one, and completes it.
func (s *Store) run() {
	defer close(s.done)
	var group []*op
	for {
		group = group[:0]
		select {
		case o := <-s.queue:
			group = append(group, o)
		case <-s.closing:
			s.drain()
			return
		}
		group = s.gather(group)
		s.commit(group)
	}
}

// gather adds what is already queued, up to groupBytes.
func (s *Store) gather(group []*op) []*op {
	bytes := len(group[0].frame.payload)
	for bytes < groupBytes {
		select {
		case o := <-s.queue:
			group = append(group, o)
			bytes += len(o.frame.payload)
		default:
			return group
		}
	}
	return group
}

// drain completes what was queued before the store was closed.
func (s *Store) drain() {
	for {
		select {
		case o := <-s.queue:
			s.commit(s.gather([]*op{o}))
		default:
			return
		}
	}
}

func (s *Store) commit(group []*op) {
	err := s.write(group)
	for _, o := range group {
		if o.err == nil {
			o.err = err
		}
		o.frame.payload = nil // who keeps the op for its fate must not keep the bytes
		close(o.done)
	}
	if err != nil {
		return
	}
	for _, o := range group {
		if o.log != nil && o.log.advanced != nil {
			o.log.advanced(o.frame.base + int64(o.frame.count))
		}
	}
}

// write makes the group durable and applies it. Ops that a newer owner has fenced are left out
// with their own error; a failure of the disk fails the store.
func (s *Store) write(group []*op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	file := s.files[len(s.files)-1]
	b, payloadAt := s.buf[:0], make([]int64, len(group))
	for i, o := range group {
		if o.err = s.refuse(o); o.err != nil {
			continue
		}
		payloadAt[i] = file.size + int64(len(b)) + frameBytes
		b = appendFrame(b, &o.frame)
	}
	s.mu.Unlock() // no lock is held across I/O; only this goroutine appends
	began := time.Now()
	_, err := file.f.WriteAt(b, file.size)
	if err == nil && s.o.Sync {
		err = file.f.Sync()
	}
	s.m.seconds.Observe(time.Since(began).Seconds())
	s.mu.Lock()
	if cap(b) <= 2*groupBytes {
		s.buf = b
	}
	if err != nil {
		s.failed = fmt.Errorf("%w: journal: %w", storage.ErrUnavailable, err)
		s.o.Logger.Error("the journal cannot be written: start again once the disk is well", "error", err)
		return s.failed
	}
	s.m.commits.Inc()
	s.m.appends.Add(float64(len(group)))
	s.m.bytes.Add(float64(len(b)))
	file.size += int64(len(b))
	for i, o := range group {
		if o.err == nil {
			o.err = s.apply(&o.frame, file, payloadAt[i])
		}
	}
	if file.size >= s.o.FileBytes {
		if err := s.roll(); err != nil {
			s.failed = fmt.Errorf("%w: new journal file: %w", storage.ErrUnavailable, err)
		}
	}
	return nil
}

// refuse says why an op must not enter the journal.
func (s *Store) refuse(o *op) error {
	p := s.parts[o.frame.partition]
	if o.log == nil {
		return nil
	}
	switch {
	case p == nil:
		return fmt.Errorf("partition %s: %w", o.frame.partition, storage.ErrNotFound)
	case p.owner != o.log:
		return fmt.Errorf("partition %s: %w", o.frame.partition, storage.ErrFenced)
	}
	return nil
}
