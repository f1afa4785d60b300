//go:build unix

package wire

import (
	"errors"
	"io"
	"syscall"
)

// readsWhenReady says that a socket can be waited for without memory to read into.
const readsWhenReady = true

// readReady reads what is there; false waits until the socket can be read and tries again.
func (r *Reader) readReady(fd uintptr) bool {
	held := r.chunk != nil
	if !held {
		r.chunk = NewBuffer(chunkBytes)
	}
	n, err := syscall.Read(int(fd), r.room())
	for errors.Is(err, syscall.EINTR) {
		n, err = syscall.Read(int(fd), r.room())
	}
	switch {
	case err == nil && n > 0:
		r.have = r.chunk.mem[:len(r.have)+n]
		return true
	case err == nil:
		r.result = io.EOF
		if len(r.have) > 0 {
			r.result = io.ErrUnexpectedEOF
		}
	case !errors.Is(err, syscall.EAGAIN):
		r.result = err
	}
	if !held {
		r.chunk.Release()
		r.chunk = nil
	}
	return r.result != nil
}
