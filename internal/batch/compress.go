package batch

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Level is how hard a codec tries, in Kafka's numbers for that codec.
type Level int

// defaultLevels are those that Kafka's topics have unless they say otherwise.
func defaultLevel(c Codec) Level {
	switch c {
	case LZ4:
		return fastLZ4
	case Zstd:
		return 3
	default:
		return gzip.DefaultCompression
	}
}

const (
	// fastLZ4 is the level at which Kafka takes the fast compressor; all others are those of high compression.
	fastLZ4 Level = 9
	// snappyBlock is how much goes into one block of the framing, as in the Java library.
	snappyBlock = 32 << 10
	// gzipLevels are -1 to 9.
	gzipLevels = 11
)

// The encoders are dear to make, a zstd one takes megabytes, and are used again: those of gzip by
// level, those of zstd by the library's four levels.
var (
	gzipWriters [gzipLevels]sync.Pool
	zstdWriters [zstd.SpeedBestCompression + 1]sync.Pool
	lz4Writers  = sync.Pool{New: func() any { return lz4.NewWriter(nil) }}
)

// appender is a writer into a slice.
type appender struct{ b []byte }

func (a *appender) Write(b []byte) (int, error) {
	a.b = append(a.b, b...)
	return len(b), nil
}

// compress folds src the way Kafka's producers do and appends it to dst: one gzip member, snappy in
// xerial's framing (the Java client reads no other), one lz4 frame of 64 KiB blocks, one zstd frame.
func compress(c Codec, level Level, dst, src []byte) ([]byte, error) {
	switch c {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return gzipped(level, dst, src)
	case Snappy:
		return snapped(dst, src), nil
	case LZ4:
		w := lz4Writers.Get().(*lz4.Writer)
		defer lz4Writers.Put(w)
		out := &appender{dst}
		w.Reset(out)
		err := w.Apply(lz4.CompressionLevelOption(lz4Level(level)), lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false))
		if err != nil {
			return nil, fmt.Errorf("level %d: %w", level, err)
		}
		return written(w, out, src)
	case Zstd:
		speed := zstd.EncoderLevelFromZstd(int(level))
		w, ok := zstdWriters[speed].Get().(*zstd.Encoder)
		if !ok {
			var err error
			if w, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithEncoderConcurrency(1)); err != nil {
				return nil, fmt.Errorf("level %d: %w", level, err)
			}
		}
		defer zstdWriters[speed].Put(w)
		return w.EncodeAll(src, dst), nil
	default:
		return nil, ErrCompression
	}
}

func gzipped(level Level, dst, src []byte) ([]byte, error) {
	if level < gzip.DefaultCompression || level > gzip.BestCompression {
		return nil, fmt.Errorf("gzip has no level %d", level)
	}
	pool := &gzipWriters[level+1]
	w, ok := pool.Get().(*gzip.Writer)
	if !ok {
		var err error
		if w, err = gzip.NewWriterLevel(nil, int(level)); err != nil {
			return nil, err
		}
	}
	defer pool.Put(w)
	out := &appender{dst}
	w.Reset(out)
	return written(w, out, src)
}

func written(w io.WriteCloser, out *appender, src []byte) ([]byte, error) {
	if _, err := w.Write(src); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.b, nil
}

// lz4Level turns Kafka's 1 to 17 into the library's: the fast one and nine of high compression.
func lz4Level(level Level) lz4.CompressionLevel {
	if level == fastLZ4 {
		return lz4.Fast
	}
	return lz4.CompressionLevel(1 << (8 + min(max(int(level), 1), 9)))
}

func snapped(dst, src []byte) []byte {
	dst = append(append(dst, xerial...), 0, 0, 0, 1, 0, 0, 0, 1)
	for len(src) > 0 {
		n := min(len(src), snappyBlock)
		at := len(dst)
		most := at + 4 + snappy.MaxEncodedLen(n)
		if most > cap(dst) {
			dst = append(dst, make([]byte, most-at)...)
		}
		block := snappy.Encode(dst[at+4:most], src[:n])
		binary.BigEndian.PutUint32(dst[at:at+4], uint32(len(block)))
		dst = dst[:at+4+len(block)]
		src = src[n:]
	}
	return dst
}

// Recompress gives a copy of the valid batch b with its records in another codec.
func Recompress(b []byte, to Codec, level Level, maxDecompressed int) ([]byte, error) {
	h, err := ReadHeader(b)
	if err != nil {
		return nil, err
	}
	pooled := scratches.Get().(*[]byte)
	defer scratches.Put(pooled)
	body, err := decompress(h.Codec(), (*pooled)[:0], b[HeaderBytes:], maxDecompressed)
	if err != nil {
		return nil, err
	}
	if h.Codec() != None && cap(body) <= maxScratchBytes {
		*pooled = body
	}
	room := len(body)
	if to != None {
		room /= 2
	}
	out, err := compress(to, level, append(make([]byte, 0, HeaderBytes+room), b[:HeaderBytes]...), body)
	if err != nil {
		return nil, err
	}
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	out[22] = out[22]&^7 | byte(to)
	sealCRC(out)
	return out, nil
}
