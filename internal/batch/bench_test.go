package batch

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// sizes of batches in the benchmarks, in records of 1 KiB: what slow, usual and fast producers send.
var sizes = []struct {
	name    string
	records int
}{{"1KiB", 1}, {"16KiB", 16}, {"128KiB", 128}, {"1MiB", 1000}}

var codecs = []struct {
	name  string
	codec Codec
}{{"none", None}, {"gzip", Gzip}, {"snappy", Snappy}, {"lz4", LZ4}, {"zstd", Zstd}}

// text makes records whose values are words, which compress as logs and JSON do.
func text(n int) []Record {
	r := rand.New(rand.NewPCG(1, 2))
	words := make([][]byte, 512)
	for i := range words {
		w := make([]byte, 3+r.IntN(8))
		for j := range w {
			w[j] = byte('a' + r.IntN(26))
		}
		words[i] = append(w, ' ')
	}
	out := make([]Record, n)
	for i := range out {
		v := make([]byte, 0, 1040)
		for len(v) < 1024 {
			v = append(v, words[r.IntN(len(words))]...)
		}
		out[i] = Record{TimestampMs: 1_700_000_000_000 + int64(i), Key: fmt.Appendf(nil, "key-%d", i), Value: v[:1024]}
	}
	return out
}

// each runs a benchmark for every codec and size; the rate is that of the plain records.
func each(b *testing.B, run func(b *testing.B, folded []byte, c Codec)) {
	for _, size := range sizes {
		plain := Encode(text(size.records), NoProducer())
		for _, c := range codecs {
			folded := plain
			if c.codec != None {
				var err error
				if folded, err = Recompress(plain, c.codec, defaultLevel(c.codec), maxScratchBytes); err != nil {
					b.Fatal(err)
				}
			}
			b.Run(c.name+"/"+size.name, func(b *testing.B) {
				b.SetBytes(int64(len(plain)))
				b.ReportAllocs()
				run(b, folded, c.codec)
			})
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	each(b, func(b *testing.B, folded []byte, _ Codec) {
		for b.Loop() {
			if _, err := Validate(folded, 1<<24, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRecompress turns plain batches into each codec, at the level that Kafka's topics have by default.
func BenchmarkRecompress(b *testing.B) {
	each(b, func(b *testing.B, folded []byte, c Codec) {
		plain, err := Recompress(folded, None, 0, 1<<24)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := Recompress(plain, c, defaultLevel(c), 1<<24); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDownConvert turns batches into what clients before Kafka 0.11 read.
func BenchmarkDownConvert(b *testing.B) {
	each(b, func(b *testing.B, folded []byte, _ Codec) {
		for b.Loop() {
			if _, err := ToMessages(folded, 1, 0, 1<<24, 1<<24); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkUpConvert turns what such clients write into batches, keeping the codec.
func BenchmarkUpConvert(b *testing.B) {
	each(b, func(b *testing.B, folded []byte, c Codec) {
		if c == Zstd {
			b.Skip("message sets have no zstd")
		}
		set, err := ToMessages(folded, 1, 0, 1<<24, 1<<24)
		if err == nil && c != None {
			var inner []byte
			if inner, err = compress(c, defaultLevel(c), nil, set); err == nil {
				set = message(kmsg.MessageV1{Magic: 1, Attributes: int8(c), Value: inner})
			}
		}
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := FromMessages(set, 1<<24); err != nil {
				b.Fatal(err)
			}
		}
	})
}
