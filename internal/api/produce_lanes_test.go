package api

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/client"
	"kelp/internal/schema/envelope"
	"kelp/internal/storage"
	"kelp/internal/storage/memory"
	"kelp/internal/topic"
	"kelp/internal/validate"
)

// validated is a Produce handler with a topic whose registry answers when it is told to.
type validated struct {
	h     *records
	known cluster.Topic
	gate  chan struct{} // an answer of the registry for each
}

// one is a server's only registry.
type one struct{ schema.Registry }

func (o one) Named(string) (schema.Registry, error) { return o.Registry, nil }

func openValidated(t *testing.T, configs cluster.Configs) *validated {
	t.Helper()
	store := memory.New()
	catalog, err := cluster.Open(t.Context(), store, cluster.Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.CreateTopic(t.Context(), cluster.Topic{Name: "t", Partitions: 2, Configs: configs}, false); err != nil {
		t.Fatal(err)
	}
	v := &validated{gate: make(chan struct{}, 100), known: catalog.Image().ByName["t"]}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-v.gate
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/schemas/ids/2" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error_code":40403,"message":"Schema 2 not found"}`)
			return
		}
		fmt.Fprint(w, `{"subject":"t-value","version":1,"id":1,"schema":"\"string\""}`)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(v.gate) })
	external, err := client.New(client.Options{
		URLs: []string{server.URL}, Timeout: time.Hour, Cache: client.CacheOptions{Negative: time.Nanosecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(external.Close)
	validator := validate.New(validate.Options{
		Registries: one{external}, Formats: []schema.Format{avro.Format{}}, Fresh: func(string) time.Duration { return time.Hour },
		Wait: time.Hour, Now: time.Now,
	})
	t.Cleanup(validator.Close)
	set := topic.NewSet(store, func(id storage.Partition) topic.Options {
		return topic.Options{
			Now: time.Now, ProducerExpirationMs: 1e9, Config: func() *cluster.TopicConfig { return catalog.Image().ConfigOf(id.Topic) },
		}
	})
	v.h = &records{catalog: catalog, partitions: set, meters: newMeters(nil), validator: validator}
	v.h.lanes.init(nil)
	return v
}

// from says who sends a record and where to.
type from struct {
	conn      uint64
	partition int32
	producer  int64
	sequence  int32
}

// send produces one record with a sequence of an idempotent producer.
func (v *validated) send(t *testing.T, by from, value []byte) Reply {
	t.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks = 9, -1
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = "t"
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition = by.partition
	rp.Records = batch.Encode([]batch.Record{{Value: value}}, batch.Options{ProducerID: by.producer, BaseSequence: by.sequence})
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return v.h.produce(t.Context(), &Request{Body: req, ConnID: by.conn})
}

func answered(t *testing.T, r Reply) kmsg.ProduceResponseTopicPartition {
	t.Helper()
	resp, err := r.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
}

func named(id uint32) []byte { return append(envelope.AppendID(nil, id), 0) }

// The ordered part does not wait for the registry; batches of one connection for one partition keep
// their order behind the one that does, and others do not wait.
func TestBatchesKeepTheirOrderBehindALookup(t *testing.T) {
	v := openValidated(t, cluster.Configs{"confluent.value.schema.validation": "true"})
	var mine []Reply
	for i := range 5 {
		mine = append(mine, v.send(t, from{1, 0, 7, int32(i)}, named(1)))
	}
	if n := v.h.lanes.waiting.Load(); n != 5 {
		t.Fatalf("%d batches wait, want 5", n)
	}
	null := v.send(t, from{1, 1, 7, 0}, nil) // nothing to look up, another partition
	if answer := answered(t, null); answer.ErrorCode != 0 || answer.BaseOffset != 0 {
		t.Fatalf("a batch of another partition: %+v", answer)
	}
	others := v.send(t, from{2, 0, 8, 0}, nil) // another connection
	if answer := answered(t, others); answer.ErrorCode != 0 || answer.BaseOffset != 0 {
		t.Fatalf("a batch of another connection: %+v", answer)
	}
	behind := v.send(t, from{1, 0, 7, 5}, nil) // nothing to look up, but in order
	for range 2 {
		v.gate <- struct{}{} // the schema, its subject
	}
	for i, r := range append(mine, behind) {
		if answer := answered(t, r); answer.ErrorCode != 0 || answer.BaseOffset != int64(i+1) {
			t.Errorf("batch %d: %v at %d, want offset %d", i, kerr.ErrorForCode(answer.ErrorCode), answer.BaseOffset, i+1)
		}
	}
	if n, left := v.h.lanes.waiting.Load(), len(v.h.lanes.all); n != 0 || left != 0 {
		t.Errorf("%d batches wait in %d lanes when all are answered", n, left)
	}
	if r := v.send(t, from{1, 0, 7, 6}, named(1)); answered(t, r).BaseOffset != 7 || len(v.h.lanes.all) != 0 {
		t.Error("a known schema waits")
	}
}

// A refused batch leaves no trace: the next one of its producer may have its sequence, and one that was
// sent behind it in the meantime is out of order.
func TestRefusedBatchTakesNoSequence(t *testing.T) {
	v := openValidated(t, cluster.Configs{"confluent.value.schema.validation": "true"})
	first := v.send(t, from{1, 0, 7, 0}, nil)
	if answer := answered(t, first); answer.ErrorCode != 0 {
		t.Fatal(answer)
	}
	bad, behind := v.send(t, from{1, 0, 7, 1}, named(2)), v.send(t, from{1, 0, 7, 2}, nil)
	v.gate <- struct{}{}
	answer := answered(t, bad)
	if answer.ErrorCode != kerr.InvalidRecord.Code || len(answer.ErrorRecords) != 1 || answer.ErrorRecords[0].RelativeOffset != 0 {
		t.Errorf("the bad batch: %+v", answer)
	}
	if answer := answered(t, behind); answer.ErrorCode != kerr.OutOfOrderSequenceNumber.Code {
		t.Errorf("the batch behind it: %v", kerr.ErrorForCode(answer.ErrorCode))
	}
	if answer := answered(t, v.send(t, from{1, 0, 7, 1}, nil)); answer.ErrorCode != 0 || answer.BaseOffset != 1 {
		t.Errorf("the next batch with the sequence: %+v", answer)
	}
}

// A client that is gone leaves its batch on its way; the answer's wait ends with its context.
func TestWaitForALookupEndsWithItsContext(t *testing.T) {
	v := openValidated(t, cluster.Configs{"confluent.value.schema.validation": "true"})
	r := v.send(t, from{1, 0, -1, -1}, named(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	resp, err := r.Wait(ctx)
	if err != nil || resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode == 0 {
		t.Fatal(resp, err)
	}
	for range 2 {
		v.gate <- struct{}{}
	}
	if answer := answered(t, v.send(t, from{1, 0, -1, -1}, nil)); answer.ErrorCode != 0 || answer.BaseOffset != 1 {
		t.Errorf("the batch behind it: %+v", answer)
	}
}
