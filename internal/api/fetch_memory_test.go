package api

import (
	"bytes"
	"io"
	"net"
	"testing"

	"kelp/internal/storage"
)

// held is a span in memory, filed one in a file.
type (
	held  struct{ filed }
	filed int
)

func (f filed) Len() int { return int(f) }
func (f filed) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, bytes.NewReader(make([]byte, f)))
}
func (f filed) Bytes() ([]byte, error)                 { return make([]byte, f), nil }
func (f filed) Release()                               {}
func (h held) AppendBuffers(b net.Buffers) net.Buffers { return append(b, make([]byte, h.filed)) }

func TestFetchesReadLessWhenOthersHoldMuchAndNeverNothing(t *testing.T) {
	m := &fetchMemory{limit: 1 << 20}
	first := m.take(8 << 20)
	if first != 1<<20 {
		t.Fatalf("the first may read %d", first)
	}
	f := &fetched{parts: []readPart{{span: held{500_000}}, {span: filed(400_000)}}}
	f.settle(m, first)
	if used := m.used.Load(); used != 500_000 {
		t.Fatalf("%d bytes are held, want those in memory", used)
	}
	second := m.take(8 << 20)
	if second != 1<<20-500_000 {
		t.Fatalf("the second may read %d", second)
	}
	if third := m.take(8 << 20); third != leastFetchBytes {
		t.Fatalf("the third may read %d", third)
	} else {
		m.give(third)
	}
	m.give(second)
	f.release()
	f.free() // again changes nothing
	if used := m.used.Load(); used != 0 {
		t.Fatalf("%d bytes are held after all", used)
	}
	var _ storage.Span = held{}
}
