package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// records answers for the bytes of partitions.
type records struct {
	catalog       *cluster.Catalog
	partitions    *topic.Set
	sessions      *fetchSessions
	logDir        func() LogDir
	maxFetchBytes int
	draining      <-chan struct{}
}

// find resolves what a request names, by id where the version has one, else by name.
func (h *records) find(ctx context.Context, name string, id [16]byte, index int32) (*topic.Partition, error) {
	img := h.catalog.Image()
	known, ok := img.ByName[name]
	missing := kerr.UnknownTopicOrPartition
	if id != [16]byte{} {
		known, ok = img.ByID[id]
		missing = kerr.UnknownTopicID
	}
	if !ok {
		return nil, missing
	}
	if index < 0 || index >= known.Partitions {
		return nil, kerr.UnknownTopicOrPartition
	}
	return h.partitions.Get(ctx, partitionOf(known, index))
}

// Produce: v0-13
//
// Behavior: each partition's batch is checked and takes its place in arrival order; the answer
// waits until all are durable. acks is 0, 1 or -1; 1 and -1 both mean durable.
//
// Version notes: v0-2 take message sets of magic 0 and 1 and turn them into batches. v7 zstd.
// v8 record errors. v13 topic ids.
func (h *records) produce(ctx context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.ProduceRequest)
	if req.Acks < -1 || req.Acks > 1 {
		return Failed(kerr.InvalidRequiredAcks)
	}
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	var waiting []produceWait
	for _, t := range req.Topics {
		out := kmsg.NewProduceResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			answer, pending := h.produceOne(ctx, req, t, p)
			if pending != nil {
				waiting = append(waiting, produceWait{len(resp.Topics), len(out.Partitions), pending})
			}
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	wait := func(ctx context.Context) (kmsg.Response, error) {
		for _, w := range waiting {
			if err := w.pending.Wait(ctx); err != nil {
				refusePartition(&resp.Topics[w.topic].Partitions[w.partition], err)
			}
		}
		return resp, nil
	}
	if req.Acks == 0 {
		return Nothing(func(ctx context.Context) error {
			if _, err := wait(ctx); err != nil {
				return err
			}
			return firstProduceError(resp)
		})
	}
	return Later(wait)
}

type produceWait struct {
	topic, partition int
	pending          storage.Pending
}

func (h *records) produceOne(
	ctx context.Context, req *kmsg.ProduceRequest, t kmsg.ProduceRequestTopic, p kmsg.ProduceRequestTopicPartition,
) (kmsg.ProduceResponseTopicPartition, storage.Pending) {
	out := kmsg.NewProduceResponseTopicPartition()
	out.Partition = p.Partition
	part, err := h.find(ctx, t.Topic, t.TopicID, p.Partition)
	if err != nil {
		refusePartition(&out, err)
		return out, nil
	}
	if req.Version < 7 && zstdInside(p.Records) {
		refusePartition(&out, kerr.UnsupportedCompressionType)
		return out, nil
	}
	appended, err := part.Produce(p.Records, req.Version < 3)
	if err != nil {
		refusePartition(&out, err)
		switch out.ErrorCode {
		case kerr.MessageTooLarge.Code, kerr.CorruptMessage.Code, kerr.UnsupportedCompressionType.Code, kerr.KafkaStorageError.Code:
			// Kafka's ReplicaManager gives no start with these.
		default:
			out.LogStartOffset = part.LogStartOffset()
		}
		return out, nil
	}
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = appended.BaseOffset, appended.LogAppendTimeMs, appended.LogStartOffset
	return out, appended.Pending
}

// zstdInside reports a zstd batch, which clients speak only from version 7 on (KIP-110).
func zstdInside(records []byte) bool {
	h, err := batch.ReadHeader(records)
	return err == nil && h.Codec() == batch.Zstd
}

func refusePartition(out *kmsg.ProduceResponseTopicPartition, err error) {
	out.ErrorCode, out.ErrorMessage = codeOf(err)
	out.BaseOffset, out.LogAppendTime = -1, -1
	rejected, ok := errors.AsType[*topic.Rejected](err)
	if !ok {
		return
	}
	out.ErrorMessage = &rejected.Message
	for _, re := range rejected.Records {
		e := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		e.RelativeOffset, e.ErrorMessage = re.Index, kmsg.StringPtr(re.Message)
		out.ErrorRecords = append(out.ErrorRecords, e)
	}
}

func firstProduceError(resp *kmsg.ProduceResponse) error {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return kerr.ErrorForCode(p.ErrorCode)
			}
		}
	}
	return nil
}

func refuseProduce(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.(*kmsg.ProduceRequest).Topics {
		out := kmsg.NewProduceResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			answer := kmsg.NewProduceResponseTopicPartition()
			answer.Partition = p.Partition
			refusePartition(&answer, err)
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
