package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec is a compression type by Kafka's number.
type Codec int8

// Kafka's compression types.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// xerial is the magic of the framing that the Java snappy library writes: after it come two
// version words and then blocks of a 4-byte length and raw snappy.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

// maxScratchBytes is the largest buffer kept for the next decompression.
const maxScratchBytes = 4 << 20

// The decoders of the streaming codecs are dear to make and are used again.
var (
	scratches   = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	lz4Readers  = sync.Pool{New: func() any { return lz4.NewReader(nil) }}
	zstdReaders = sync.Pool{New: func() any {
		// Only a wrong option fails.
		r, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		return r
	}}
)

// decompress unfolds src, at most limit bytes, into dst where it fits.
func decompress(c Codec, dst, src []byte, limit int) ([]byte, error) {
	switch c {
	case None:
		return src, nil
	case Gzip:
		r := gzipReaders.Get().(*gzip.Reader)
		defer gzipReaders.Put(r)
		if err := r.Reset(bytes.NewReader(src)); err != nil {
			return nil, fmt.Errorf("%w: gzip: %w", ErrCorrupt, err)
		}
		return readBounded(dst, r, limit)
	case Snappy:
		return unsnappy(src, limit)
	case LZ4:
		r := lz4Readers.Get().(*lz4.Reader)
		defer lz4Readers.Put(r)
		r.Reset(bytes.NewReader(src))
		return readBounded(dst, r, limit)
	case Zstd:
		r := zstdReaders.Get().(*zstd.Decoder)
		defer zstdReaders.Put(r)
		if err := r.Reset(bytes.NewReader(src)); err != nil {
			return nil, fmt.Errorf("%w: zstd: %w", ErrCorrupt, err)
		}
		return readBounded(dst, r, limit)
	default:
		return nil, ErrCompression
	}
}

func readBounded(dst []byte, r io.Reader, limit int) ([]byte, error) {
	if cap(dst) == 0 {
		dst = make([]byte, 0, 16<<10)
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return nil, ErrTooLarge
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
}

func unsnappy(src []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerial) {
		return unsnappyBlock(nil, src, limit)
	}
	if len(src) < 16 {
		return nil, ErrCorrupt
	}
	var out []byte
	for src = src[16:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, ErrCorrupt
		}
		n := int(binary.BigEndian.Uint32(src))
		if n < 0 || n > len(src)-4 {
			return nil, ErrCorrupt
		}
		var err error
		if out, err = unsnappyBlock(out, src[4:4+n], limit); err != nil {
			return nil, err
		}
		src = src[4+n:]
	}
	return out, nil
}

func unsnappyBlock(out, block []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return nil, fmt.Errorf("%w: snappy: %w", ErrCorrupt, err)
	}
	if n > limit-len(out) {
		return nil, ErrTooLarge
	}
	plain, err := snappy.Decode(nil, block)
	if err != nil {
		return nil, fmt.Errorf("%w: snappy: %w", ErrCorrupt, err)
	}
	if out == nil {
		return plain, nil
	}
	return append(out, plain...), nil
}

// Level is how hard a codec tries, in Kafka's numbers for that codec.
type Level int

// compress folds src the way Kafka's producers do: one gzip member, snappy in xerial's framing
// (the Java client reads no other), one lz4 frame of 64 KiB blocks, one zstd frame.
func compress(c Codec, level Level, src []byte) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch c {
	case None:
		return src, nil
	case Gzip:
		w, err = gzip.NewWriterLevel(&out, int(level))
	case Snappy:
		return snapped(src), nil
	case LZ4:
		z := lz4.NewWriter(&out)
		err = z.Apply(lz4.CompressionLevelOption(lz4Level(level)), lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false))
		w = z
	case Zstd:
		w, err = zstd.NewWriter(&out, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(int(level))), zstd.WithEncoderConcurrency(1))
	default:
		return nil, ErrCompression
	}
	if err != nil {
		return nil, fmt.Errorf("level %d: %w", level, err)
	}
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// lz4Level turns Kafka's 1 to 17 into the library's fast one and its nine of high compression.
func lz4Level(level Level) lz4.CompressionLevel {
	if level <= 1 {
		return lz4.Fast
	}
	return lz4.CompressionLevel(1 << (8 + min(int(level), 9)))
}

// snappyBlock is how much goes into one block of the framing, as in the Java library.
const snappyBlock = 32 << 10

func snapped(src []byte) []byte {
	out := append([]byte{}, xerial...)
	out = append(out, 0, 0, 0, 1, 0, 0, 0, 1)
	for len(src) > 0 {
		n := min(len(src), snappyBlock)
		block := snappy.Encode(nil, src[:n])
		out = binary.BigEndian.AppendUint32(out, uint32(len(block)))
		out = append(out, block...)
		src = src[n:]
	}
	return out
}

// CodecByName finds a codec by the value of compression.type.
func CodecByName(name string) (Codec, bool) {
	switch name {
	case "uncompressed":
		return None, true
	case "gzip":
		return Gzip, true
	case "snappy":
		return Snappy, true
	case "lz4":
		return LZ4, true
	case "zstd":
		return Zstd, true
	}
	return None, false
}

// Recompress gives a copy of the valid batch b with its records in another codec.
func Recompress(b []byte, to Codec, level Level, maxDecompressed int) ([]byte, error) {
	h, err := ReadHeader(b)
	if err != nil {
		return nil, err
	}
	body, err := decompress(h.Codec(), nil, b[HeaderBytes:], maxDecompressed)
	if err != nil {
		return nil, err
	}
	folded, err := compress(to, level, body)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, HeaderBytes+len(folded))
	out = append(append(out, b[:HeaderBytes]...), folded...)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	out[22] = out[22]&^7 | byte(to)
	sealCRC(out)
	return out, nil
}
