package batch

import (
	"bytes"
	"slices"
	"testing"
)

// Marked records have one more header; all else of the batch, its records and their order is as it was.
func TestAddHeaders(t *testing.T) {
	recs := []Record{
		{TimestampMs: 5, Key: []byte("k"), Value: bytes.Repeat([]byte("v"), 300), Headers: []RecordHeader{{"a", []byte("1")}, {"b", nil}}},
		{TimestampMs: 9, Value: []byte{}},
		{TimestampMs: 2, Key: []byte{}, Headers: []RecordHeader{{"a", []byte("2")}}},
	}
	o := Options{BaseOffset: 40, ProducerID: 7, ProducerEpoch: 1, BaseSequence: 11, Transactional: true}
	for _, codec := range []Codec{None, Gzip, Snappy, LZ4, Zstd} {
		b, err := Recompress(Encode(recs, o), codec, defaultLevel(codec), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		before := slices.Clone(b)
		marked, err := AddHeaders(b, []Mark{{1, RecordHeader{"m", []byte("one")}}, {2, RecordHeader{"a", []byte("two")}}}, 1<<20)
		if err != nil {
			t.Fatal(codec, err)
		}
		if !bytes.Equal(b, before) {
			t.Errorf("%d: the batch was changed", codec)
		}
		h, err := Validate(marked, 1<<20, func(i int32, r Record) {
			if want := [][]byte{[]byte("1"), nil, []byte("two")}[i]; !bytes.Equal(r.LastHeader("a"), want) {
				t.Errorf("%d: record %d has the last header %q, want %q", codec, i, r.LastHeader("a"), want)
			}
		})
		if err != nil {
			t.Fatal(codec, err)
		}
		was, _ := ReadHeader(b)
		was.Length, was.CRC, h.Length, h.CRC = 0, 0, 0, 0
		if h != was {
			t.Errorf("%d: header %+v, was %+v", codec, h, was)
		}
		i := 0
		for r, err := range Records(marked, 1<<20) {
			if err != nil {
				t.Fatal(codec, err)
			}
			want := recs[i]
			headers := slices.Clone(want.Headers)
			if i > 0 {
				headers = append(headers, []RecordHeader{{}, {"m", []byte("one")}, {"a", []byte("two")}}[i])
			}
			same := slices.EqualFunc(r.Headers, headers, func(a, b RecordHeader) bool {
				return a.Key == b.Key && bytes.Equal(a.Value, b.Value) && (a.Value == nil) == (b.Value == nil)
			})
			if !same || !bytes.Equal(r.Key, want.Key) || (r.Key == nil) != (want.Key == nil) || !bytes.Equal(r.Value, want.Value) ||
				(r.Value == nil) != (want.Value == nil) || r.TimestampMs != want.TimestampMs || r.Offset != 40+int64(i) {
				t.Errorf("%d: record %d is %+v", codec, i, r)
			}
			i++
		}
	}
}
