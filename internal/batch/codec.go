package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
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

// maxDecoded bounds what a zstd decoder makes of one batch, whatever its caller allows.
const maxDecoded = 256 << 20

// maxScratchBytes is the largest buffer kept for the next decompression.
const maxScratchBytes = 4 << 20

// The decoders of the streaming codecs are dear to make and are used again.
var (
	scratches   = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	lz4Readers  = sync.Pool{New: func() any { return lz4.NewReader(nil) }}
	zstdReaders = sync.Pool{New: func() any {
		// Only a wrong option fails.
		r, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecoderMaxMemory(maxDecoded))
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
		return unsnappy(dst, src, limit)
	case LZ4:
		r := lz4Readers.Get().(*lz4.Reader)
		defer lz4Readers.Put(r)
		r.Reset(bytes.NewReader(src))
		return readBounded(dst, r, limit)
	case Zstd:
		return unzstd(dst, src, limit)
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

// unsnappy unfolds one block, or blocks in xerial's framing, into dst where they fit.
func unsnappy(dst, src []byte, limit int) ([]byte, error) {
	if !bytes.HasPrefix(src, xerial) {
		return unsnappyBlock(dst, src, limit)
	}
	if len(src) < 16 {
		return nil, ErrCorrupt
	}
	for src = src[16:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, ErrCorrupt
		}
		n := int(binary.BigEndian.Uint32(src))
		if n < 0 || n > len(src)-4 {
			return nil, ErrCorrupt
		}
		var err error
		if dst, err = unsnappyBlock(dst, src[4:4+n], limit); err != nil {
			return nil, err
		}
		src = src[4+n:]
	}
	return dst, nil
}

func unsnappyBlock(dst, block []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return nil, fmt.Errorf("%w: snappy: %w", ErrCorrupt, err)
	}
	if n > limit-len(dst) {
		return nil, ErrTooLarge
	}
	dst = slices.Grow(dst, n)
	if _, err := snappy.Decode(dst[len(dst):len(dst)+n], block); err != nil {
		return nil, fmt.Errorf("%w: snappy: %w", ErrCorrupt, err)
	}
	return dst[:len(dst)+n], nil
}

// believedRatio is how far a frame may unfold by its own word before any of it is unfolded.
const believedRatio = 64

// unzstd unfolds frames: at once where the first says how large it is, within reason, else bit by bit.
func unzstd(dst, src []byte, limit int) ([]byte, error) {
	r := zstdReaders.Get().(*zstd.Decoder)
	defer zstdReaders.Put(r)
	var head zstd.Header
	if head.Decode(src) == nil && head.HasFCS && head.FrameContentSize <= uint64(believedRatio*len(src)) {
		if head.FrameContentSize > uint64(limit) {
			return nil, ErrTooLarge
		}
		out, err := r.DecodeAll(src, slices.Grow(dst, int(head.FrameContentSize)))
		switch {
		case errors.Is(err, zstd.ErrDecoderSizeExceeded), err == nil && len(out) > limit:
			return nil, ErrTooLarge
		case err != nil:
			return nil, fmt.Errorf("%w: zstd: %w", ErrCorrupt, err)
		}
		return out, nil
	}
	if err := r.Reset(bytes.NewReader(src)); err != nil {
		return nil, fmt.Errorf("%w: zstd: %w", ErrCorrupt, err)
	}
	// A stream that is not read to its end keeps what DecodeAll of the next batch would wait for.
	defer func() { _ = r.Reset(nil) }()
	return readBounded(dst, r, limit)
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
