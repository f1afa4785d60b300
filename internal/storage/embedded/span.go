package embedded

import (
	"errors"
	"fmt"
	"io"
	"net"

	"kelp/internal/storage"
)

// smallRead is up to how many bytes a span is read into memory at once: below it a copy costs
// less than a system call for each section.
const smallRead = 32 << 10

// span is a run of batches in journal files, which it pins.
type span struct {
	parts []entry
	n     int
}

func (s *span) Len() int { return s.n }

// End implements storage.Ending.
func (s *span) End() int64 {
	if len(s.parts) == 0 {
		return 0
	}
	return s.parts[len(s.parts)-1].end()
}

// WriteTo sends sections of files to a TCP connection without a copy and copies to anything else.
func (s *span) WriteTo(w io.Writer) (n int64, err error) {
	for _, e := range s.parts {
		sent, err := sendSection(w, e.file.f, e.pos, int64(e.size))
		n += sent
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (s *span) Bytes() ([]byte, error) {
	b := make([]byte, s.n)
	at := 0
	for _, e := range s.parts {
		if _, err := e.file.f.ReadAt(b[at:at+int(e.size)], e.pos); err != nil {
			return nil, fmt.Errorf("read journal: %w", errors.Join(storage.ErrUnavailable, err))
		}
		at += int(e.size)
	}
	return b, nil
}

func (s *span) Release() {
	for _, e := range s.parts {
		e.file.pins.Done()
	}
	s.parts = nil
}

// load turns a span of files into one of memory and releases it.
func (s *span) load() (storage.Span, error) {
	defer s.Release()
	b, err := s.Bytes()
	return memorySpan{b, s.End()}, err
}

// memorySpan lies wholly in memory.
type memorySpan struct {
	b   []byte
	end int64
}

func (s memorySpan) Len() int { return len(s.b) }

// End implements storage.Ending.
func (s memorySpan) End() int64 { return s.end }

func (s memorySpan) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(s.b)
	return int64(n), err
}

func (s memorySpan) Bytes() ([]byte, error) { return s.b, nil }

func (memorySpan) Release() {}

// AppendBuffers implements storage.Buffered.
func (s memorySpan) AppendBuffers(b net.Buffers) net.Buffers {
	if len(s.b) == 0 {
		return b
	}
	return append(b, s.b)
}
