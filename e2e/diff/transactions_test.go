package diff

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/e2e/harness"
)

// settles is how long markers may take; an answer that stays is compared then.
const settles = 10 * time.Second

// offsetsGroup has its offsets in partition 0 of __consumer_offsets on a server with any number of partitions up to 4.
const offsetsGroup = "d"

// pair is both servers and how far a story has come on each.
type pair struct {
	t        *testing.T
	ctx      context.Context
	story    string
	sessions [2]*teller
	used     map[string]bool
	compared *int
}

// teller is a server with the producers that a story has made there, by transactional id.
type teller struct {
	*session
	producers map[string]*producer
	topics    map[string][16]byte
}

type producer struct {
	id       int64
	epoch    int16
	sequence int32
}

// of is the producer of a transactional id; one that was never made has an id that nobody has.
func (s *teller) of(id string) *producer {
	p := s.producers[id]
	if p == nil {
		p = &producer{id: 1 << 40}
		s.producers[id] = p
	}
	return p
}

// tell sends one request of a story at a version to both and compares the answers. It asks again while the markers of
// an earlier transaction are on their way, unless that is the answer that is told about.
func (p *pair) tell(name string, v int16, ask func(s *teller) kmsg.Request) {
	p.t.Helper()
	p.ask(name, v, ask, true)
}

func (p *pair) ask(name string, v int16, ask func(s *teller) kmsg.Request, again bool) {
	p.t.Helper()
	var answers [2]map[string]string
	for i, s := range p.sessions {
		for began := time.Now(); ; {
			req := ask(s)
			req.SetVersion(v)
			answers[i] = outcome(p.ctx, s.session, req)
			if !again || !unsettled(answers[i]) || p.ctx.Err() != nil || time.Since(began) > settles {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	*p.compared++
	compare(p.t, fmt.Sprintf("%s: %s v%d", p.story, name, v), name, answers, p.used)
}

// unsettled reports answers of a server that has to do something else first.
func unsettled(answer map[string]string) bool {
	for path, value := range answer {
		if !strings.HasSuffix(path, "ErrorCode") {
			continue
		}
		for _, e := range []*kerr.Error{
			kerr.ConcurrentTransactions, kerr.NotEnoughReplicas, kerr.NotLeaderForPartition, kerr.NotCoordinator, kerr.CoordinatorNotAvailable,
		} {
			if value == fmt.Sprint(e.Code) {
				return true
			}
		}
	}
	return false
}

func (p *pair) init(id string, change func(*teller, *kmsg.InitProducerIDRequest)) func(s *teller) kmsg.Request {
	return func(s *teller) kmsg.Request {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID, req.TransactionTimeoutMillis = &id, 60_000
		if change != nil {
			change(s, req)
		}
		return req
	}
}

// start makes a producer on both and remembers what it got.
func (p *pair) start(name string, v int16, id string, change func(*teller, *kmsg.InitProducerIDRequest)) {
	p.t.Helper()
	p.tell(name, v, p.init(id, change))
	for _, s := range p.sessions {
		s.producers[id] = &producer{id: s.producer, epoch: s.epoch}
	}
}

func (p *pair) add(id string, topics ...string) func(s *teller) kmsg.Request {
	return func(s *teller) kmsg.Request {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, s.of(id).id, s.of(id).epoch
		for _, name := range topics {
			req.Topics = append(req.Topics, kmsg.AddPartitionsToTxnRequestTopic{Topic: name, Partitions: []int32{0}})
		}
		return req
	}
}

func (p *pair) batch(id string, verify bool, topics ...string) func(s *teller) kmsg.Request {
	return func(s *teller) kmsg.Request {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		t := kmsg.NewAddPartitionsToTxnRequestTransaction()
		t.TransactionalID, t.ProducerID, t.ProducerEpoch, t.VerifyOnly = id, s.of(id).id, s.of(id).epoch, verify
		for _, name := range topics {
			t.Topics = append(t.Topics, kmsg.AddPartitionsToTxnRequestTransactionTopic{Topic: name, Partitions: []int32{0}})
		}
		req.Transactions = append(req.Transactions, t)
		return req
	}
}

// older sends what make builds with the epoch before the producer's.
func older(id string, ask func(s *teller) kmsg.Request) func(s *teller) kmsg.Request {
	return func(s *teller) kmsg.Request {
		s.of(id).epoch--
		defer func() { s.of(id).epoch++ }()
		return ask(s)
	}
}

// write produces one transactional record to partition 0; a refused one is not counted.
func (p *pair) write(name string, v int16, id, topic string) {
	p.t.Helper()
	p.tell(name, v, func(s *teller) kmsg.Request {
		pr := s.of(id)
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis, req.TransactionID = -1, 10_000, &id
		t := kmsg.NewProduceRequestTopic()
		t.Topic, t.TopicID = topic, s.topics[topic]
		part := kmsg.NewProduceRequestTopicPartition()
		part.Records = Batch(func(b *kmsg.RecordBatch) {
			b.Attributes, b.ProducerID, b.ProducerEpoch, b.FirstSequence = 16, pr.id, pr.epoch, pr.sequence
		}, "x")
		t.Partitions = append(t.Partitions, part)
		req.Topics = append(req.Topics, t)
		return req
	})
}

func (p *pair) wrote(id string) {
	for _, s := range p.sessions {
		s.of(id).sequence++
	}
}

func (p *pair) end(id string, commit bool) func(s *teller) kmsg.Request {
	return func(s *teller) kmsg.Request {
		req := kmsg.NewPtrEndTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = id, s.of(id).id, s.of(id).epoch, commit
		return req
	}
}

func (p *pair) offsets(id, topic string, change func(*kmsg.TxnOffsetCommitRequest)) func(s *teller) kmsg.Request {
	return func(s *teller) kmsg.Request {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = id, offsetsGroup, s.of(id).id, s.of(id).epoch
		req.Generation = -1
		for _, index := range []int32{0, 9} {
			part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			part.Partition, part.Offset, part.LeaderEpoch, part.Metadata = index, 5, -1, ptr("m")
			req.Topics = append(req.Topics, kmsg.TxnOffsetCommitRequestTopic{
				Topic: topic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{part},
			})
			topic = "nowhere"
		}
		topic = req.Topics[0].Topic
		if change != nil {
			change(req)
		}
		return req
	}
}

func (p *pair) addOffsets(id string) func(s *teller) kmsg.Request {
	return func(s *teller) kmsg.Request {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = id, offsetsGroup, s.of(id).id, s.of(id).epoch
		return req
	}
}

// look compares everything that shows where transactions stand.
func (p *pair) look(when, topic string, ids ...string) {
	p.t.Helper()
	for _, isolation := range []int8{0, 1} {
		p.tell(fmt.Sprintf("list offsets %s, isolation %d", when, isolation), 7, func(*teller) kmsg.Request {
			req := kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID, req.IsolationLevel = -1, isolation
			part := kmsg.NewListOffsetsRequestTopicPartition()
			part.Timestamp = -1
			req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{part}}}
			return req
		})
		p.tell(fmt.Sprintf("fetch %s, isolation %d", when, isolation), 12, func(*teller) kmsg.Request {
			req := kmsg.NewPtrFetchRequest()
			req.ReplicaID, req.MaxBytes, req.SessionEpoch, req.IsolationLevel = -1, 1<<20, -1, isolation
			part := kmsg.NewFetchRequestTopicPartition()
			part.CurrentLeaderEpoch, part.PartitionMaxBytes = -1, 1<<20
			req.Topics = []kmsg.FetchRequestTopic{{Topic: topic, Partitions: []kmsg.FetchRequestTopicPartition{part}}}
			return &fetching{req}
		})
		p.tell(fmt.Sprintf("fetch offsets %s, stable %d", when, isolation), 7, func(*teller) kmsg.Request {
			req := kmsg.NewPtrOffsetFetchRequest()
			req.Group, req.RequireStable = offsetsGroup, isolation == 1
			req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: topic, Partitions: []int32{0}}}
			return req
		})
	}
	p.tell("describe producers "+when, 0, func(*teller) kmsg.Request {
		req := kmsg.NewPtrDescribeProducersRequest()
		req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: topic, Partitions: []int32{0}}}
		return req
	})
	p.tell("describe transactions "+when, 0, func(*teller) kmsg.Request {
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = append([]string{"", "nowhere"}, ids...)
		return req
	})
	for v := range int16(3) {
		p.tell("list transactions "+when, v, func(*teller) kmsg.Request {
			req := kmsg.NewPtrListTransactionsRequest()
			req.StateFilters = []string{"Ongoing", "CompleteCommit", "Nonsense"}
			if v == 2 {
				req.TransactionalIDPattern = ptr(ids[0] + "|zzz")
			}
			return req
		})
	}
}

// fetching hides record bytes, which hold each server's own producer ids and times, behind their number.
type fetching struct{ *kmsg.FetchRequest }

func (f *fetching) ResponseKind() kmsg.Response {
	return &fetched{f.FetchRequest.ResponseKind().(*kmsg.FetchResponse)}
}

type fetched struct{ *kmsg.FetchResponse }

func (f *fetched) ReadFrom(b []byte) error {
	err := f.FetchResponse.ReadFrom(b)
	for _, t := range f.Topics {
		for i := range t.Partitions {
			t.Partitions[i].RecordBatches = []byte(fmt.Sprint(len(t.Partitions[i].RecordBatches)))
		}
	}
	return err
}

func (p *pair) topic(name string) {
	p.t.Helper()
	p.tell("create the topic", 4, func(*teller) kmsg.Request {
		return create(name, 2, false)
	})
	for _, s := range p.sessions {
		for s.topics[name] == ([16]byte{}) {
			req := kmsg.NewPtrMetadataRequest()
			req.Version = 12
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = &name
			req.Topics = append(req.Topics, t)
			resp, err := s.ask(p.ctx, req)
			if err != nil {
				p.t.Fatal(err)
			}
			s.topics[name] = resp.(*kmsg.MetadataResponse).Topics[0].TopicID
		}
	}
}

// TestTransactionsAreKafkas tells the same stories of transactions to both, at every version of every key.
func TestTransactionsAreKafkas(t *testing.T) {
	start = time.Now().Add(-time.Hour).UnixMilli()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := &pair{t: t, ctx: ctx, used: map[string]bool{}, compared: new(int)}
	for i, kind := range []harness.Kind{harness.Kafka, harness.Target()} {
		p.sessions[i] = &teller{open(t, kind), map[string]*producer{}, map[string][16]byte{}}
	}
	p.story = "both are ready"
	p.tell("find the coordinator of the group", 3, func(*teller) kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey = offsetsGroup
		return req
	})
	for range 2 { // producer id 0 cannot be told from none
		p.tell("init without transactions", 0, func(*teller) kmsg.Request { return kmsg.NewPtrInitProducerIDRequest() })
	}
	for v := range int16(6) {
		p.story = fmt.Sprintf("first protocol %d", v)
		p.firstProtocol(v)
	}
	for v := int16(12); v <= 13; v++ {
		p.story = fmt.Sprintf("second protocol %d", v)
		p.secondProtocol(v)
	}
	p.story = "markers by hand"
	p.markersByHand()
	p.story = "features"
	p.features()
	t.Logf("%d answers compared", *p.compared)
}
