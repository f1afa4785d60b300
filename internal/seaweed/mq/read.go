package mq

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	"kelp/internal/seaweed/filerpb"
	"kelp/internal/seaweed/mqpb"
)

// Entry is a message as SeaweedMQ keeps it.
type Entry struct {
	Offset     int64
	TsNs       int64
	Key, Value []byte // what was null and what was empty is the same
}

func entryOf(e *filerpb.LogEntry) Entry {
	return Entry{Offset: e.Offset, TsNs: e.TsNs, Key: e.Key, Value: e.Data}
}

// Unflushed visits what the leader has in memory and not yet in the filer, as far as it knows. It must not be asked
// for a partition that is compacted (LogFiles.Compacted): a broker reads the Parquet files too then, and the process
// dies of the first null in a column of bytes.
func (c *Client) Unflushed(ctx context.Context, t Topic, a Assignment, visit func(Entry) error) error {
	b, err := c.broker(a.Leader)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fail := func(err error) error {
		return fmt.Errorf("unflushed messages of %s %s: %w", t, a.Partition.folder(), err)
	}
	stream, err := b.GetUnflushedMessages(ctx, &mqpb.GetUnflushedMessagesRequest{Topic: t.message(), Partition: a.Partition.message()})
	if err != nil {
		return fail(err)
	}
	for {
		r, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fail(err)
		case r.Error != "":
			return fail(fmt.Errorf("%w: %s", ErrRefused, r.Error))
		case r.Message != nil:
			if err := visit(entryOf(r.Message)); err != nil {
				return err
			}
		}
		if r.EndOfStream {
			return nil
		}
	}
}

// HighWatermark is the offset that the leader's next message gets. It counts what is only in memory.
func (c *Client) HighWatermark(ctx context.Context, t Topic, a Assignment) (int64, error) {
	b, err := c.broker(a.Leader)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.CallLimit)
	defer cancel()
	r, err := b.GetPartitionRangeInfo(ctx, &mqpb.GetPartitionRangeInfoRequest{Topic: t.message(), Partition: a.Partition.message()})
	if err == nil && r.Error != "" {
		err = fmt.Errorf("%w: %s", ErrRefused, r.Error)
	}
	if err != nil {
		return 0, fmt.Errorf("offsets of %s %s: %w", t, a.Partition.folder(), err)
	}
	return r.OffsetRange.GetHighWaterMark(), nil
}

// Fetched is the answer to Fetch.
type Fetched struct {
	// Entries have the offsets from the asked one on, counted by us: the broker sends none, so they are
	// wrong behind a hole in its log.
	Entries              []Entry
	Next, HighWatermark  int64
	EndOfPartition, Cold bool // Cold: the broker claims an empty partition, which it does for one it has not loaded
}

// FetchLimits bound one Fetch. 0 leaves it to the broker: 4 MiB, 100 messages. It gives at most 10,000
// messages, of flushed ones 1,000.
type FetchLimits struct{ Bytes, Messages int32 }

// Fetch reads from an offset on, at once: brokers do not wait for messages.
func (c *Client) Fetch(ctx context.Context, t Topic, a Assignment, from int64, limits FetchLimits) (Fetched, error) {
	b, err := c.broker(a.Leader)
	if err != nil {
		return Fetched{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.o.CallLimit)
	defer cancel()
	r, err := b.FetchMessage(ctx, &mqpb.FetchMessageRequest{
		Topic: t.message(), Partition: a.Partition.message(), StartOffset: from, MaxBytes: limits.Bytes, MaxMessages: limits.Messages,
	})
	if err == nil && (r.ErrorCode != 0 || r.Error != "") {
		err = fmt.Errorf("%w: code %d: %s", ErrRefused, r.ErrorCode, r.Error)
	}
	if err != nil {
		return Fetched{}, fmt.Errorf("fetch %s %s at %d: %w", t, a.Partition.folder(), from, err)
	}
	f := Fetched{Next: r.NextOffset, HighWatermark: r.HighWaterMark, EndOfPartition: r.EndOfPartition}
	f.Cold = r.HighWaterMark == 0 && len(r.Messages) == 0
	for i, m := range r.Messages {
		f.Entries = append(f.Entries, Entry{Offset: from + int64(i), TsNs: m.TsNs, Key: m.Key, Value: m.Value})
	}
	return f, nil
}

// Start says where a subscription begins.
type Start struct {
	Earliest bool
	Offset   int64 // first offset, if AfterNs is 0 and Earliest is not set
	AfterNs  int64 // messages with larger timestamps
}

// Subscription is a stream of a partition's messages: from the filer first, then as they come. Receive
// blocks while there are none. It acknowledges each message to the broker, which holds back messages of
// a key that has one unacknowledged.
type Subscription struct {
	stream grpc.BidiStreamingClient[mqpb.SubscribeMessageRequest, mqpb.SubscribeMessageResponse]
	end    context.CancelFunc
}

// Subscribe opens a stream; it ends with ctx. group must be of this reader alone.
func (c *Client) Subscribe(ctx context.Context, t Topic, a Assignment, group string, from Start) (*Subscription, error) {
	b, err := c.broker(a.Leader)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	init := &mqpb.SubscribeMessageRequest_InitMessage{
		ConsumerGroup: group, ConsumerId: group, ClientId: group, Topic: t.message(),
		PartitionOffset:   &mqpb.PartitionOffset{Partition: a.Partition.message()},
		SlidingWindowSize: 1 << 10, // brokers fall over at 0
	}
	switch {
	case from.Earliest:
		init.OffsetType = mqpb.OffsetType_RESET_TO_EARLIEST
	case from.AfterNs > 0:
		init.OffsetType, init.PartitionOffset.StartTsNs = mqpb.OffsetType_EXACT_TS_NS, from.AfterNs
	default:
		init.OffsetType, init.PartitionOffset.StartOffset = mqpb.OffsetType_EXACT_OFFSET, from.Offset
	}
	stream, err := b.SubscribeMessage(ctx)
	if err == nil {
		err = stream.Send(&mqpb.SubscribeMessageRequest{Message: &mqpb.SubscribeMessageRequest_Init{Init: init}})
	}
	if err != nil {
		end()
		return nil, fmt.Errorf("subscribe to %s %s at %s: %w", t, a.Partition.folder(), a.Leader, err)
	}
	return &Subscription{stream: stream, end: end}, nil
}

// Receive gives the next message; its Offset is -1, as brokers do not send it. io.EOF is the end of the
// stream.
func (s *Subscription) Receive() (Entry, error) {
	for {
		r, err := s.stream.Recv()
		if err != nil {
			return Entry{}, err
		}
		if c := r.GetCtrl(); c != nil {
			if c.Error != "" {
				return Entry{}, fmt.Errorf("%w: %s", ErrRefused, c.Error)
			}
			if c.IsEndOfStream || c.IsEndOfTopic {
				return Entry{}, io.EOF
			}
			continue
		}
		d := r.GetData()
		if d == nil || d.Ctrl != nil {
			continue
		}
		if len(d.Key) > 0 {
			ack := &mqpb.SubscribeMessageRequest_AckMessage{Key: d.Key, TsNs: d.TsNs}
			if err := s.stream.Send(&mqpb.SubscribeMessageRequest{Message: &mqpb.SubscribeMessageRequest_Ack{Ack: ack}}); err != nil {
				return Entry{}, fmt.Errorf("acknowledge: %w", err)
			}
		}
		return Entry{Offset: -1, TsNs: d.TsNs, Key: d.Key, Value: d.Value}, nil
	}
}

// Close ends the stream.
func (s *Subscription) Close() { s.end() }
