package storagetest

import (
	"bytes"
	"io"
	"net"
	"testing"

	"kelp/internal/storage"
)

// spans takes spans of several sizes in each form that the contract offers, over a real socket too.
func spans(t *testing.T, f *fixture) {
	var want bytes.Buffer
	for i := range int64(40) {
		b := storage.Batch{Base: i, Count: 1, Bytes: bytes.Repeat([]byte{byte(i)}, 1<<(i%18))}
		want.Write(b.Bytes)
		f.must(f.log.Append(b).Wait(f.Context()))
	}
	whole := want.String()
	f.equal(f.read(storage.ReadRange{MaxBytes: 1 << 30}), whole)
	for _, maxBytes := range []int{1, 100, 1 << 12, 1 << 16, 1 << 30} {
		r := storage.ReadRange{MaxBytes: maxBytes, AtLeastOne: true}
		for name, take := range map[string]func(*testing.T, storage.Span) []byte{"bytes": asBytes, "buffers": asBuffers, "socket": overSocket} {
			s, err := f.log.Read(f.Context(), r)
			f.must(err)
			n := s.Len()
			if got := take(t, s); len(got) != n || !bytes.HasPrefix(want.Bytes(), got) {
				f.Errorf("%s of %d bytes: %d of a span of %d", name, maxBytes, len(got), n)
			}
			s.Release()
		}
	}
}

func asBytes(t *testing.T, s storage.Span) []byte {
	b, err := s.Bytes()
	if err != nil {
		t.Error(err)
	}
	return bytes.Clone(b)
}

func asBuffers(t *testing.T, s storage.Span) []byte {
	if b, ok := s.(storage.Buffered); ok {
		return bytes.Join(b.AppendBuffers(nil), nil)
	}
	return asBytes(t, s)
}

func overSocket(t *testing.T, s storage.Span) []byte {
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	received := make(chan []byte, 1)
	go func() {
		defer close(received)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		b, _ := io.ReadAll(conn)
		received <- b
	}()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.WriteTo(conn); err != nil || int(n) != s.Len() {
		t.Errorf("a span of %d bytes sent %d: %v", s.Len(), n, err)
	}
	_ = conn.Close()
	return <-received
}
