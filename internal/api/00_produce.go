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
	meters        *meters
	memory        fetchMemory
	logDir        func() LogDir
	maxFetchBytes int
	draining      context.Context // ends when fetches that wait are answered with what there is
	verifier      Verifier
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

// nameOf is the name of a topic that was found, which from version 13 on has only an id.
func (h *records) nameOf(t kmsg.ProduceRequestTopic) string {
	if t.Topic != "" {
		return t.Topic
	}
	return h.catalog.Image().ByID[t.TopicID].Name
}

// Produce: v0-13
//
// Behavior: each partition's batch is checked and takes its place in arrival order; the answer
// waits until all are durable. acks is 0, 1 or -1; 1 and -1 both mean durable. The first batch of a
// transaction in a partition waits until the coordinator has verified it; those of other producers
// do not wait behind it.
//
// Version notes: v0-2 take message sets of magic 0 and 1 and turn them into batches. v7 zstd.
// v8 record errors. v12 partitions join the transaction by themselves. v13 topic ids.
func (h *records) produce(ctx context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.ProduceRequest)
	if req.Acks < -1 || req.Acks > 1 {
		return Failed(kerr.InvalidRequiredAcks)
	}
	if req.TransactionID == nil && transactionalInside(req) {
		return Failed(kerr.TransactionalIDAuthorizationFailed) // as Kafka refuses it
	}
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	var waiting []produceWait
	var ask verifications
	for _, t := range req.Topics {
		out := kmsg.NewProduceResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			answer, appended := h.produceOne(ctx, req, t, p)
			h.produced(t.Topic, t.TopicID, p.Records, answer.ErrorCode == 0)
			if appended.Pending != nil {
				waiting = append(waiting, produceWait{len(resp.Topics), len(out.Partitions), appended})
			}
			if appended.Verify != nil {
				ask.add(h.nameOf(t), p.Partition, appended.Verify)
			}
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	ask.send(h.verifier, req)
	wait := func(ctx context.Context) (kmsg.Response, error) {
		for _, w := range waiting {
			out := &resp.Topics[w.topic].Partitions[w.partition]
			if err := w.appended.Pending.Wait(ctx); err != nil {
				refusePartition(out, err)
				continue
			}
			acknowledge(out, w.appended.Final())
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
	if len(waiting) == 0 {
		return Now(resp)
	}
	reply := Later(wait)
	// Batches of a request become durable in their order, or nearly so.
	if last, ok := waiting[len(waiting)-1].appended.Pending.(storage.Notifier); ok {
		return reply.When(last.Notify)
	}
	return reply
}

type produceWait struct {
	topic, partition int
	appended         topic.Appended
}

func (h *records) produceOne(
	ctx context.Context, req *kmsg.ProduceRequest, t kmsg.ProduceRequestTopic, p kmsg.ProduceRequestTopicPartition,
) (kmsg.ProduceResponseTopicPartition, topic.Appended) {
	out := kmsg.NewProduceResponseTopicPartition()
	out.Partition = p.Partition
	part, err := h.find(ctx, t.Topic, t.TopicID, p.Partition)
	if err != nil {
		refusePartition(&out, err)
		return out, topic.Appended{}
	}
	if req.Version < 7 && zstdInside(p.Records) {
		refusePartition(&out, kerr.UnsupportedCompressionType)
		return out, topic.Appended{}
	}
	appended, err := part.Produce(p.Records, topic.Client{
		Messages: req.Version < 3, Transactional: req.TransactionID != nil, Implicit: req.Version >= addsPartitions,
	})
	if err != nil {
		refusePartition(&out, err)
		if req.TransactionID != nil && errors.Is(err, kerr.InvalidProducerEpoch) {
			out.ErrorMessage = nil // Kafka's coordinator says this one, without words and before the log is looked at
			return out, topic.Appended{}
		}
		switch out.ErrorCode {
		case kerr.MessageTooLarge.Code, kerr.CorruptMessage.Code, kerr.UnsupportedCompressionType.Code, kerr.KafkaStorageError.Code:
			// Kafka's ReplicaManager gives no start with these.
		default:
			out.LogStartOffset = part.LogStartOffset()
		}
		return out, topic.Appended{}
	}
	acknowledge(&out, appended)
	return out, appended
}

func acknowledge(out *kmsg.ProduceResponseTopicPartition, a topic.Appended) {
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = a.BaseOffset, a.LogAppendTimeMs, a.LogStartOffset
}

// transactionalInside reports a batch of a transaction.
func transactionalInside(req *kmsg.ProduceRequest) bool {
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			if h, err := batch.ReadHeader(p.Records); err == nil && h.Transactional() {
				return true
			}
		}
	}
	return false
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
