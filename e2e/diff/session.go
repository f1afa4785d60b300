// Package diff sends the same scripted requests to Apache Kafka and to Kelp and compares the answers field by field.
//
// The expected answers come from the live broker of the run. What must differ between two servers (ids, times, ports)
// is normalised in flatten.go; what differs and may is in allow.go, which docs/kafka-differences.md explains.
package diff

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// session is one server as the script sees it: a connection and what earlier answers told.
type session struct {
	addr string
	conn net.Conn

	correlation int32
	member      string // of the latest JoinGroup
	producer    int64  // of the latest InitProducerId
	epoch       int16
	topicID     [16]byte // of the topic "diff"
}

var errClosed = errors.New("connection closed")

// ask sends the request at its version and returns the decoded answer. The connection is opened when there is none.
func (s *session) ask(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	if s.conn == nil {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", s.addr)
		if err != nil {
			return nil, err
		}
		s.conn = conn
	}
	body, err := s.exchange(req)
	if err != nil {
		err = errors.Join(err, s.conn.Close())
		s.conn = nil
		return nil, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("decode %x: %w", body, err)
	}
	return resp, nil
}

func (s *session) exchange(req kmsg.Request) ([]byte, error) {
	if err := s.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	s.correlation++
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID("diff"))
	if _, err := s.conn.Write(f.AppendRequest(nil, req, s.correlation)); err != nil {
		return nil, fmt.Errorf("%w: %w", errClosed, err)
	}
	var size [4]byte
	if _, err := io.ReadFull(s.conn, size[:]); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errClosed
		}
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(s.conn, body); err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(body)); got != s.correlation {
		return nil, fmt.Errorf("correlation id %d, want %d", got, s.correlation)
	}
	body = body[4:]
	// The answer to ApiVersions always has the oldest header, so that any client can read it.
	if _, isVersions := req.(*kmsg.ApiVersionsRequest); req.IsFlexible() && !isVersions {
		body = body[1:] // no header tags
	}
	return body, nil
}

// learn keeps what later requests must repeat.
func (s *session) learn(resp kmsg.Response) {
	switch r := resp.(type) {
	case *kmsg.JoinGroupResponse:
		if r.MemberID != "" {
			s.member = r.MemberID
		}
	case *kmsg.InitProducerIDResponse:
		s.producer, s.epoch = r.ProducerID, r.ProducerEpoch
	case *kmsg.MetadataResponse:
		for _, t := range r.Topics {
			if t.Topic != nil && *t.Topic == "diff" {
				s.topicID = t.TopicID
			}
		}
	}
}
