package seaweedfs

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/franz"
	"kelp/e2e/harness"
	"kelp/e2e/suite"
)

// A second node on the same store takes over from one that is paused for longer than its lease; the
// paused one acknowledges nothing when it goes on, and takes over in its turn.
func TestTakeover(t *testing.T) {
	w := harness.StartSeaweedFS(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	first := on(t, w, "kelp")
	const topic = "takeover"
	if err := (franz.Client{Addr: first.Addr}).CreateTopic(ctx, topic, 1); err != nil {
		t.Fatal(err)
	}
	var want []suite.Record
	produce := func(b *harness.Broker, n int) {
		t.Helper()
		var records []suite.Record
		for range n {
			r := suite.Record{Offset: int64(len(want)), TimestampMs: 1000, Key: []byte("k"), Value: fmt.Append(nil, len(want))}
			records, want = append(records, r), append(want, r)
		}
		if err := (franz.Client{Addr: b.Addr}).Produce(ctx, topic, "none", records); err != nil {
			t.Fatal(err)
		}
	}
	check := func(b *harness.Broker) {
		t.Helper()
		got, err := franz.Client{Addr: b.Addr}.Consume(ctx, topic, 0, 0, len(want))
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if string(got[i].Value) != string(want[i].Value) {
				t.Fatalf("offset %d holds %q, want %q", i, got[i].Value, want[i].Value)
			}
		}
	}
	produce(first, 100)
	before := epochs(ctx, t, first, topic)
	if err := syscall.Kill(first.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	second := on(t, w, "kelp") // ready once the lease of the first has ended
	check(second)
	if after := epochs(ctx, t, second, topic); after.leader <= before.leader || after.ends[before.leader] != 100 {
		t.Fatalf("leader epoch %d follows %d, which ended at %v", after.leader, before.leader, after.ends)
	}
	produce(second, 100)
	if err := syscall.Kill(first.Pid(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// It listens until it has found out; nothing that it is told from now on may be acknowledged.
	for ctx.Err() == nil {
		dialer := net.Dialer{Timeout: time.Second}
		c, err := dialer.DialContext(ctx, "tcp", first.Addr)
		if err != nil {
			break
		}
		_ = c.Close()
		short, end := context.WithTimeout(ctx, time.Second)
		if err := (franz.Client{Addr: first.Addr}).CreateTopic(short, "lost", 1); err == nil {
			t.Error("a node that was fenced created a topic")
		}
		end()
	}
	if err := ctx.Err(); err != nil {
		t.Fatal("the first node still listens")
	}
	produce(second, 100)
	check(second)
	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	for ctx.Err() == nil { // the first one's turn again
		if topics, err := (franz.Client{Addr: first.Addr}).Topics(ctx); err == nil && topics[topic] == 1 {
			break
		}
	}
	check(first)
	produce(first, 100)
	check(first)
}

// epoch is what a node says of a partition's leader epochs.
type epoch struct {
	leader int32
	ends   map[int32]int64 // of each epoch up to the leader's
}

func epochs(ctx context.Context, t *testing.T, b *harness.Broker, topic string) epoch {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	meta, err := admin.Metadata(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	e := epoch{leader: meta.Topics[topic].Partitions[0].LeaderEpoch, ends: map[int32]int64{}}
	for asked := range e.leader + 1 {
		var req kadm.OffsetForLeaderEpochRequest
		req.Add(topic, 0, asked)
		got, err := admin.OffsetForLeaderEpoch(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		e.ends[asked] = got[topic][0].EndOffset
	}
	return e
}
