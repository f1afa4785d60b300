// Package groups holds the loads of consumer groups: how fast a group gets its partitions, how fast
// it goes on when a member leaves, how many offsets are committed, and what idle members cost. Members
// are bare: they speak the protocols over sockets of their own and read no records.
package groups

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/bench/bare"
	"kelp/bench/turns"
)

const (
	beatEvery  = 50 * time.Millisecond // so that what is measured is the server, not the members' patience
	waitAtMost = 2 * time.Minute
	committers = 32
)

// Scenarios of this package; commits are measured for the duration.
func Scenarios(d time.Duration) []turns.Scenario {
	var all []turns.Scenario
	for _, size := range []int{20, 200} {
		all = append(all, rebalance("classic", size), rebalance("consumer", size))
	}
	return append(all, commits(d), idleState(), idle("classic"), idle("consumer"))
}

// rebalance measures a group of one protocol with two partitions for each member.
func rebalance(protocol string, size int) turns.Scenario {
	sc := turns.Scenario{
		Name: fmt.Sprintf("group-%s-%d", protocol, size),
		Doc: fmt.Sprintf("A group of %d members of the %s protocol, who all come at once; then one leaves. Members heartbeat every %v.",
			size, protocol, beatEvery),
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		total := int32(2 * size)
		if err := bare.CreateTopic(t.Addr, sc.Name, total); err != nil {
			return err
		}
		if err := coordinator(t.Addr, "warm", sc.Name); err != nil {
			return err
		}
		for _, group := range []string{"warm", "measured"} { // the first lets the JVM compile
			joined, left, err := cycle(ctx, t.Addr, protocol, group, sc.Name, size, total)
			if err != nil {
				return fmt.Errorf("%s: %w", group, err)
			}
			if group == "measured" {
				t.Record("join to stable ms", float64(joined.Microseconds())/1000)
				t.Record("leave to stable ms", float64(left.Microseconds())/1000)
			}
		}
		return nil
	}
	return sc
}

// cycle runs one group from its first join to its end.
func cycle(ctx context.Context, addr, protocol, group, topic string, size int, total int32) (joined, left time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, waitAtMost)
	defer cancel()
	g := &crowd{group: group, topic: topic, total: total, protocol: protocol, beatEvery: beatEvery}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for i := range size {
		c, err := bare.Dial(addr)
		if err != nil {
			return 0, 0, err
		}
		m := &member{crowd: g, name: fmt.Sprintf("m%03d", i), conn: c, leave: make(chan struct{})}
		g.members = append(g.members, m)
	}
	began := time.Now()
	for _, m := range g.members {
		wg.Go(func() {
			defer m.conn.Close()
			if err := m.live(ctx); err != nil && ctx.Err() == nil {
				g.fail(fmt.Errorf("%s: %w", m.name, err))
			}
		})
	}
	if err := g.wait(ctx, g.members); err != nil {
		return 0, 0, err
	}
	joined = time.Since(began)
	began = time.Now()
	close(g.members[0].leave)
	if err := g.wait(ctx, g.members[1:]); err != nil {
		return joined, 0, err
	}
	return joined, time.Since(began), nil
}

// crowd is the members of one group.
type crowd struct {
	group, topic, protocol string
	total                  int32
	beatEvery              time.Duration
	members                []*member
	failed                 atomic.Pointer[error]
}

func (g *crowd) fail(err error) { g.failed.CompareAndSwap(nil, &err) }

// wait waits until the members together have every partition, each its share, all in one generation
// or epoch.
func (g *crowd) wait(ctx context.Context, members []*member) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if err := g.failed.Load(); err != nil {
			return *err
		}
		sum, epoch, same := int64(0), members[0].epoch.Load(), true
		for _, m := range members {
			sum += m.has.Load()
			same = same && m.epoch.Load() == epoch && m.has.Load() >= int64(g.total)/int64(len(members))
		}
		if same && epoch > 0 && sum == int64(g.total) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d partitions have an owner, epochs %v: %w", sum, g.total, epochs(members), ctx.Err())
		}
	}
}

// epochs counts the members at each epoch.
func epochs(members []*member) map[int32]int {
	n := map[int32]int{}
	for _, m := range members {
		n[m.epoch.Load()]++
	}
	return n
}

// member is one member on its own connection.
type member struct {
	*crowd
	name  string
	conn  *bare.Conn
	leave chan struct{}
	id    string
	epoch atomic.Int32 // or generation
	has   atomic.Int64 // partitions
}

func (m *member) live(ctx context.Context) error {
	if m.protocol == "consumer" {
		return m.liveConsumer(ctx)
	}
	return m.liveClassic(ctx)
}

// rest waits for the next heartbeat; it says whether the member goes on.
func (m *member) rest(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-m.leave:
		return false
	case <-time.After(m.beatEvery):
		return true
	}
}

func (m *member) liveConsumer(ctx context.Context) error {
	var owned []int32
	var topic [16]byte
	for first := true; ; first = false {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, m.group, m.name, m.epoch.Load()
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		if first {
			req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 60_000, []string{m.topic}
		} else if len(owned) > 0 {
			t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
			t.TopicID, t.Partitions = topic, owned
			req.Topics = append(req.Topics, t)
		}
		answer, err := m.conn.Ask(req)
		if err != nil {
			return err
		}
		resp := answer.(*kmsg.ConsumerGroupHeartbeatResponse)
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return err
		}
		if resp.Assignment != nil {
			owned = nil
			for _, t := range resp.Assignment.Topics {
				topic, owned = t.TopicID, t.Partitions
			}
			m.has.Store(int64(len(owned)))
		}
		m.epoch.Store(resp.MemberEpoch)
		if m.rest(ctx) {
			continue
		}
		req = kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, m.group, m.name, -1
		_, err = m.conn.Ask(req)
		return err
	}
}

func (m *member) liveClassic(ctx context.Context) error {
	for {
		again, err := m.generation(ctx)
		if err != nil || !again {
			return err
		}
	}
}

// generation joins, syncs and heartbeats until the next rebalance.
func (m *member) generation(ctx context.Context) (again bool, err error) {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics, meta.Generation = 3, []string{m.topic}, -1
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.MemberID, join.ProtocolType = 9, m.group, m.id, "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 45_000, 60_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", meta.AppendTo(nil)
	join.Protocols = append(join.Protocols, p)
	answer, err := m.conn.Ask(join)
	if err != nil {
		return false, err
	}
	joined := answer.(*kmsg.JoinGroupResponse)
	switch err := kerr.ErrorForCode(joined.ErrorCode); err {
	case nil:
	case kerr.MemberIDRequired:
		m.id = joined.MemberID
		return true, nil
	default:
		return false, err
	}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Version, sync.Group, sync.MemberID, sync.Generation = 5, m.group, m.id, joined.Generation
	sync.ProtocolType, sync.Protocol = joined.ProtocolType, joined.Protocol
	if joined.LeaderID == m.id {
		sync.GroupAssignment = m.assign(joined.Members)
	}
	if answer, err = m.conn.Ask(sync); err != nil {
		return false, err
	}
	synced := answer.(*kmsg.SyncGroupResponse)
	if synced.ErrorCode == kerr.RebalanceInProgress.Code {
		return true, nil
	}
	if err := kerr.ErrorForCode(synced.ErrorCode); err != nil {
		return false, err
	}
	of := kmsg.NewConsumerMemberAssignment()
	if err := of.ReadFrom(synced.MemberAssignment); err != nil {
		return false, err
	}
	n := 0
	for _, t := range of.Topics {
		n += len(t.Partitions)
	}
	m.has.Store(int64(n))
	m.epoch.Store(joined.Generation)
	return m.heartbeats(ctx, joined.Generation)
}

func (m *member) heartbeats(ctx context.Context, generation int32) (again bool, err error) {
	for m.rest(ctx) {
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Version, beat.Group, beat.MemberID, beat.Generation = 4, m.group, m.id, generation
		answer, err := m.conn.Ask(beat)
		if err != nil {
			return false, err
		}
		switch err := kerr.ErrorForCode(answer.(*kmsg.HeartbeatResponse).ErrorCode); err {
		case nil:
		case kerr.RebalanceInProgress:
			return true, nil
		default:
			return false, err
		}
	}
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Version, leave.Group = 5, m.group
	l := kmsg.NewLeaveGroupRequestMember()
	l.MemberID = m.id
	leave.Members = append(leave.Members, l)
	_, err = m.conn.Ask(leave)
	return false, err
}

// assign deals the partitions out.
func (m *member) assign(members []kmsg.JoinGroupResponseMember) []kmsg.SyncGroupRequestGroupAssignment {
	var all []kmsg.SyncGroupRequestGroupAssignment
	for i, to := range members {
		t := kmsg.NewConsumerMemberAssignmentTopic()
		t.Topic = m.topic
		for p := int32(i); p < m.total; p += int32(len(members)) {
			t.Partitions = append(t.Partitions, p)
		}
		of := kmsg.NewConsumerMemberAssignment()
		of.Version, of.Topics = 3, append(of.Topics, t)
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = to.MemberID, of.AppendTo(nil)
		all = append(all, a)
	}
	return all
}

// coordinator waits until the groups of a server can be asked for, which makes Apache Kafka create
// its topic of them.
func coordinator(addr, group, topic string) error {
	c, err := bare.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKeys = 4, []string{group}
	for deadline := time.Now().Add(waitAtMost); ; time.Sleep(10 * time.Millisecond) {
		answer, err := c.Ask(find)
		if err != nil {
			return err
		}
		err = kerr.ErrorForCode(answer.(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode)
		if err == nil {
			err = commit(c, commitOf(group, topic, 0))
		}
		if err == nil || !kerr.IsRetriable(err) || time.Now().After(deadline) {
			return err
		}
	}
}

func commitOf(group, topic string, at int64) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = at
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func commit(c *bare.Conn, req *kmsg.OffsetCommitRequest) error {
	answer, err := c.Ask(req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(answer.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
}

// commits is one offset per request, each connection a group of its own that waits for its answer.
func commits(d time.Duration) turns.Scenario {
	sc := turns.Scenario{
		Name: "group-commits", Doc: fmt.Sprintf("Offset commits of one partition by %d groups without members, each on a connection of its own "+
			"and waiting for its answer.", committers),
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		if err := bare.CreateTopic(t.Addr, sc.Name, 1); err != nil {
			return err
		}
		run := func() (int64, error) {
			var n atomic.Int64
			errs := make(chan error, committers)
			end := time.Now().Add(d)
			for i := range committers {
				go func() { errs <- commitUntil(t.Addr, fmt.Sprint("g", i), sc.Name, end, &n) }()
			}
			var first error
			for range committers {
				if err := <-errs; err != nil && first == nil {
					first = err
				}
			}
			return n.Load(), first
		}
		if _, err := run(); err != nil { // warm
			return err
		}
		var n int64
		u, err := t.Measure(func() (err error) {
			n, err = run()
			return err
		})
		if err != nil {
			return err
		}
		t.Record("commits/s", float64(n)/u.Elapsed.Seconds())
		t.Record("CPU µs/commit", float64(u.CPU.Microseconds())/float64(n))
		return ctx.Err()
	}
	return sc
}

func commitUntil(addr, group, topic string, end time.Time, n *atomic.Int64) error {
	if err := coordinator(addr, group, topic); err != nil {
		return err
	}
	c, err := bare.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for at := int64(1); time.Now().Before(end); at++ {
		if err := commit(c, commitOf(group, topic, at)); err != nil {
			return err
		}
		n.Add(1)
	}
	return nil
}
