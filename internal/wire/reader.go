package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"syscall"
)

const (
	// growBytes is how much of a claimed frame is made room for ahead of its bytes.
	growBytes = 64 << 10
	// growFactor is how much room follows once that is full.
	growFactor = 16
	// provenBytes bounds the frames for which a connection that has sent such a one before gets room at once.
	provenBytes = 4 << 20
	// chunkBytes is read at a time while it is not known how long a frame is.
	chunkBytes = 8 << 10
)

// Reader reads frames. Small ones are read many at a time; the body of a large one goes straight
// into its buffer. While it waits for the first byte of a frame it holds no memory where the
// system tells when there is something to read.
type Reader struct {
	src    io.Reader
	raw    syscall.RawConn // nil: src says when there is something by returning
	max    int
	proven int
	chunk  *Buffer
	have   []byte // what lies in chunk and has not been taken

	ready  func(fd uintptr) bool // readReady, made once
	result error                 // of readReady
	comes  func(fd uintptr) bool // somethingComes, made once
	looked bool                  // by somethingComes, since Wait was called
}

// NewReader makes a reader of frames of at most maxBytes.
func NewReader(src io.Reader, maxBytes int) *Reader {
	r := &Reader{src: src, max: maxBytes, proven: growBytes}
	if c, ok := src.(syscall.Conn); ok && readsWhenReady {
		if raw, err := c.SyscallConn(); err == nil {
			r.raw, r.ready, r.comes = raw, r.readReady, r.somethingComes
		}
	}
	return r
}

// Buffered is how many bytes can be taken without waiting.
func (r *Reader) Buffered() int { return len(r.have) }

// CanWait says that Wait can be called.
func (r *Reader) CanWait() bool { return r.raw != nil && canPeek }

// Wait returns when there is something to read, be it the end. It needs so little stack that a goroutine
// which does nothing else stays at the smallest size. Nothing must be buffered.
func (r *Reader) Wait() error {
	r.looked = false
	return r.raw.Read(r.comes)
}

// Size waits for the next frame and gives its length.
func (r *Reader) Size() (int, error) {
	for len(r.have) < 4 {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := int(int32(binary.BigEndian.Uint32(r.have)))
	if n < 8 || n > r.max {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrFrameSize, n, r.max)
	}
	r.take(4)
	return n, nil
}

// take passes over bytes of the chunk and lets an empty one go.
func (r *Reader) take(n int) {
	r.have = r.have[n:]
	if len(r.have) == 0 && r.chunk != nil {
		r.chunk.Release()
		r.chunk = nil
	}
}

// Close lets go of what was read ahead.
func (r *Reader) Close() { r.take(len(r.have)) }

// fill reads more into the chunk.
func (r *Reader) fill() error {
	if r.raw == nil {
		if r.chunk == nil {
			r.chunk = NewBuffer(chunkBytes)
		}
		n, err := r.src.Read(r.room())
		r.have = r.chunk.mem[:len(r.have)+n]
		if n > 0 {
			return nil
		}
		return err
	}
	r.result = nil
	if err := r.raw.Read(r.ready); err != nil {
		return err
	}
	return r.result
}

// room is the free part of the chunk, with what is in use moved to its front.
func (r *Reader) room() []byte {
	copy(r.chunk.mem, r.have)
	r.have = r.chunk.mem[:len(r.have)]
	return r.chunk.mem[len(r.have):]
}

// Body reads the n bytes of the frame whose length Size gave. Room is made as they arrive: reserve is
// asked for each further part before it is made, and its error ends the reading.
func (r *Reader) Body(n int, reserve func(bytes int) error) (*Buffer, error) {
	size := min(n, r.proven)
	if err := reserve(size); err != nil {
		return nil, err
	}
	b := NewBuffer(size)
	at := copy(b.Bytes(), r.have)
	r.take(at)
	for {
		if _, err := io.ReadFull(r.src, b.Bytes()[at:]); err != nil {
			b.Release()
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("half a frame: %w", err)
		}
		if size == n {
			r.proven = max(r.proven, min(n, provenBytes))
			return b, nil
		}
		at, size = size, min(n, size*growFactor)
		if err := reserve(size - at); err != nil {
			b.Release()
			return nil, err
		}
		grown := NewBuffer(size)
		copy(grown.Bytes(), b.Bytes())
		b.Release()
		b = grown
	}
}
