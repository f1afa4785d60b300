package groups

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/bench/bare"
	"kelp/bench/turns"
)

// What members cost who have their partitions and just heartbeat, in memory that is resident. All of
// it is measured after they have been idle for a while, as a server may hold on to what it needed
// while they came.
const (
	idleFor       = 30 * time.Second
	idleSamples   = 10 // of resident memory, one a second, in the end; the median counts
	idleBeatEvery = 3 * time.Second
	warmMembers   = 20
)

// idleState is members of the consumer protocol over few connections: what a member costs apart from
// its connection.
func idleState() turns.Scenario {
	const groups, each = 20, 250
	sc := turns.Scenario{
		Name: "group-idle", Doc: fmt.Sprintf("%d members of the consumer protocol in %d groups, over %d connections, heartbeat every %v: what the "+
			"server has grown by after %v, in memory that is resident.", groups*each, groups, groups, idleBeatEvery, idleFor),
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		return grown(ctx, t, ofIdle{sc.Name, each, groups * each, "consumer"}, func(ctx context.Context, in *sync.WaitGroup, fail func(error)) {
			for g := range groups {
				in.Add(1)
				go func() { fail(crowdOnOne(ctx, t.Addr, fmt.Sprint("idle", g), sc.Name, each, in)) }()
			}
		})
	}
	return sc
}

// idle is members each on a connection of its own, as clients are.
func idle(protocol string) turns.Scenario {
	const groups, each = 20, 200
	sc := turns.Scenario{
		Name: "group-idle-" + protocol, Doc: fmt.Sprintf("%d members of the %s protocol in %d groups, each on a connection of its own, heartbeat "+
			"every %v: what the server has grown by after %v, in memory that is resident.", groups*each, protocol, groups, idleBeatEvery, idleFor),
	}
	sc.Run = func(ctx context.Context, t *turns.Turn) error {
		return grown(ctx, t, ofIdle{sc.Name, each, groups * each, protocol}, func(ctx context.Context, in *sync.WaitGroup, fail func(error)) {
			for n := range groups {
				g := &crowd{group: fmt.Sprint("idle", n), topic: sc.Name, total: each, protocol: protocol, beatEvery: idleBeatEvery}
				for i := range each {
					g.members = append(g.members, &member{crowd: g, name: fmt.Sprintf("member-%06d-with-an-id-of-36-bytes", i), leave: make(chan struct{})})
				}
				in.Add(1)
				go func() {
					defer in.Done()
					fail(g.settle(ctx, t.Addr, fail))
				}()
			}
		})
	}
	return sc
}

// settle lets all members of a crowd join and returns when they have their partitions; they go on.
func (g *crowd) settle(ctx context.Context, addr string, fail func(error)) error {
	for _, m := range g.members {
		c, err := bare.Dial(addr)
		if err != nil {
			return err
		}
		m.conn = c
		go func() {
			defer c.Close()
			if err := m.live(ctx); err != nil {
				g.fail(err)
				fail(err)
			}
		}()
	}
	return g.wait(ctx, g.members)
}

// ofIdle is what a load of idle members is made of.
type ofIdle struct {
	topic      string
	partitions int32
	members    int
	protocol   string
}

// grown measures by how much a server has grown once members were idle for a while. enter lets them
// in: it adds to in what must be done before they are idle. A small group comes and goes first, so that what
// any first group costs is not put down to the members.
func grown(ctx context.Context, t *turns.Turn, of ofIdle, enter func(ctx context.Context, in *sync.WaitGroup, fail func(error))) error {
	if err := bare.CreateTopic(t.Addr, of.topic, of.partitions); err != nil {
		return err
	}
	if err := coordinator(t.Addr, "warm", of.topic); err != nil {
		return err
	}
	if _, _, err := cycle(ctx, t.Addr, of.protocol, "warm", of.topic, warmMembers, of.partitions); err != nil {
		return fmt.Errorf("warm: %w", err)
	}
	time.Sleep(idleFor / 2)
	before, err := t.Process.Resident()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, waitAtMost+idleFor)
	defer cancel()
	failed := make(chan error, 1)
	var in sync.WaitGroup
	enter(ctx, &in, func(err error) {
		if err != nil && ctx.Err() == nil {
			select {
			case failed <- err:
			default:
			}
		}
	})
	in.Wait()
	var samples []int64
	for wait := idleFor - idleSamples*time.Second; len(samples) < idleSamples; wait = time.Second {
		select {
		case err := <-failed:
			return err
		case <-time.After(wait):
		}
		now, err := t.Process.Resident()
		if err != nil {
			return err
		}
		samples = append(samples, now)
	}
	slices.Sort(samples)
	after := samples[len(samples)/2]
	t.Record("MB per 1000 members", float64(after-before)/1e6/(float64(of.members)/1000))
	t.Record("MB in all", float64(after)/1e6)
	return nil
}

// crowdOnOne lets members join over one connection and heartbeat until the end.
func crowdOnOne(ctx context.Context, addr, group, topic string, n int, in *sync.WaitGroup) error {
	joined := sync.OnceFunc(in.Done)
	defer joined()
	c, err := bare.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	epochs := make([]int32, n)
	for round := 0; ; round++ {
		for i := range n {
			req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, group, fmt.Sprintf("member-%06d-with-an-id-of-36-bytes", i), epochs[i]
			if round == 0 {
				req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 300_000, []string{topic}
				req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			}
			answer, err := c.Ask(req)
			if err != nil {
				return err
			}
			resp := answer.(*kmsg.ConsumerGroupHeartbeatResponse)
			if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
				return err
			}
			epochs[i] = resp.MemberEpoch
		}
		if round < 3 { // members reach their partitions
			continue
		}
		joined()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(idleBeatEvery):
		}
	}
}
