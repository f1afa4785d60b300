package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/storage"
	"kelp/internal/topic"
)

// maxFetchWait bounds how long one Fetch may be parked, whatever the client asks for.
const maxFetchWait = 5 * time.Minute

// Fetch: v4-18
//
// Behavior: partitions are read in the order asked until max bytes; the first that has anything
// gives at least one batch. Waits up to max wait for min bytes. The answer holds stored spans.
//
// Version notes: v9 leader epoch checks. v13 topic ids.
//
// Differs from Kafka: no fetch session is made (the answer's session id is 0, which KIP-227
// allows), so clients send full requests; a request inside a session is FETCH_SESSION_ID_NOT_FOUND.
func (h *records) fetch(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.FetchRequest)
	if req.SessionID != 0 && req.SessionEpoch > 0 {
		return Failed(kerr.FetchSessionIDNotFound)
	}
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		wait := min(time.Duration(max(req.MaxWaitMillis, 0))*time.Millisecond, maxFetchWait)
		deadline, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		wake := make(chan struct{}, 1)
		stop := h.watch(ctx, req, wake)
		defer stop()
		for {
			f := h.readAll(ctx, req)
			if f.enough(req.MinBytes) || deadline.Err() != nil {
				return f.response, nil
			}
			select {
			case <-wake:
			case <-deadline.Done():
				if ctx.Err() != nil {
					f.release()
					return nil, ctx.Err()
				}
			}
			f.release()
		}
	})
}

// watch arranges that wake is sent to whenever one of the asked partitions grows.
func (h *records) watch(ctx context.Context, req *kmsg.FetchRequest, wake chan<- struct{}) (stop func()) {
	var cancels []func()
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			if part, err := h.find(ctx, t.Topic, t.TopicID, p.Partition); err == nil {
				cancels = append(cancels, part.Watch(wake))
			}
		}
	}
	return func() {
		for _, cancel := range cancels {
			cancel()
		}
	}
}

// fetched is one pass over all partitions of a request.
type fetched struct {
	response *Fetched
	bytes    int
	failed   bool
}

// enough reports that the answer need not wait: min bytes are there or some partition failed.
func (f *fetched) enough(minBytes int32) bool { return f.failed || f.bytes >= int(minBytes) }

func (f *fetched) release() {
	for _, s := range f.response.Spans {
		if s != nil {
			s.Release()
		}
	}
}

func (h *records) readAll(ctx context.Context, req *kmsg.FetchRequest) *fetched {
	f := &fetched{response: &Fetched{FetchResponse: req.ResponseKind().(*kmsg.FetchResponse)}}
	budget := h.maxFetchBytes
	if req.Version >= 3 {
		budget = min(budget, int(req.MaxBytes))
	}
	for _, t := range req.Topics {
		out := kmsg.NewFetchResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			answer, span := h.readOne(ctx, req, t, p, budget-f.bytes, f.bytes == 0)
			f.failed = f.failed || answer.ErrorCode != 0
			if span != nil {
				f.bytes += span.Len()
			}
			f.bytes += len(answer.RecordBatches)
			out.Partitions = append(out.Partitions, answer)
			f.response.Spans = append(f.response.Spans, span)
		}
		f.response.Topics = append(f.response.Topics, out)
	}
	return f
}

func (h *records) readOne(
	ctx context.Context, req *kmsg.FetchRequest, t kmsg.FetchRequestTopic, p kmsg.FetchRequestTopicPartition,
	budget int, atLeastOne bool,
) (kmsg.FetchResponseTopicPartition, storage.Span) {
	out := kmsg.NewFetchResponseTopicPartition()
	out.Partition, out.RecordBatches = p.Partition, []byte{}
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = -1, -1, -1
	part, err := h.find(ctx, t.Topic, t.TopicID, p.Partition)
	if err == nil {
		err = checkEpoch(part, p.CurrentLeaderEpoch)
	}
	var span storage.Span
	if err == nil {
		out.LogStartOffset, out.HighWatermark = part.LogStartOffset(), part.HighWatermark()
		out.LastStableOffset = out.HighWatermark
		span, err = part.Read(ctx, p.FetchOffset, max(0, min(budget, int(p.PartitionMaxBytes))), atLeastOne)
	}
	if err == nil && span.Len() == 0 {
		span.Release()
		span = nil
	}
	if err != nil {
		out.ErrorCode, _ = codeOf(err)
		return out, nil
	}
	return out, span
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
	code, _ := codeOf(err)
	if req.GetVersion() >= 7 {
		resp.ErrorCode = code
		return resp
	}
	for _, t := range req.(*kmsg.FetchRequest).Topics {
		out := kmsg.NewFetchResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewFetchResponseTopicPartition()
			answer.Partition, answer.ErrorCode, answer.RecordBatches = p.Partition, code, []byte{}
			answer.HighWatermark = -1
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
