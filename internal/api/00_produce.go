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
	validator     Validator
	mirrorLag     func(topic [16]byte, partition int32) int64
	lanes         lanes
}

// find resolves what a request names, by id where the version has one, else by name.
func (h *records) find(ctx context.Context, name string, id [16]byte, index int32) (*topic.Partition, error) {
	known, err := h.named(name, id, index)
	if err != nil {
		return nil, err
	}
	return h.partitions.Get(ctx, partitionOf(known, index))
}

// named gives the topic of a partition that a request names.
func (h *records) named(name string, id [16]byte, index int32) (cluster.Topic, error) {
	img := h.catalog.Image()
	known, ok := img.ByName[name]
	missing := kerr.UnknownTopicOrPartition
	if id != [16]byte{} {
		known, ok = img.ByID[id]
		missing = kerr.UnknownTopicID
	}
	if !ok {
		return known, missing
	}
	if index < 0 || index >= known.Partitions {
		return known, kerr.UnknownTopicOrPartition
	}
	return known, nil
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
// do not wait behind it. A batch of a topic with schema validation that names a schema which is not known
// yet waits until the registry has said what it is, and later ones of the connection for the same
// partition wait behind it.
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
			answer, appended, later := h.produceOne(ctx, r, t, p)
			if later == nil {
				h.produced(t.Topic, t.TopicID, p.Records, answer.ErrorCode == 0)
			}
			if appended.Pending != nil || later != nil {
				waiting = append(waiting, produceWait{len(resp.Topics), len(out.Partitions), appended, later})
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
			w.wait(ctx, &resp.Topics[w.topic].Partitions[w.partition])
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
	return notified(Later(wait), waiting)
}

// notified adds how a reply learns that its wait is over. Batches of a request become durable in their
// order, or nearly so, unless one waits for its schemas.
func notified(r Reply, waiting []produceWait) Reply {
	for _, w := range waiting {
		if w.later != nil {
			return r
		}
	}
	if last, ok := waiting[len(waiting)-1].appended.Pending.(storage.Notifier); ok {
		return r.When(last.Notify)
	}
	return r
}

// produceWait is a partition of a response whose batch is on its way.
type produceWait struct {
	topic, partition int
	appended         topic.Appended
	later            *deferred // nil unless the batch did not have its place at once
}

// wait fills in the answer for a batch once it is durable, or is not going to be.
func (w *produceWait) wait(ctx context.Context, out *kmsg.ProduceResponseTopicPartition) {
	if w.later != nil {
		select {
		case <-w.later.decided:
		case <-ctx.Done():
			refusePartition(out, ctx.Err())
			return
		}
		if w.later.err != nil {
			w.later.refuse(out, w.later.err)
			return
		}
		w.appended = w.later.appended
		acknowledge(out, w.appended)
	}
	if w.appended.Pending == nil {
		return
	}
	if err := w.appended.Pending.Wait(ctx); err != nil {
		refusePartition(out, err)
		return
	}
	acknowledge(out, w.appended.Final())
}

func (h *records) produceOne(
	ctx context.Context, r *Request, t kmsg.ProduceRequestTopic, p kmsg.ProduceRequestTopicPartition,
) (kmsg.ProduceResponseTopicPartition, topic.Appended, *deferred) {
	req := r.Body.(*kmsg.ProduceRequest)
	out := kmsg.NewProduceResponseTopicPartition()
	out.Partition = p.Partition
	known, err := h.named(t.Topic, t.TopicID, p.Partition)
	var part *topic.Partition
	if err == nil {
		part, err = h.partitions.Get(ctx, partitionOf(known, p.Partition))
	}
	if err == nil && req.Version < 7 && zstdInside(p.Records) {
		err = kerr.UnsupportedCompressionType
	}
	if err == nil && h.mirrorIsBehind(known, p.Partition, part) {
		err = kerr.NotEnoughReplicas // the topic asks for a mirror that keeps up
	}
	if err != nil {
		refusePartition(&out, err)
		return out, topic.Appended{}, nil
	}
	a := attempt{req: req, topic: known, index: p.Partition, part: part, records: p.Records}
	if known.Config.Validation != nil && h.validator != nil {
		a.inspection = h.validator.Inspect(known)
	}
	appended, later, err := h.lanes.produce(laneOf(r, known, p.Partition), a, h)
	switch {
	case later != nil:
	case err != nil:
		a.refuse(&out, err)
	default:
		acknowledge(&out, appended)
	}
	return out, appended, later
}

// attempt is one batch of a request on its way into its partition.
type attempt struct {
	req        *kmsg.ProduceRequest
	topic      cluster.Topic
	index      int32
	part       *topic.Partition
	records    []byte
	inspection topic.Inspection // nil: nothing is validated
}

func (a *attempt) try() (topic.Appended, error) {
	return a.part.Produce(a.records, topic.Client{
		Messages: a.req.Version < 3, Transactional: a.req.TransactionID != nil, Implicit: a.req.Version >= addsPartitions,
		Inspection: a.inspection,
	})
}

// refuse fills in the answer for a batch that did not enter.
func (a *attempt) refuse(out *kmsg.ProduceResponseTopicPartition, err error) {
	refusePartition(out, err)
	if a.req.TransactionID != nil && errors.Is(err, kerr.InvalidProducerEpoch) {
		out.ErrorMessage = nil // Kafka's coordinator says this one, without words and before the log is looked at
		return
	}
	switch out.ErrorCode {
	case kerr.MessageTooLarge.Code, kerr.CorruptMessage.Code, kerr.UnsupportedCompressionType.Code, kerr.KafkaStorageError.Code:
		// Kafka's ReplicaManager gives no start with these.
	default:
		out.LogStartOffset = a.part.LogStartOffset()
	}
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

// mirrorIsBehind says that a topic asks for a mirror in SeaweedMQ which keeps up, and that it does not. A mirror that has
// not begun to follow the topic has none of it.
func (h *records) mirrorIsBehind(known cluster.Topic, index int32, part *topic.Partition) bool {
	c := known.Config
	if c.SeaweedMQMaxLag < 0 || c.SeaweedMQPublish == "off" || h.mirrorLag == nil {
		return false
	}
	lag := h.mirrorLag(known.ID, index)
	if lag < 0 {
		lag = part.End() - part.LogStartOffset()
	}
	return lag > c.SeaweedMQMaxLag
}
