// Package seaweedmq runs Kelp beside a real SeaweedFS with broker and agent and looks at what arrives there: in the log files
// of the filer, through the broker's API, and in the Parquet files that SeaweedFS's own compaction makes of them.
package seaweedmq

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"kelp/e2e/harness"
	"kelp/internal/schema/record"
	"kelp/internal/seaweed"
	"kelp/internal/seaweed/mq"
)

// place is a SeaweedFS, a Kelp that mirrors to it, and clients of both.
type place struct {
	weed     *harness.SeaweedMQ
	broker   *harness.Broker
	http     string
	registry string // URL
	client   *mq.Client
	filer    *seaweed.Client
	admin    *kadm.Client
}

func start(t *testing.T, flags ...string) *place {
	t.Helper()
	return startAt(t, func(string) []string { return flags })
}

// startAt is start with flags that need the agent's address.
func startAt(t *testing.T, flags func(agent string) []string) *place {
	t.Helper()
	p := &place{weed: harness.StartSeaweedMQ(t), http: harness.FreeAddr(t)}
	registry := harness.FreeAddr(t)
	p.registry = "http://" + registry
	master := p.weed.Masters[0].Addr
	var err error
	p.broker, err = harness.OpenWith(harness.Kelp, t.TempDir(), harness.Options{KelpFlags: append([]string{
		"--seaweedmq-master", master, "--http", p.http, "--registry", registry, "--transaction-max-timeout", "15m",
	}, flags(p.weed.Agent.GRPC)...)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.broker.Close(); err != nil {
			t.Error(err)
		}
	})
	p.client = mq.New(mq.Options{Masters: []string{master}})
	t.Cleanup(p.client.Close)
	if p.filer, err = seaweed.Dial(t.Context(), seaweed.Options{Masters: []string{master}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.filer.Close() })
	p.admin = kadm.NewClient(p.kafka(t))
	return p
}

// kafka is a client of Kelp.
func (p *place) kafka(t *testing.T, o ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(p.broker.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner())}, o...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// topic makes a topic; configs are key=value.
func (p *place) topic(t *testing.T, name string, partitions int32, configs ...string) {
	t.Helper()
	all := map[string]*string{}
	for _, c := range configs {
		k, v, _ := strings.Cut(c, "=")
		all[k] = &v
	}
	if _, err := p.admin.CreateTopic(t.Context(), partitions, 1, all, name); err != nil {
		t.Fatal(err)
	}
}

// mirrored waits until the whole topic is in the filer: the mirror's checkpoints are the offsets of a group.
func (p *place) mirrored(t *testing.T, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	lag := int64(-1)
	for {
		ends, err := p.admin.ListCommittedOffsets(ctx, topic)
		committed, err2 := p.admin.FetchOffsets(ctx, "kelp-seaweedmq")
		if err == nil && err2 == nil && ends.Error() == nil {
			lag = 0
			ends.Each(func(o kadm.ListedOffset) {
				c, ok := committed.Lookup(topic, o.Partition)
				if !ok {
					c.At = 0
				}
				lag += o.Offset - c.At
			})
			if lag == 0 {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %d offsets are missing in the filer: %v, %v\n%s\n%s", topic, lag, err, err2, p.status(t), p.broker.Tail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// status is what kelp seaweedmq status says.
func (p *place) status(t *testing.T) string {
	t.Helper()
	return p.kelp(t, "seaweedmq", "status", "--http", p.http)
}

// entries reads the log files of a topic: the newest generation, by partition.
func (p *place) entries(t *testing.T, topic string) [][]mq.Entry {
	t.Helper()
	name := mq.Topic{Namespace: "kafka", Name: topic}
	generations, err := mq.Generations(t.Context(), p.filer, name)
	if err != nil || len(generations) == 0 {
		t.Fatalf("%s has no generations: %v", topic, err)
	}
	d, err := p.client.Describe(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	all := make([][]mq.Entry, len(d.Assignments))
	for i, a := range d.Assignments {
		_, err := mq.LogFiles{Filer: p.filer, Dir: a.Partition.Dir(name)}.Read(t.Context(), mq.Position{}, func(e mq.Entry) error {
			all[i] = append(all[i], e)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// rows decodes structured entries, in order.
func rows(t *testing.T, entries []mq.Entry) []map[string]*record.Value {
	t.Helper()
	all := make([]map[string]*record.Value, len(entries))
	for i, e := range entries {
		var v record.RecordValue
		if err := proto.Unmarshal(e.Value, &v); err != nil {
			t.Fatal(err)
		}
		all[i] = v.Fields
	}
	return all
}

// consume reads all of a topic from Kafka, committed records only, by partition.
func (p *place) consume(t *testing.T, topic string) map[int32][]*kgo.Record {
	t.Helper()
	ends, err := p.admin.ListCommittedOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	from := map[int32]kgo.Offset{}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		from[o.Partition] = kgo.NewOffset().AtStart()
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	cl := p.kafka(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all := map[int32][]*kgo.Record{}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s: %v, left %v", topic, err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				all[r.Partition] = append(all[r.Partition], r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all
}

// show writes a value short and sorted, for comparisons.
func show(v *record.Value) string {
	switch k := v.GetKind().(type) {
	case nil:
		return "null"
	case *record.Value_StringValue:
		return fmt.Sprintf("%q", k.StringValue)
	case *record.Value_BytesValue:
		return fmt.Sprintf("x%x", k.BytesValue)
	case *record.Value_ListValue:
		var all []string
		for _, e := range k.ListValue.Values {
			all = append(all, show(e))
		}
		return "[" + strings.Join(all, " ") + "]"
	case *record.Value_RecordValue:
		return showRow(k.RecordValue.Fields)
	case *record.Value_DecimalValue:
		return fmt.Sprintf("%se-%d", record.BigInt(k.DecimalValue.Value), k.DecimalValue.Scale)
	case *record.Value_BoolValue:
		return fmt.Sprint(k.BoolValue)
	case *record.Value_Int32Value:
		return fmt.Sprint(k.Int32Value)
	case *record.Value_Int64Value:
		return fmt.Sprint(k.Int64Value)
	case *record.Value_FloatValue:
		return fmt.Sprint(k.FloatValue)
	case *record.Value_DoubleValue:
		return fmt.Sprint(k.DoubleValue)
	}
	return fmt.Sprint(v)
}

// showRow writes a record; hidden columns are left out.
func showRow(fields map[string]*record.Value, hidden ...string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(hidden, name) {
			all = append(all, name+"="+show(fields[name]))
		}
	}
	return "{" + strings.Join(all, " ") + "}"
}
