package batch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

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

// decompress unfolds src, at most limit bytes.
func decompress(c Codec, src []byte, limit int) ([]byte, error) {
	switch c {
	case None:
		return src, nil
	case Gzip:
		r, err := gzip.NewReader(bytes.NewReader(src))
		if err != nil {
			return nil, fmt.Errorf("%w: gzip: %w", ErrCorrupt, err)
		}
		return readBounded(r, limit)
	case Snappy:
		return unsnappy(src, limit)
	case LZ4:
		return readBounded(lz4.NewReader(bytes.NewReader(src)), limit)
	case Zstd:
		r, err := zstd.NewReader(bytes.NewReader(src), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, fmt.Errorf("%w: zstd: %w", ErrCorrupt, err)
		}
		defer r.Close()
		return readBounded(r, limit)
	default:
		return nil, ErrCompression
	}
}

func readBounded(r io.Reader, limit int) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if len(out) > limit {
		return nil, ErrTooLarge
	}
	return out, nil
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
