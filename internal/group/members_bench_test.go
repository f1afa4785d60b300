package group

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// crowd is a machine whose groups of the consumer protocol have many members.
type crowd struct {
	m      *Machine
	ticket statelog.Ticket
	epochs map[string]int32
}

var keep *crowd

const crowdSize = 250

func newCrowd() *crowd {
	o := Defaults()
	all := &testTopics{byName: map[string]Topic{"orders": {ID: [16]byte{1}, Name: "orders", Partitions: crowdSize}}}
	o.Topics = func() Topics { return all }
	return &crowd{m: New(o), epochs: map[string]int32{}}
}

func (c *crowd) beat(tb testing.TB, group, member string) {
	c.ticket++
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, group, member, c.epochs[group+member]
	if req.MemberEpoch == 0 {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 300_000, []string{"orders"}
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	e := c.m.ConsumerGroupHeartbeat(statelog.Input{Now: time.UnixMilli(1), Ticket: c.ticket}, Client{"a-client", "/10.0.0.1"}, req)
	for _, r := range e.Records {
		if err := c.m.Apply(r); err != nil {
			tb.Fatal(err)
		}
	}
	resp := e.Replies[0].Response.(*kmsg.ConsumerGroupHeartbeatResponse)
	if resp.ErrorCode != 0 {
		tb.Fatal(*resp.ErrorMessage)
	}
	c.epochs[group+member] = resp.MemberEpoch
}

// settle lets the members of a group join and reach their partitions.
func (c *crowd) settle(tb testing.TB, group string) {
	for range 4 {
		for i := range crowdSize {
			c.beat(tb, group, fmt.Sprintf("member-%06d-with-an-id-of-36-bytes", i))
		}
	}
}

func BenchmarkMembersJoin(b *testing.B) {
	b.ReportAllocs()
	live := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	c := newCrowd()
	before, n := live(), 0
	for b.Loop() {
		c.settle(b, fmt.Sprint("g", n))
		n++
	}
	c.epochs = map[string]int32{}
	b.ReportMetric(float64(live()-before)/float64(n*crowdSize), "live-B/member")
	runtime.KeepAlive(c)
	keep = c
}

func BenchmarkHeartbeat(b *testing.B) {
	b.ReportAllocs()
	c := newCrowd()
	c.settle(b, "g")
	for b.Loop() {
		c.beat(b, "g", "member-000007-with-an-id-of-36-bytes")
	}
}
