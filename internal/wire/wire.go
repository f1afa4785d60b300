// Package wire turns bytes into requests and responses into bytes: frames, headers and limits. It
// knows the protocol's rules about versions and flexible headers, and no meaning.
//
// A frame is read into pooled memory without believing its length: it grows only as bytes arrive. A
// Fetch response is made in pieces: what kmsg encodes, with room for stored spans between them.
package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Errors of a frame that cannot be answered: the connection is closed.
var (
	ErrFrameSize  = errors.New("frame size outside the limit")
	ErrMalformed  = errors.New("malformed request")
	ErrUnknownKey = errors.New("unknown api key")
)

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

// marker stands for a span while kmsg encodes a response; nobody outside can guess it.
var marker = func() (m [16]byte) { _, _ = rand.Read(m[:]); return m }()

// Marker is what the caller puts into RecordBatches where a span belongs.
func Marker() []byte { return marker[:] }

// AppendResponse appends the frame of a response.
func AppendResponse(b []byte, correlationID int32, resp kmsg.Response) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 0), uint32(correlationID))
	if resp.IsFlexible() && resp.Key() != kmsg.ApiVersions.Int16() {
		b = append(b, 0)
	}
	b = resp.AppendTo(b)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

// AppendPieces appends the frame of a response in which each marker stands for a span of the given
// length: pieces are what goes before, between and behind the spans, one more than there are spans. They alias b.
func AppendPieces(b []byte, correlationID int32, resp kmsg.Response, lengths []int) (out []byte, pieces [][]byte, err error) {
	start := len(b)
	b = AppendResponse(b, correlationID, resp)
	rest, total := b[start:], len(b)-start-4
	pieces = make([][]byte, 0, len(lengths)+1)
	for _, n := range lengths {
		at := bytes.Index(rest, marker[:])
		if at < 0 {
			return nil, nil, errors.New("wire: a span without its marker")
		}
		width := 4
		if resp.IsFlexible() {
			width = 1 // the marker's own length as compact bytes have it: uvarint of length+1
		}
		// The span's length needs at most as much room as the marker's and the marker together.
		head := rest[: at-width : at+len(marker)]
		if resp.IsFlexible() {
			head = binary.AppendUvarint(head, uint64(n)+1)
		} else {
			head = binary.BigEndian.AppendUint32(head, uint32(n))
		}
		pieces = append(pieces, head)
		total += n + len(head) - at - len(marker)
		rest = rest[at+len(marker):]
	}
	pieces = append(pieces, rest)
	binary.BigEndian.PutUint32(b[start:], uint32(total))
	return b, pieces, nil
}
