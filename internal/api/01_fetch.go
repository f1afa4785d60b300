package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/batch"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// maxFetchWait bounds how long one Fetch may be parked, whatever the client asks for.
const maxFetchWait = 5 * time.Minute

// readCommitted is the isolation level that shows whole transactions only.
const readCommitted = 1

// Fetch: v0-18
//
// Behavior: partitions are read in the order asked until max bytes; the first that has anything
// gives at least one batch. Waits up to max wait for min bytes. The answer holds stored spans.
// read_committed ends before the last stable offset and lists the aborted transactions.
//
// Version notes: v0-1 answer message sets of magic 0, v2-3 of magic 1, turned from batches and not
// compressed. v4 isolation level. v7 sessions (KIP-227). v9 leader epoch checks. v12 last fetched epoch. v13 topic ids.
func (h *records) fetch(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.FetchRequest)
	s, wants, err := h.sessions.begin(req)
	if err != nil {
		return Failed(err)
	}
	park := &parked{h: h, req: req, wants: wants, wake: make(chan struct{}, 1)}
	park.wait = min(time.Duration(max(req.MaxWaitMillis, 0))*time.Millisecond, maxFetchWait)
	park.until = time.Now().Add(park.wait)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		defer h.sessions.end(s)
		defer park.end()
		return park.run(ctx, s)
	}).When(park.notify)
}

// fetched is one pass over all partitions of a request.
type fetched struct {
	parts  []readPart
	bytes  int
	failed bool

	memory *fetchMemory
	held   int // bytes of it
}

type readPart struct {
	want   *wanted
	answer kmsg.FetchResponseTopicPartition
	span   storage.Span
}

// size is how many record bytes a partition gives.
func (p *readPart) size() int {
	if p.span != nil {
		return p.span.Len()
	}
	return len(p.answer.RecordBatches)
}

// enough reports that the answer need not wait: min bytes are there or some partition failed.
func (f *fetched) enough(minBytes int32) bool { return f.failed || f.bytes >= int(minBytes) }

func (f *fetched) release() {
	for _, p := range f.parts {
		if p.span != nil {
			p.span.Release()
		}
	}
	f.free()
}

// answer builds the response; within a session it holds only what changed since the last one.
func (f *fetched) answer(h *records, req *kmsg.FetchRequest, s *fetchSession) *Fetched {
	out := &Fetched{FetchResponse: req.ResponseKind().(*kmsg.FetchResponse), Written: f.free}
	if s != nil {
		out.SessionID = s.id
	}
	for i := range f.parts {
		p := &f.parts[i]
		h.given(p)
		if s != nil && !s.worthSending(p.want, &p.answer, p.size()) {
			continue
		}
		n := len(out.Topics)
		if n == 0 || out.Topics[n-1].Topic != p.want.topic || out.Topics[n-1].TopicID != p.want.id {
			t := kmsg.NewFetchResponseTopic()
			t.Topic, t.TopicID = p.want.topic, p.want.id
			out.Topics = append(out.Topics, t)
			n++
		}
		out.Topics[n-1].Partitions = append(out.Topics[n-1].Partitions, p.answer)
		out.Spans = append(out.Spans, p.span)
	}
	return out
}

func (h *records) readAll(ctx context.Context, req *kmsg.FetchRequest, wants []*wanted) *fetched {
	f := &fetched{parts: make([]readPart, 0, len(wants))}
	budget := h.maxFetchBytes
	if req.Version >= 3 {
		budget = min(budget, int(req.MaxBytes))
	}
	budget = h.memory.take(max(0, budget))
	defer f.settle(&h.memory, budget)
	for _, w := range wants {
		p := readPart{want: w}
		p.answer, p.span = h.readOne(ctx, req, w, budget-f.bytes, f.bytes == 0)
		f.failed = f.failed || p.answer.ErrorCode != 0 || p.answer.DivergingEpoch.Epoch >= 0
		f.bytes += p.size()
		f.parts = append(f.parts, p)
	}
	return f
}

func (h *records) readOne(
	ctx context.Context, req *kmsg.FetchRequest, p *wanted, budget int, atLeastOne bool,
) (kmsg.FetchResponseTopicPartition, storage.Span) {
	out := kmsg.NewFetchResponseTopicPartition()
	out.Partition, out.RecordBatches = p.Partition, []byte{}
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = -1, -1, -1
	part, err := h.find(ctx, p.topic, p.id, p.Partition)
	if err != nil {
		out = unread(p.Partition, err)
		out.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{} // null once it was found
		return out, nil
	}
	var span storage.Span
	if err = checkEpoch(part, p.CurrentLeaderEpoch); err == nil {
		out.LogStartOffset, out.HighWatermark = part.LogStartOffset(), part.HighWatermark()
		out.LastStableOffset = part.LastStableOffset()
		if diverges(part, p, &out) {
			return out, nil
		}
		r := storage.ReadRange{From: p.FetchOffset, MaxBytes: max(0, min(budget, int(p.PartitionMaxBytes))), AtLeastOne: atLeastOne}
		if req.IsolationLevel == readCommitted {
			span, err = readStable(ctx, part, r, &out)
		} else {
			span, err = part.Read(ctx, r.From, r.MaxBytes, r.AtLeastOne)
		}
	}
	if err == nil && req.Version < 4 {
		out.RecordBatches, err = asMessages(span, req.Version, p)
		span.Release()
		span = nil
	}
	if span != nil && span.Len() == 0 {
		span.Release()
		span = nil
	}
	if err != nil {
		return unread(p.Partition, err), nil
	}
	return out, span
}

// readStable reads what is decided and lists the aborted transactions in it.
func readStable(
	ctx context.Context, part *topic.Partition, r storage.ReadRange, out *kmsg.FetchResponseTopicPartition,
) (storage.Span, error) {
	span, aborted, err := part.ReadCommitted(ctx, r.From, r.MaxBytes, r.AtLeastOne)
	out.AbortedTransactions = make([]kmsg.FetchResponseTopicPartitionAbortedTransaction, 0, len(aborted))
	for _, a := range aborted {
		t := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
		t.ProducerID, t.FirstOffset = a.ProducerID, a.FirstOffset
		out.AbortedTransactions = append(out.AbortedTransactions, t)
	}
	return span, err
}

// unread is the answer for a partition that cannot be read.
func unread(index int32, err error) kmsg.FetchResponseTopicPartition {
	out := kmsg.NewFetchResponseTopicPartition()
	out.Partition, out.RecordBatches = index, []byte{}
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = -1, -1, -1
	out.ErrorCode, _ = codeOf(err)
	return out
}

// asMessages turns stored batches into what clients before Kafka 0.11 read.
func asMessages(span storage.Span, version int16, p *wanted) ([]byte, error) {
	b, err := span.Bytes()
	if err != nil {
		return nil, err
	}
	magic := int8(0)
	if version >= 2 {
		magic = 1
	}
	var messages []byte
	err = batch.InTurn(func(maxBytes int) (err error) {
		messages, err = batch.ToMessages(b, magic, p.FetchOffset, int(p.PartitionMaxBytes), maxBytes)
		return err
	})
	return messages, err
}

// diverges compares the epoch of the record that the client read last with ours (KIP-595).
func diverges(part *topic.Partition, p *wanted, out *kmsg.FetchResponseTopicPartition) bool {
	if p.LastFetchedEpoch < 0 {
		return false
	}
	epoch, end := part.EndOfEpoch(p.LastFetchedEpoch)
	if epoch == p.LastFetchedEpoch && end >= p.FetchOffset {
		return false
	}
	out.DivergingEpoch.Epoch, out.DivergingEpoch.EndOffset = epoch, end
	return true
}

// checkEpoch compares the leader epoch a client knows with ours (KIP-320); -1 is no check.
func checkEpoch(part *topic.Partition, epoch int32) error {
	switch ours := part.LeaderEpoch(); {
	case epoch < 0 || epoch == ours:
		return nil
	case epoch < ours:
		return kerr.FencedLeaderEpoch
	default:
		return kerr.UnknownLeaderEpoch
	}
}

func refuseFetch(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	if req.GetVersion() >= 7 {
		resp.ErrorCode, _ = codeOf(err)
		return resp
	}
	for _, t := range req.(*kmsg.FetchRequest).Topics {
		out := kmsg.NewFetchResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			out.Partitions = append(out.Partitions, unread(p.Partition, err))
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
