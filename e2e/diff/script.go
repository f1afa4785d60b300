package diff

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// step is one request of the script, sent at every version from since on that both kmsg and Apache Kafka know.
type step struct {
	name  string
	since int16
	ask   func(s *session, v int16) kmsg.Request
}

func ptr[T any](v T) *T { return &v }

// script is ordered: later steps see what earlier ones did.
func script() []step {
	var steps []step
	for _, part := range [][]step{topicSteps(), metadataSteps(), produceSteps(), readSteps(), groupSteps(), adminSteps()} {
		steps = append(steps, part...)
	}
	return steps
}

func create(name string, partitions int32, validate bool, configs ...string) kmsg.Request {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis, req.ValidateOnly = 10_000, validate
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	for _, c := range configs {
		key, value, _ := strings.Cut(c, "=")
		t.Configs = append(t.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: &value})
	}
	req.Topics = append(req.Topics, t)
	return req
}

func topicSteps() []step {
	named := func(name string, configs ...string) func(*session, int16) kmsg.Request {
		return func(_ *session, v int16) kmsg.Request {
			return create(fmt.Sprintf("%s-v%d", name, v), 2, false, configs...)
		}
	}
	return []step{
		{"create the shared topic, at every version but the first a duplicate", 0, func(*session, int16) kmsg.Request {
			return create("diff", 2, false)
		}},
		{"create", 0, named("plain", "retention.ms=1000000", "cleanup.policy=compact")},
		{"create again", 0, named("plain")},
		{"create with unknown config", 0, named("unknown-config", "no.such.key=1")},
		{"create with bad config", 0, named("bad-config", "retention.ms=soon")},
		{"create with bad name", 0, named("bad name!")},
		{"create with no partitions", 0, func(*session, int16) kmsg.Request { return create("none", 0, false) }},
		{"create validate only", 1, func(*session, int16) kmsg.Request { return create("only-validated", 1, true) }},
		{"create validate only, existing", 1, func(*session, int16) kmsg.Request { return create("diff", 1, true) }},
		{"create for log append time", 0, named("append-time", "message.timestamp.type=LogAppendTime")},
		{"create partitions", 0, func(_ *session, v int16) kmsg.Request { return grow(fmt.Sprintf("plain-v%d", v+2), 4) }},
		{"create fewer partitions", 0, func(*session, int16) kmsg.Request { return grow("diff", 1) }},
		{"create partitions of an unknown topic", 0, func(*session, int16) kmsg.Request { return grow("nowhere", 3) }},
		{"delete an unknown topic", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.TimeoutMillis, req.TopicNames = 10_000, []string{"nowhere"}
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.Topic = ptr("nowhere")
			req.Topics = append(req.Topics, t)
			return req
		}},
		{"delete by an unknown id", 6, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrDeleteTopicsRequest()
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.TopicID = [16]byte{1}
			req.TimeoutMillis, req.Topics = 10_000, append(req.Topics, t)
			return req
		}},
	}
}

func grow(topic string, count int32) kmsg.Request {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 10_000
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = topic, count
	req.Topics = append(req.Topics, t)
	return req
}

func metadataSteps() []step {
	named := func(names ...string) func(*session, int16) kmsg.Request {
		return func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrMetadataRequest()
			req.Topics = []kmsg.MetadataRequestTopic{}
			for _, n := range names {
				t := kmsg.NewMetadataRequestTopic()
				t.Topic = ptr(n)
				req.Topics = append(req.Topics, t)
			}
			return req
		}
	}
	return []step{
		{"metadata of one topic", 0, named("diff")},
		{"metadata of an unknown topic", 4, named("nowhere")},
		{"metadata of a bad name", 0, named("bad name!")},
		{"metadata of no topics", 1, named()},
		{"metadata by an unknown id", 12, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrMetadataRequest()
			t := kmsg.NewMetadataRequestTopic()
			t.TopicID = [16]byte{1}
			req.Topics = append(req.Topics, t)
			return req
		}},
		{"describe topic partitions", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeTopicPartitionsRequest()
			for _, n := range []string{"diff", "nowhere"} {
				t := kmsg.NewDescribeTopicPartitionsRequestTopic()
				t.Topic = n
				req.Topics = append(req.Topics, t)
			}
			return req
		}},
		{"describe the cluster", 0, func(*session, int16) kmsg.Request { return kmsg.NewPtrDescribeClusterRequest() }},
		{"find coordinator", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorKey, req.CoordinatorKeys = "g", []string{"g"}
			return req
		}},
	}
}

func produceSteps() []step {
	to := func(partition int32, acks int16, bytes func(s *session) []byte) func(*session, int16) kmsg.Request {
		return func(s *session, v int16) kmsg.Request {
			req := kmsg.NewPtrProduceRequest()
			req.Acks, req.TimeoutMillis = acks, 10_000
			t := kmsg.NewProduceRequestTopic()
			t.Topic, t.TopicID = "diff", s.topicID
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition, p.Records = partition, bytes(s)
			t.Partitions = append(t.Partitions, p)
			req.Topics = append(req.Topics, t)
			return req
		}
	}
	spoiled := func(change func(*kmsg.RecordBatch)) func(*session) []byte {
		return func(*session) []byte { return Batch(change, "a", "b") }
	}
	sequence := func(n int32) func(*session) []byte {
		return func(s *session) []byte {
			return Batch(func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch, b.FirstSequence = s.producer, s.epoch, n }, "x")
		}
	}
	big := func(*session) []byte { return Batch(nil, strings.Repeat("x", 2<<20)) }
	return []step{
		{"produce", 3, to(0, -1, spoiled(nil))},
		{"produce with acks 1", 3, to(0, 1, spoiled(nil))},
		{"produce with acks 2", 3, to(0, 2, spoiled(nil))},
		{"produce to a bad partition", 3, to(9, -1, spoiled(nil))},
		{"produce a wrong checksum", 3, to(0, -1, spoiled(func(b *kmsg.RecordBatch) { b.CRC = 1 }))},
		{"produce a wrong magic", 3, to(0, -1, spoiled(func(b *kmsg.RecordBatch) { b.Magic = 7 }))},
		{"produce a wrong count", 3, to(0, -1, spoiled(func(b *kmsg.RecordBatch) { b.NumRecords = 3 }))},
		{"produce a wrong offset delta", 3, to(0, -1, spoiled(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 7 }))},
		{"produce too much", 3, to(0, -1, big)},
		{"produce with an unknown codec", 3, to(0, -1, spoiled(func(b *kmsg.RecordBatch) { b.Attributes = 6 }))},
		{"init producer", 0, func(*session, int16) kmsg.Request { return kmsg.NewPtrInitProducerIDRequest() }},
		{"produce with sequences, later a duplicate", 3, to(1, -1, sequence(0))},
		{"produce out of order", 3, to(1, -1, sequence(7))},
		{"describe producers", 0, func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeProducersRequest()
			req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "diff", Partitions: []int32{0, 9}}}
			return req
		}},
	}
}

// at is the request at a version.
func at(req kmsg.Request, v int16) kmsg.Request {
	req.SetVersion(v)
	return req
}
