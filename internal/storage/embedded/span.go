package embedded

import (
	"io"
	"net"
	"slices"
	"sync"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// fileSpan is a run of batches in files, which it pins.
type fileSpan struct {
	s        *Store
	sections []section
	n        int
	end      int64
}

// take makes a span of sections, whose files are pinned by the caller.
func (s *Store) take(sections []section, end int64) (storage.Span, error) {
	f := &fileSpan{s: s, sections: sections, end: end}
	for i := range sections {
		f.n += int(sections[i].n)
	}
	if f.n == 0 {
		return memorySpan{}, nil
	}
	if f.n <= smallRead || f.n < len(sections)*shortRun {
		buf := getBuffer(f.n)
		if err := f.fill(buf); err != nil {
			putBuffer(buf)
			return nil, err
		}
		s.m.readCopied.Inc()
		return &bufferSpan{buf: buf, end: end}, nil
	}
	for i := range sections {
		if i == 0 || sections[i].file != sections[i-1].file {
			if _, err := s.handles.pin(sections[i].file); err != nil {
				return nil, err
			}
		}
	}
	s.m.readFile.Inc()
	return f, nil
}

func (f *fileSpan) Len() int { return f.n }

// End implements storage.Ending.
func (f *fileSpan) End() int64 { return f.end }

// WriteTo sends sections to a TCP connection by sendfile and copies to anything else.
func (f *fileSpan) WriteTo(w io.Writer) (n int64, err error) {
	for _, c := range f.sections {
		sent, err := sendSection(w, c.handle, c.pos, c.n)
		n += sent
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// copySection goes through a buffer.
func copySection(w io.Writer, f vfs.File, pos, n int64) (int64, error) {
	buf := checkBuffers.Get().(*[]byte)
	defer checkBuffers.Put(buf)
	written := int64(0)
	for written < n {
		part := (*buf)[:min(n-written, checkBytes)]
		if err := readFull(f, part, pos+written); err != nil {
			return written, err
		}
		m, err := w.Write(part)
		written += int64(m)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}

func (f *fileSpan) fill(b []byte) error {
	at := int64(0)
	for _, c := range f.sections {
		if err := readFull(c.handle, b[at:at+c.n], c.pos); err != nil {
			return err
		}
		at += c.n
	}
	return nil
}

func (f *fileSpan) Bytes() ([]byte, error) {
	b := make([]byte, f.n)
	return b, f.fill(b)
}

func (f *fileSpan) Release() {
	for i := range f.sections {
		if i == 0 || f.sections[i].file != f.sections[i-1].file {
			f.s.handles.unpin(f.sections[i].file)
		}
	}
	f.sections = nil
}

// memorySpan is batches in slabs, which it pins.
type memorySpan struct {
	parts [][]byte
	slabs []*slab
	n     int
	end   int64
}

// fromMemory takes batches from r.From on; the partition's lock is held, so none of them goes meanwhile.
func (s *Store) fromMemory(all []recent, r storage.ReadRange) storage.Span {
	first, _ := slices.BinarySearchFunc(all, r.From, func(b recent, from int64) int {
		if b.end <= from {
			return -1
		}
		return 1
	})
	m := memorySpan{}
	batches, end := 0, uint32(0)
	for i := first; i < len(all); i++ {
		e := &all[i]
		if r.Before > 0 && e.base >= r.Before || m.n+int(e.size) > r.MaxBytes && (batches > 0 || !r.AtLeastOne) {
			break
		}
		k := len(m.slabs) - 1
		same := k >= 0 && m.slabs[k] == e.slab
		if !same {
			e.slab.pins.Add(1)
			m.slabs = append(m.slabs, e.slab)
		}
		if same && end == e.off { // right behind the one before
			p := m.parts[len(m.parts)-1]
			m.parts[len(m.parts)-1] = e.slab.buf[int(e.off)-len(p) : e.off+e.size]
		} else {
			m.parts = append(m.parts, e.bytes())
		}
		end, m.end = e.off+e.size, e.end
		m.n += int(e.size)
		batches++
	}
	return m
}

func (m memorySpan) Len() int { return m.n }

// End implements storage.Ending.
func (m memorySpan) End() int64 { return m.end }

func (m memorySpan) WriteTo(w io.Writer) (int64, error) {
	b := m.AppendBuffers(nil) // WriteTo of buffers consumes them
	return b.WriteTo(w)
}

// AppendBuffers implements storage.Buffered.
func (m memorySpan) AppendBuffers(b net.Buffers) net.Buffers { return append(b, m.parts...) }

func (m memorySpan) Bytes() ([]byte, error) {
	if len(m.parts) == 1 {
		return m.parts[0], nil
	}
	b := make([]byte, 0, m.n)
	for _, p := range m.parts {
		b = append(b, p...)
	}
	return b, nil
}

func (m memorySpan) Release() {
	for _, s := range m.slabs {
		s.unpin()
	}
}

// bufferSpan was read from files into a buffer of its own.
type bufferSpan struct {
	buf []byte
	end int64
}

func (s *bufferSpan) Len() int { return len(s.buf) }

// End implements storage.Ending.
func (s *bufferSpan) End() int64 { return s.end }

func (s *bufferSpan) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(s.buf)
	return int64(n), err
}

// AppendBuffers implements storage.Buffered.
func (s *bufferSpan) AppendBuffers(b net.Buffers) net.Buffers { return append(b, s.buf) }

func (s *bufferSpan) Bytes() ([]byte, error) { return s.buf, nil }

func (s *bufferSpan) Release() {
	putBuffer(s.buf)
	s.buf = nil
}

// Buffers of spans that are read into memory, in two sizes.
var (
	smallBuffers = sync.Pool{New: func() any { b := make([]byte, smallRead); return &b }}
	largeBuffers = sync.Pool{New: func() any { b := make([]byte, gatherBytes); return &b }}
)

func getBuffer(n int) []byte {
	switch {
	case n <= smallRead:
		return (*smallBuffers.Get().(*[]byte))[:n]
	case n <= gatherBytes:
		return (*largeBuffers.Get().(*[]byte))[:n]
	default:
		return make([]byte, n)
	}
}

func putBuffer(b []byte) {
	b = b[:cap(b)]
	switch len(b) {
	case smallRead:
		smallBuffers.Put(&b)
	case gatherBytes:
		largeBuffers.Put(&b)
	}
}
