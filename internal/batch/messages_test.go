package batch

import (
	"bytes"
	"errors"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// message builds one message of m's magic with kmsg's writer, which is not ours.
func message(m kmsg.MessageV1) []byte {
	raw := m.AppendTo(nil)
	if m.Magic == 0 {
		old := kmsg.MessageV0{Offset: m.Offset, Attributes: m.Attributes, Key: m.Key, Value: m.Value}
		raw = old.AppendTo(nil)
	}
	size := uint32(len(raw) - 12)
	raw[8], raw[9], raw[10], raw[11] = byte(size>>24), byte(size>>16), byte(size>>8), byte(size)
	sum := crc32.ChecksumIEEE(raw[16:])
	raw[12], raw[13], raw[14], raw[15] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
	return raw
}

func TestMessageSetsBecomeOneBatchAndComeBack(t *testing.T) {
	for magic := range int8(2) {
		inner := slices.Concat(
			message(kmsg.MessageV1{Magic: magic, Timestamp: 70, Key: []byte("k")}),
			message(kmsg.MessageV1{Magic: magic, Offset: 1, Timestamp: 71, Value: []byte("value")}),
		)
		for _, codec := range []Codec{None, Gzip, Snappy, LZ4} {
			set := inner
			if codec != None {
				folded, err := compress(codec, defaultLevel(codec), nil, inner)
				if err != nil {
					t.Fatal(err)
				}
				if codec == LZ4 && magic == 0 {
					folded[6] ^= 0x55 // the wrong header checksum of magic 0
				}
				set = message(kmsg.MessageV1{Magic: magic, Attributes: int8(codec), Offset: 1, Timestamp: 71, Value: folded})
			}
			b, err := FromMessages(set, 1<<20)
			if err != nil {
				t.Fatalf("magic %d codec %d: %v", magic, codec, err)
			}
			SetBaseOffset(b, 10)
			if h, err := Validate(b, 1<<20, nil); err != nil || h.Codec() != codec || h.Count != 2 {
				t.Fatalf("magic %d codec %d: %+v %v", magic, codec, h, err)
			}
			got, err := ToMessages(b, magic, 10, 1<<20, 1<<20)
			want := slices.Concat(
				message(kmsg.MessageV1{Magic: magic, Offset: 10, Timestamp: 70, Key: []byte("k")}),
				message(kmsg.MessageV1{Magic: magic, Offset: 11, Timestamp: 71, Value: []byte("value")}),
			)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("magic %d codec %d: %x, want %x, %v", magic, codec, got, want, err)
			}
			got, err = ToMessages(b, magic, 11, 1, 1<<20)
			if err != nil || !bytes.Equal(got, want[len(want)-len(got):]) || len(got) == 0 {
				t.Fatalf("from the middle: %x %v", got, err)
			}
			got, err = ToMessages(b, magic, 0, 1, 1<<20)
			if err != nil || !bytes.Equal(got, want[:len(got)]) || len(got) == 0 || len(got) == len(want) {
				t.Fatalf("one only: %x %v", got, err)
			}
		}
	}
}

func TestBadMessageSets(t *testing.T) {
	good := message(kmsg.MessageV1{Magic: 1, Timestamp: 5, Value: []byte("value")})
	for n := 1; n < len(good); n++ {
		if _, err := FromMessages(good[:n], 1<<20); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for i := 12 * 8; i < len(good)*8; i++ {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := FromMessages(bad, 1<<20); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
	folded, err := compress(Gzip, -1, nil, message(kmsg.MessageV1{Magic: 1, Timestamp: 5, Value: make([]byte, 1<<16)}))
	if err != nil {
		t.Fatal(err)
	}
	unfolding := message(kmsg.MessageV1{Magic: 1, Attributes: 1, Timestamp: 5, Value: folded})
	if _, err := FromMessages(unfolding, 1000); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	nested, err := compress(Gzip, -1, nil, message(kmsg.MessageV1{Magic: 1, Attributes: 1, Timestamp: 5, Value: folded}))
	if err != nil {
		t.Fatal(err)
	}
	unfolding = message(kmsg.MessageV1{Magic: 1, Attributes: 1, Timestamp: 5, Value: nested})
	if _, err := FromMessages(unfolding, 1<<20); !errors.Is(err, ErrCompression) {
		t.Fatal(err)
	}
	if _, err := FromMessages(nil, 1); !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
}

func TestRecompressionKeepsRecordsAndHeader(t *testing.T) {
	from := Encode(sample(), Options{ProducerID: 7, ProducerEpoch: 1, BaseSequence: 3})
	for _, to := range []Codec{Gzip, Snappy, LZ4, Zstd, None} {
		b, err := Recompress(from, to, defaultLevel(to), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		h, err := Validate(b, 1<<20, nil)
		if err != nil || h.Codec() != to || h.ProducerID != 7 || h.BaseSequence != 3 {
			t.Fatalf("%+v %v", h, err)
		}
		plain := Encode(sample(), Options{ProducerID: 7, ProducerEpoch: 1, BaseSequence: 3})
		if from, err = Recompress(b, None, 0, 1<<20); err != nil || !bytes.Equal(from, plain) {
			t.Fatalf("codec %d: %x %v", to, from, err)
		}
	}
}

// TestLZ4IsFastAtKafkasDefaultLevel: Kafka takes high compression at every level but its default.
func TestLZ4IsFastAtKafkasDefaultLevel(t *testing.T) {
	if got := lz4Level(9); got != lz4.Fast {
		t.Errorf("level 9 is %v", got)
	}
	for level, want := range map[Level]lz4.CompressionLevel{1: lz4.Level1, 8: lz4.Level8, 10: lz4.Level9, 17: lz4.Level9} {
		if got := lz4Level(level); got != want {
			t.Errorf("level %d is %v, want %v", level, got, want)
		}
	}
}

func FuzzFromMessages(f *testing.F) {
	f.Add(message(kmsg.MessageV1{Key: []byte("k"), Value: []byte("v")}))
	f.Add(message(kmsg.MessageV1{Magic: 1, Attributes: 1, Value: []byte("v")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := FromMessages(b, 1<<16)
		if err != nil {
			return
		}
		if _, err := Validate(out, 1<<20, nil); err != nil {
			t.Fatal(err)
		}
	})
}
