package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// readFrame reads one frame whole.
func readFrame(r io.Reader, most int) ([]byte, error) {
	in := NewReader(r, most)
	n, err := in.Size()
	if err != nil {
		return nil, err
	}
	b, err := in.Body(n, func(int) error { return nil })
	if err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func TestAFetchResponseWithSpansDecodesInEveryVersion(t *testing.T) {
	spans := [][]byte{[]byte("abc"), bytes.Repeat([]byte("x"), 70_000)}
	for v := int16(0); v <= 18; v++ {
		resp := kmsg.NewPtrFetchResponse()
		resp.SetVersion(v)
		topic := kmsg.NewFetchResponseTopic()
		for _, rb := range [][]byte{Marker(), {}, Marker()} {
			p := kmsg.NewFetchResponseTopicPartition()
			p.RecordBatches = rb
			topic.Partitions = append(topic.Partitions, p)
		}
		resp.Topics = append(resp.Topics, topic)
		ahead := []byte("a response before it")
		grown, pieces, err := AppendPieces(ahead, 7, resp, []int{len(spans[0]), len(spans[1])})
		if err != nil || !bytes.HasPrefix(grown, ahead) || len(pieces) != len(spans)+1 {
			t.Fatal(v, err, len(pieces))
		}
		b := slices.Concat(pieces[0], spans[0], pieces[1], spans[1], pieces[2])
		if int(binary.BigEndian.Uint32(b)) != len(b)-4 || binary.BigEndian.Uint32(b[4:]) != 7 {
			t.Fatalf("v%d: header % x", v, b[:8])
		}
		b = b[8:]
		if resp.IsFlexible() {
			b = b[1:]
		}
		got := kmsg.NewPtrFetchResponse()
		got.SetVersion(v)
		if err := got.ReadFrom(b); err != nil {
			t.Fatalf("v%d: %v", v, err)
		}
		ps := got.Topics[0].Partitions
		if string(ps[0].RecordBatches) != "abc" || len(ps[1].RecordBatches) != 0 || !bytes.Equal(ps[2].RecordBatches, spans[1]) {
			t.Fatalf("v%d: records differ", v)
		}
	}
}

func TestAClaimedLengthIsNotBelieved(t *testing.T) {
	claim := binary.BigEndian.AppendUint32(nil, 90<<20)
	reserved := 0
	in := NewReader(bytes.NewReader(append(claim, make([]byte, 100)...)), 100<<20)
	n, err := in.Size()
	if err != nil {
		t.Fatal(err)
	}
	_, err = in.Body(n, func(bytes int) error {
		reserved += bytes
		return nil
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) || reserved > growBytes {
		t.Fatalf("%v, room was made for %d bytes", err, reserved)
	}
	for _, n := range []uint32{0, 7, 101, 1 << 31} {
		if _, err := readFrame(bytes.NewReader(binary.BigEndian.AppendUint32(nil, n)), 100); !errors.Is(err, ErrFrameSize) {
			t.Fatal(n, err)
		}
	}
}

// TestFramesOfEverySizeArriveWhole sends frames of all sizes in one stream, in pieces of all sizes.
func TestFramesOfEverySizeArriveWhole(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	var stream []byte
	var want [][]byte
	for range 300 {
		b := make([]byte, 8+r.IntN(1<<(3+r.IntN(16))))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		want = append(want, b)
		stream = append(binary.BigEndian.AppendUint32(stream, uint32(len(b))), b...)
	}
	a, b := net.Pipe() // no readiness
	go func() {
		defer a.Close()
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), 1+r.IntN(1<<(1+r.IntN(16))))
			_, _ = a.Write(rest[:n])
			rest = rest[n:]
		}
	}()
	for name, src := range map[string]io.Reader{
		"pipe": b, "socket": overTCP(t, stream), "bytes": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		in := NewReader(src, 1<<20)
		for i, w := range want {
			n, err := in.Size()
			if err != nil {
				t.Fatalf("seed %d, %s, frame %d: %v", seed, name, i, err)
			}
			reserved := 0
			got, err := in.Body(n, func(bytes int) error {
				reserved += bytes
				return nil
			})
			if err != nil || !bytes.Equal(got.Bytes(), w) || reserved != len(w) {
				t.Fatalf("seed %d, %s, frame %d of %d bytes differs: %v, reserved %d", seed, name, i, len(w), err, reserved)
			}
			got.Release()
		}
		if _, err := in.Size(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v at the end", name, err)
		}
	}
}

func overTCP(t *testing.T, stream []byte) net.Conn {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	go func() {
		defer out.Close()
		_, _ = out.Write(stream)
	}()
	return in
}

func TestAnIdleReaderHoldsNoMemory(t *testing.T) {
	in := NewReader(overTCP(t, []byte{0, 0, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8}), 100)
	n, err := in.Size()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Body(n, func(int) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if in.chunk != nil {
		t.Error("a chunk is held between frames")
	}
}

func TestBuffersHoldWhatIsAskedWithLittleSlack(t *testing.T) {
	for n := 1; n < 200<<20; n += 1 + n/7 {
		for _, n := range []int{n - 1, n, n + 1} {
			class, size := classOf(n)
			if size < n || n > 1<<leastBufferBits && class >= 0 && size > n+n/4+1 || class >= bufferClasses {
				t.Fatalf("%d bytes: class %d of %d", n, class, size)
			}
			if class >= 0 {
				if again, same := classOf(size); again != class || same != size {
					t.Fatalf("%d bytes: class %d of %d is not its own", n, class, size)
				}
			}
		}
	}
	b := NewBuffer(1000)
	b.Retain()
	b.Release()
	b.Release()
	defer func() {
		if recover() == nil {
			t.Error("a release too many was not noticed")
		}
	}()
	b.Release()
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x00\x03\x00\x0d\x00\x00\x00\x01\x00\x01a\x00\x00\x00\x00"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if len(b) >= 8 {
			_, _ = Decode(b, func(int16, int16) (bool, bool) { return true, true })
		}
	})
}
