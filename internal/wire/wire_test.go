package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

type stored string

// readFrame reads one frame whole.
func readFrame(r io.Reader, most int) ([]byte, error) {
	n, err := ReadSize(r, most)
	if err != nil {
		return nil, err
	}
	return ReadBody(r, n, func(int) error { return nil })
}

func (s stored) Len() int { return len(s) }
func (s stored) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(s))
	return int64(n), err
}

func TestAFetchResponseWithSpansDecodesInEveryVersion(t *testing.T) {
	long := stored(bytes.Repeat([]byte("x"), 70_000))
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
		var w bytes.Buffer
		if err := WriteResponse(&w, 7, resp, []Span{stored("abc"), long}); err != nil {
			t.Fatal(err)
		}
		b := w.Bytes()
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
		if string(ps[0].RecordBatches) != "abc" || len(ps[1].RecordBatches) != 0 || string(ps[2].RecordBatches) != string(long) {
			t.Fatalf("v%d: records differ", v)
		}
	}
}

func TestAClaimedLengthIsNotBelieved(t *testing.T) {
	claim := binary.BigEndian.AppendUint32(nil, 90<<20)
	allocated := testing.AllocsPerRun(1, func() {
		if _, err := readFrame(bytes.NewReader(append(claim, make([]byte, 100)...)), 100<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	})
	if allocated > 20 {
		t.Fatalf("%v allocations", allocated)
	}
	for _, n := range []uint32{0, 7, 101, 1 << 31} {
		if _, err := readFrame(bytes.NewReader(binary.BigEndian.AppendUint32(nil, n)), 100); !errors.Is(err, ErrFrameSize) {
			t.Fatal(n, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x00\x03\x00\x0d\x00\x00\x00\x01\x00\x01a\x00\x00\x00\x00"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if len(b) >= 8 {
			_, _ = Decode(b, func(int16, int16) (bool, bool) { return true, true })
		}
	})
}
