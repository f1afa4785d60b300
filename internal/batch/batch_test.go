package batch

import (
	"bytes"
	"errors"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func sample() []Record {
	return []Record{
		{TimestampMs: 100, Key: []byte("k"), Value: []byte("v"), Headers: []RecordHeader{{"h", []byte("x")}, {"n", nil}}},
		{TimestampMs: 90, Key: nil, Value: []byte{}},
		{TimestampMs: 120, Key: []byte{}, Value: nil},
	}
}

// compressed rebuilds an uncompressed batch with its records compressed.
func compressed(t *testing.T, b []byte, c Codec) []byte {
	t.Helper()
	body := b[HeaderBytes:]
	var w bytes.Buffer
	switch c {
	case None:
		w.Write(body)
	case Gzip:
		g := gzip.NewWriter(&w)
		g.Write(body)
		g.Close()
	case Snappy:
		w.Write(snappy.Encode(nil, body))
	case LZ4:
		l := lz4.NewWriter(&w)
		l.Write(body)
		l.Close()
	case Zstd:
		z, err := zstd.NewWriter(&w)
		if err != nil {
			t.Fatal(err)
		}
		z.Write(body)
		z.Close()
	}
	var rb kmsg.RecordBatch
	if err := rb.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	rb.Attributes, rb.Records = int16(c), w.Bytes()
	rb.Length = int32(HeaderBytes - 12 + w.Len())
	out := rb.AppendTo(nil)
	sealCRC(out)
	return out
}

func TestRecordsComeBackInEveryCodec(t *testing.T) {
	plain := Encode(sample(), NoProducer())
	for _, c := range []Codec{None, Gzip, Snappy, LZ4, Zstd} {
		b := plain
		if c != None {
			b = compressed(t, plain, c)
		}
		SetBaseOffset(b, 41)
		h, err := Validate(b, 1<<20, nil)
		if err != nil || h.Codec() != c || h.Count != 3 || h.LastOffset() != 43 {
			t.Fatalf("codec %d: %+v %v", c, h, err)
		}
		want, i := sample(), 0
		for r, err := range Records(b, 1<<20) {
			if err != nil {
				t.Fatal(err)
			}
			w := want[i]
			if r.Offset != int64(41+i) || r.TimestampMs != w.TimestampMs || !bytes.Equal(r.Key, w.Key) || (r.Key == nil) != (w.Key == nil) ||
				!bytes.Equal(r.Value, w.Value) || (r.Value == nil) != (w.Value == nil) || len(r.Headers) != len(w.Headers) {
				t.Fatalf("codec %d record %d: %+v, want %+v", c, i, r, w)
			}
			i++
		}
		if i != 3 {
			t.Fatalf("codec %d: %d records", c, i)
		}
	}
}

func TestEveryFlippedBitUnderTheChecksumIsSeen(t *testing.T) {
	good := Encode(sample(), NoProducer())
	for i := 17 * 8; i < len(good)*8; i++ {
		b := bytes.Clone(good)
		b[i/8] ^= 1 << (i % 8)
		if _, err := Validate(b, 1<<20, nil); err == nil {
			t.Fatalf("bit %d flipped and not seen", i)
		}
	}
	for n := range good {
		if _, err := Validate(good[:n], 1<<20, nil); err == nil {
			t.Fatalf("cut at %d and not seen", n)
		}
	}
}

func TestUnfoldingIsBounded(t *testing.T) {
	big := Encode([]Record{{Value: make([]byte, 1<<20)}}, NoProducer())
	for _, c := range []Codec{Gzip, Snappy, LZ4, Zstd} {
		if _, err := Validate(compressed(t, big, c), 1000, nil); !errors.Is(err, ErrTooLarge) {
			t.Errorf("codec %d: %v", c, err)
		}
	}
}

func FuzzValidate(f *testing.F) {
	f.Add(Encode(sample(), NoProducer()))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if len(b) > HeaderBytes {
			sealCRC(b)
		}
		_, _ = Validate(b, 1<<16, nil)
	})
}
