package mq

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"kelp/internal/seaweed/mqpb"
)

// codeNotLeader is how a broker says that another one leads the partition.
const codeNotLeader = 6

// Message is one message. Empty and missing bytes are the same to SeaweedMQ.
type Message struct {
	Key, Value []byte
	// TsNs is kept if it is larger than that of every message before; else the broker takes the last
	// one's plus one. 0 is the broker's clock.
	TsNs int64
}

// Publisher is a stream of messages to the leader of one partition. Send and Receive may be used by a
// goroutine each.
type Publisher struct {
	stream grpc.BidiStreamingClient[mqpb.PublishMessageRequest, mqpb.PublishMessageResponse]
	end    context.CancelFunc
}

// OpenPublisher opens a stream and waits for the leader's greeting. ErrNotLeader asks for a new look
// at the assignments. The stream ends with ctx.
func (c *Client) OpenPublisher(ctx context.Context, t Topic, a Assignment, name string) (*Publisher, error) {
	b, err := c.broker(a.Leader)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	p := &Publisher{end: end}
	// A greeting that does not come ends the stream.
	late := time.AfterFunc(c.o.CallLimit, end)
	defer late.Stop()
	if p.stream, err = b.PublishMessage(ctx); err == nil {
		err = p.stream.Send(&mqpb.PublishMessageRequest{Message: &mqpb.PublishMessageRequest_Init{
			Init: &mqpb.PublishMessageRequest_InitMessage{Topic: t.message(), Partition: a.Partition.message(), PublisherName: name},
		}})
	}
	if err == nil {
		_, err = p.Receive()
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("publish to %s %s at %s: %w", t, a.Partition.folder(), a.Leader, err)
	}
	return p, nil
}

// Send hands a message to the stream; it may wait for the broker's flow control. After an error Receive
// says why.
func (p *Publisher) Send(m Message) error {
	return p.stream.Send(&mqpb.PublishMessageRequest{Message: &mqpb.PublishMessageRequest_Data{
		Data: &mqpb.DataMessage{Key: m.Key, Value: m.Value, TsNs: m.TsNs},
	}})
}

// Receive gives the offset of the next message in the order of sending: the broker has it in memory.
func (p *Publisher) Receive() (offset int64, err error) {
	r, err := p.stream.Recv()
	switch {
	case err != nil:
		return 0, err
	case r.ErrorCode == codeNotLeader:
		return 0, fmt.Errorf("%w: %s", ErrNotLeader, r.Error)
	case r.ErrorCode != 0 || r.Error != "":
		return 0, fmt.Errorf("%w: code %d: %s", ErrRefused, r.ErrorCode, r.Error)
	}
	return r.AssignedOffset, nil
}

// CloseSend says that no more messages come; Receive then gives what is left and io.EOF.
func (p *Publisher) CloseSend() error { return p.stream.CloseSend() }

// Close ends the stream.
func (p *Publisher) Close() { p.end() }
