package group

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// act is a client's next request. One that waits for too long asks again.
func (w *walk) act(c *walker) {
	if c.pending != 0 {
		if w.now.Sub(c.asked) < 40*time.Second {
			return
		}
		delete(w.waiting, c.pending)
		c.pending = 0
	}
	if w.now.Sub(c.heard) > walkSession { // it knows that its session is over
		w.drop(c)
		c.state = "join"
	}
	switch {
	case c.consumer:
		w.beat(c)
	case c.state == "join":
		w.join(c)
	case c.state == "sync":
		w.sync(c)
	case c.leader && c.saw != w.cluster: // the leader watches the topics
		w.drop(c)
		c.state = "join"
		w.join(c)
	case w.rng.IntN(3) == 0:
		w.commit(c)
	default:
		req := kmsg.NewPtrHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.Generation, req.InstanceID = 4, "g", c.id, c.epoch, c.instance
		w.step(c, func(in statelog.Input) statelog.Effects { return w.m.Heartbeat(in, req) })
	}
}

func (w *walk) join(c *walker) {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID = 9, "g", c.id, c.instance
	req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = "consumer", int32(walkSession.Milliseconds()), 30_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", subscription("t,u", nil)
	req.Protocols = append(req.Protocols, p)
	w.step(c, func(in statelog.Input) statelog.Effects { return w.m.JoinGroup(in, Client{ID: c.name}, req) })
}

func (w *walk) sync(c *walker) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation, req.InstanceID = 5, "g", c.id, c.epoch, c.instance
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	if c.leader {
		c.saw = w.cluster
		of := map[string]map[string][]int32{}
		n := 0
		for _, name := range slices.Sorted(maps.Keys(w.cluster.byName)) {
			for i := range w.cluster.byName[name].Partitions {
				to := c.members[n%len(c.members)].MemberID
				n++
				if of[to] == nil {
					of[to] = map[string][]int32{}
				}
				of[to][name] = append(of[to][name], i)
			}
		}
		for _, mb := range c.members {
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = mb.MemberID, encoded(of[mb.MemberID])
			req.GroupAssignment = append(req.GroupAssignment, a)
		}
	}
	w.step(c, func(in statelog.Input) statelog.Effects { return w.m.SyncGroup(in, req) })
}

func (w *walk) beat(c *walker) {
	if c.state == "fine" && !c.full && w.rng.IntN(3) == 0 {
		w.commit(c)
		return
	}
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = 1, "g", c.id, c.epoch, c.instance
	if c.state == "join" {
		req.MemberEpoch = 0
		w.drop(c)
	}
	if c.state == "join" || c.full {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 30_000, []string{"t", "u"}
	}
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	of := map[string][]int32{}
	for s := range c.has {
		of[s.topic] = append(of[s.topic], s.index)
	}
	for _, name := range slices.Sorted(maps.Keys(of)) {
		t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
		slices.Sort(of[name])
		t.TopicID, t.Partitions = w.cluster.byName[name].ID, of[name]
		req.Topics = append(req.Topics, t)
	}
	c.full = false
	w.step(c, func(in statelog.Input) statelog.Effects {
		return w.m.ConsumerGroupHeartbeat(in, Client{ID: c.name}, req)
	})
}

// commit says that a client has read on. One that was accepted is never behind an earlier one.
func (w *walk) commit(c *walker) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.MemberID, req.Generation, req.InstanceID = 9, "g", c.id, c.epoch, c.instance
	for _, s := range spotsInOrder(c.has) {
		c.at[s]++
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = s.index, c.at[s]
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.Partitions = s.topic, append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
	}
	w.step(c, func(in statelog.Input) statelog.Effects {
		e := w.m.OffsetCommit(in, req)
		resp := e.Replies[0].Response.(*kmsg.OffsetCommitResponse)
		for i, t := range req.Topics {
			s := spot{t.Topic, t.Partitions[0].Partition}
			if resp.Topics[i].Partitions[0].ErrorCode != 0 {
				w.did.refused++
				continue
			}
			w.did.commits++
			if t.Partitions[0].Offset < w.next[s] {
				w.t.Errorf("seed %d: the commit of %s for %v goes back from %d to %d", w.seed, c.name, s, w.next[s], t.Partitions[0].Offset)
			}
			w.next[s] = t.Partitions[0].Offset
		}
		return e
	})
}

func (w *walk) leave(c *walker) {
	w.live = slices.DeleteFunc(w.live, func(other *walker) bool { return other == c })
	w.drop(c)
	if c.consumer {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Version, req.Group, req.MemberID, req.MemberEpoch, req.InstanceID = 1, "g", c.id, -1, c.instance
		if c.instance != nil && w.rng.IntN(2) == 0 {
			req.MemberEpoch = staticLeft
		}
		w.step(nil, func(in statelog.Input) statelog.Effects { return w.m.ConsumerGroupHeartbeat(in, Client{}, req) })
		return
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version, req.Group = 5, "g"
	l := kmsg.NewLeaveGroupRequestMember()
	l.MemberID, l.InstanceID = c.id, c.instance
	req.Members = append(req.Members, l)
	w.step(nil, func(in statelog.Input) statelog.Effects { return w.m.LeaveGroup(in, req) })
}

// heard is a client that gets an answer.
func (w *walk) heard(c *walker, r kmsg.Response) {
	switch r := r.(type) {
	case *kmsg.JoinGroupResponse:
		w.joined(c, r)
	case *kmsg.SyncGroupResponse:
		w.synced(c, r)
	case *kmsg.HeartbeatResponse:
		switch r.ErrorCode {
		case 0:
			c.heard = w.now
		case kerr.RebalanceInProgress.Code:
			c.heard = w.now
			w.drop(c)
			c.state = "join"
		default:
			w.startOver(c)
		}
	case *kmsg.OffsetCommitResponse:
		for _, t := range r.Topics {
			switch t.Partitions[0].ErrorCode {
			case 0, kerr.StaleMemberEpoch.Code:
			case kerr.RebalanceInProgress.Code:
				w.drop(c)
				c.state = "join"
			default:
				w.startOver(c)
				return
			}
		}
	case *kmsg.ConsumerGroupHeartbeatResponse:
		w.led(c, r)
	}
}

func (w *walk) joined(c *walker, r *kmsg.JoinGroupResponse) {
	switch r.ErrorCode {
	case 0:
		c.id, c.epoch, c.heard = r.MemberID, r.Generation, w.now
		c.leader, c.members = r.LeaderID == r.MemberID && !r.SkipAssignment, r.Members
		c.state = "sync"
		w.sync(c)
	case kerr.MemberIDRequired.Code:
		c.id = r.MemberID
		w.join(c)
	case kerr.RebalanceInProgress.Code:
	default:
		w.startOver(c)
	}
}

func (w *walk) synced(c *walker, r *kmsg.SyncGroupResponse) {
	switch r.ErrorCode {
	case 0:
	case kerr.RebalanceInProgress.Code:
		w.drop(c)
		c.state = "join"
		return
	default:
		w.startOver(c)
		return
	}
	c.state, c.heard = "fine", w.now
	a := kmsg.NewConsumerMemberAssignment()
	if len(r.MemberAssignment) > 0 {
		if err := a.ReadFrom(r.MemberAssignment); err != nil {
			w.t.Fatal(err)
		}
	}
	w.drop(c)
	for _, t := range a.Topics {
		for _, index := range t.Partitions {
			w.gain(c, spot{t.Topic, index})
		}
	}
}

func (w *walk) led(c *walker, r *kmsg.ConsumerGroupHeartbeatResponse) {
	switch r.ErrorCode {
	case 0:
	case kerr.UnreleasedInstanceID.Code:
		return // its former self is still there
	default:
		w.startOver(c)
		return
	}
	c.heard, c.epoch, c.state = w.now, r.MemberEpoch, "fine"
	if r.Assignment == nil {
		return
	}
	now := map[spot]bool{}
	for _, t := range r.Assignment.Topics {
		topic, _ := w.cluster.ByID(t.TopicID)
		for _, index := range t.Partitions {
			now[spot{topic.Name, index}] = true
		}
	}
	for s := range c.has {
		if !now[s] {
			delete(c.has, s)
			delete(c.at, s)
		}
	}
	for _, s := range spotsInOrder(now) {
		w.gain(c, s)
	}
}

func spotsInOrder(of map[spot]bool) []spot {
	return slices.SortedFunc(maps.Keys(of), func(a, b spot) int {
		return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.index, b.index))
	})
}
