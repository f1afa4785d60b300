package mq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"kelp/internal/schema/record"
	"kelp/internal/seaweed/mqpb"
)

// Session is a publishing session at an agent, over all partitions of a topic. The agent chooses the
// partition by the key's hash and acknowledges nothing: that Send returns says nothing about the record.
type Session struct {
	agent  mqpb.SeaweedMessagingAgentClient
	stream grpc.BidiStreamingClient[mqpb.PublishRecordRequest, mqpb.PublishRecordResponse]
	id     int64
	first  bool
	end    context.CancelFunc
	ended  chan struct{} // the reading side: err is set
	err    error
}

// OpenSession opens a session at the agent at an address. The topic is made if it is missing. The
// session ends with ctx.
func (c *Client) OpenSession(ctx context.Context, agent string, t Topic, o Config, name string) (*Session, error) {
	conn, err := c.dial(agent)
	if err != nil {
		return nil, err
	}
	s := &Session{agent: mqpb.NewSeaweedMessagingAgentClient(conn), first: true, ended: make(chan struct{})}
	limited, cancel := context.WithTimeout(ctx, c.o.CallLimit)
	defer cancel()
	started, err := s.agent.StartPublishSession(limited, &mqpb.StartPublishSessionRequest{
		Topic: t.message(), PartitionCount: o.Partitions, RecordType: o.RecordType, PublisherName: name,
	})
	if err == nil && started.Error != "" {
		err = fmt.Errorf("%w: %s", ErrRefused, started.Error)
	}
	if err != nil {
		return nil, fmt.Errorf("start a session for %s at the agent %s: %w", t, agent, err)
	}
	s.id = started.SessionId
	ctx, s.end = context.WithCancel(ctx)
	if s.stream, err = s.agent.PublishRecord(ctx); err != nil {
		s.end()
		return nil, fmt.Errorf("publish to %s at the agent %s: %w", t, agent, err)
	}
	go s.watch()
	return s, nil
}

// watch reads the answers, which are errors or nothing.
func (s *Session) watch() {
	defer close(s.ended)
	for {
		r, err := s.stream.Recv()
		if err == nil && r.Error != "" {
			err = fmt.Errorf("%w: %s", ErrRefused, r.Error)
		}
		if err != nil {
			s.err = err
			return
		}
	}
}

// Send hands a record to the agent's queue.
func (s *Session) Send(key []byte, value *record.RecordValue) error {
	r := &mqpb.PublishRecordRequest{Key: key, Value: value}
	if s.first {
		r.SessionId, s.first = s.id, false
	}
	select {
	case <-s.ended:
		return fmt.Errorf("the agent ended the session: %w", s.err)
	default:
	}
	if err := s.stream.Send(r); err != nil {
		if errors.Is(err, io.EOF) {
			<-s.ended
			err = s.err
		}
		return fmt.Errorf("the agent ended the session: %w", err)
	}
	return nil
}

// Wait returns when the session has ended, and why.
func (s *Session) Wait() error {
	<-s.ended
	return fmt.Errorf("the agent ended the session: %w", s.err)
}

// Finish has the agent hand all that it was sent to the brokers and leave them, within a limit, and ends
// the session. One that ends otherwise stays with the brokers as a publisher for as long as the agent lives.
func (s *Session) Finish(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r, err := s.agent.ClosePublishSession(ctx, &mqpb.ClosePublishSessionRequest{SessionId: s.id})
	if err == nil && r.Error != "" {
		err = fmt.Errorf("%w: %s", ErrRefused, r.Error)
	}
	s.end()
	<-s.ended
	return err
}

// Close lets the agent take what was sent, which it may lose all the same, and ends the session.
func (s *Session) Close(wait time.Duration) error {
	err := s.stream.CloseSend()
	late := time.AfterFunc(wait, s.end)
	defer late.Stop()
	<-s.ended
	s.end()
	return err
}
