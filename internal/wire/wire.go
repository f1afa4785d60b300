// Package wire turns bytes into requests and responses into bytes: frames, headers and limits. It
// knows the protocol's rules about versions and flexible headers, and no meaning.
//
// A frame is read without believing its length: memory grows only as bytes arrive. A Fetch
// response is written as pieces: what kmsg encodes, and stored spans in place of record bytes.
package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Errors of a frame that cannot be answered: the connection is closed.
var (
	ErrFrameSize  = errors.New("frame size outside the limit")
	ErrMalformed  = errors.New("malformed request")
	ErrUnknownKey = errors.New("unknown api key")
)

// growBytes is how much of a claimed frame is made room for ahead of its bytes.
const growBytes = 64 << 10

// ReadSize reads the length of the next frame, which is at most maxBytes.
func ReadSize(r io.Reader, maxBytes int) (int, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return 0, err
	}
	n := int(int32(binary.BigEndian.Uint32(size[:])))
	if n < 8 || n > maxBytes {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrFrameSize, n, maxBytes)
	}
	return n, nil
}

// ReadBody reads the n bytes of a frame whose length ReadSize gave; memory grows as they arrive.
// reserve is asked for each further part before it is made; its error ends the reading.
func ReadBody(r io.Reader, n int, reserve func(bytes int) error) ([]byte, error) {
	var frame []byte
	for len(frame) < n {
		have := len(frame)
		if have == cap(frame) {
			size := min(n, max(growBytes, 2*have))
			if err := reserve(size - have); err != nil {
				return nil, err
			}
			grown := make([]byte, have, size)
			copy(grown, frame)
			frame = grown
		}
		frame = frame[:cap(frame)]
		if _, err := io.ReadFull(r, frame[have:]); err != nil {
			return nil, fmt.Errorf("half a frame: %w", err)
		}
	}
	return frame, nil
}

// Request is a decoded frame. Body aliases the frame and is nil when Served says no.
type Request struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      string
	Body          kmsg.Request
}

// Served says whether a key is served at a version; known tells an unknown key from a version.
type Served func(key, version int16) (ok, known bool)

// Decode reads header and body. An unserved version of a known key gives a Request without Body.
func Decode(frame []byte, served Served) (Request, error) {
	b := kbin.Reader{Src: frame}
	r := Request{Key: b.Int16(), Version: b.Int16(), CorrelationID: b.Int32()}
	ok, known := served(r.Key, r.Version)
	if !known {
		return r, fmt.Errorf("%w: %d", ErrUnknownKey, r.Key)
	}
	if !ok {
		return r, nil
	}
	body := kmsg.RequestForKey(r.Key)
	if body == nil {
		return r, fmt.Errorf("%w: %d", ErrUnknownKey, r.Key)
	}
	body.SetVersion(r.Version)
	if id := b.NullableString(); id != nil {
		r.ClientID = *id
	}
	if body.IsFlexible() {
		if !skipTags(&b) {
			return r, fmt.Errorf("%w: header tags", ErrMalformed)
		}
	}
	if err := b.Complete(); err != nil {
		return r, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	if err := body.ReadFrom(b.Src); err != nil {
		return r, fmt.Errorf("%w: %s v%d: %w", ErrMalformed, kmsg.NameForKey(r.Key), r.Version, err)
	}
	r.Body = body
	return r, nil
}

// skipTags passes over tagged fields; more of them than there are bytes is a lie.
func skipTags(b *kbin.Reader) bool {
	n := b.Uvarint()
	if int(n) > len(b.Src) {
		return false
	}
	for range n {
		b.Uvarint()
		b.Span(int(b.Uvarint()))
	}
	return b.Ok()
}

// Span is a run of stored bytes that is written in place of record bytes.
type Span interface {
	Len() int
	WriteTo(w io.Writer) (int64, error)
}

// marker stands for a span while kmsg encodes a response; nobody outside can guess it.
var marker = func() (m [16]byte) { _, _ = rand.Read(m[:]); return m }()

// Marker is what the caller puts into RecordBatches where a span belongs.
func Marker() []byte { return marker[:] }

// WriteResponse writes one response. Spans replace the markers in order.
func WriteResponse(w io.Writer, correlationID int32, resp kmsg.Response, spans []Span) error {
	b := binary.BigEndian.AppendUint32(make([]byte, 4, 256), uint32(correlationID))
	if resp.IsFlexible() && resp.Key() != kmsg.ApiVersions.Int16() {
		b = append(b, 0)
	}
	b = resp.AppendTo(b)
	var pieces [][]byte
	total := -4
	for _, s := range spans {
		at := bytes.Index(b, marker[:])
		if at < 0 {
			return errors.New("wire: a span without its marker")
		}
		var head []byte
		if resp.IsFlexible() { // compact bytes: uvarint of length+1
			head = binary.AppendUvarint(b[:at-1:at-1], uint64(s.Len())+1)
		} else {
			head = binary.BigEndian.AppendUint32(b[:at-4:at-4], uint32(s.Len()))
		}
		pieces = append(pieces, head)
		total += len(head) + s.Len()
		b = b[at+len(marker):]
	}
	pieces = append(pieces, b)
	total += len(b)
	binary.BigEndian.PutUint32(pieces[0], uint32(total))
	for i, p := range pieces {
		if _, err := w.Write(p); err != nil {
			return err
		}
		if i < len(spans) {
			if _, err := spans[i].WriteTo(w); err != nil {
				return err
			}
		}
	}
	return nil
}
