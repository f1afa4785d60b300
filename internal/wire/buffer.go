package wire

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// Buffer is pooled memory with a count of those who hold it. It goes back to its pool with the last
// Release; nobody may look at its bytes after theirs.
type Buffer struct {
	mem     []byte // as long as its class
	n       int    // bytes in use
	class   int    // index of its pool, -1: too large for one
	holders atomic.Int32
}

// Sizes of buffers: four to each doubling from 1 KiB to 128 MiB, so that at most a quarter of one is slack.
const (
	leastBufferBits = 10
	mostBufferBits  = 27
	bufferClasses   = (mostBufferBits-leastBufferBits)*4 + 1
)

var buffers [bufferClasses]sync.Pool

// classOf gives the smallest class that holds n bytes, and its size; -1 and n when none does.
func classOf(n int) (class, size int) {
	if n <= 1<<leastBufferBits {
		return 0, 1 << leastBufferBits
	}
	if n > 1<<mostBufferBits {
		return -1, n
	}
	top := bits.Len(uint(n-1)) - 1 // 2^top < n <= 2^(top+1)
	quarter := 1 << (top - 2)
	steps := (n - 1<<top + quarter - 1) / quarter // 1 to 4
	return (top-leastBufferBits)*4 + steps, 1<<top + steps*quarter
}

// NewBuffer gives a buffer of n bytes with one holder. What it held before is still in it.
func NewBuffer(n int) *Buffer {
	class, size := classOf(n)
	if class >= 0 {
		if b, ok := buffers[class].Get().(*Buffer); ok {
			b.n = n
			b.holders.Store(1)
			return b
		}
	}
	b := &Buffer{mem: make([]byte, size), n: n, class: class}
	b.holders.Store(1)
	return b
}

// Bytes is the memory of the buffer.
func (b *Buffer) Bytes() []byte { return b.mem[:b.n:b.n] }

// Retain adds a holder.
func (b *Buffer) Retain() { b.holders.Add(1) }

// Release takes a holder away.
func (b *Buffer) Release() {
	switch left := b.holders.Add(-1); {
	case left > 0:
	case left < 0:
		panic("wire: a buffer was released more often than it was held")
	case b.class >= 0:
		buffers[b.class].Put(b)
	}
}
