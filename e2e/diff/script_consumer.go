package diff

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// heartbeat is a ConsumerGroupHeartbeat without anything that has not changed.
func heartbeat(group, member string, epoch int32, change func(*kmsg.ConsumerGroupHeartbeatRequest)) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	if change != nil {
		change(req)
	}
	return req
}

// joining makes a heartbeat a join.
func joining(topics ...string) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 30_000, topics
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
}

// having says which partitions of "diff" the member has.
func having(s *session, partitions ...int32) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		if len(partitions) > 0 {
			t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
			t.TopicID, t.Partitions = s.topicID, partitions
			req.Topics = append(req.Topics, t)
		}
	}
}

func both(changes ...func(*kmsg.ConsumerGroupHeartbeatRequest)) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) {
		for _, change := range changes {
			change(req)
		}
	}
}

func instance(name string) func(*kmsg.ConsumerGroupHeartbeatRequest) {
	return func(req *kmsg.ConsumerGroupHeartbeatRequest) { req.InstanceID = &name }
}

// consumerSteps run at one version of heartbeat and describe, on groups of that version's own. Their order matters.
func consumerSteps(v int16) []step {
	named := func(name string) string { return fmt.Sprintf("%s-v%d", name, v) }
	var steps []step
	add := func(name string, ask func(s *session) kmsg.Request) {
		steps = append(steps, step{name: name, ask: func(s *session, _ int16) kmsg.Request { return ask(s) }})
	}
	beat := func(name, group, member string, epoch int32, changes ...func(*kmsg.ConsumerGroupHeartbeatRequest)) {
		add(name, func(*session) kmsg.Request { return at(heartbeat(named(group), member, epoch, both(changes...)), v) })
	}
	refusals(beat)
	lifeOfTwo(named, beat, add, v)
	statics(named, beat, add, v)
	migrations(named, beat, add, v)
	groupConfigs(named, add)
	intervals(named, beat, add, v)
	return steps
}

type beating func(name, group, member string, epoch int32, changes ...func(*kmsg.ConsumerGroupHeartbeatRequest))

type adding func(name string, ask func(s *session) kmsg.Request)

// refusals are heartbeats that make no sense.
func refusals(beat beating) {
	set := func(change func(*kmsg.ConsumerGroupHeartbeatRequest)) func(*kmsg.ConsumerGroupHeartbeatRequest) {
		return change
	}
	beat("join without a group id, the version in its place", "", "a", 0, joining("diff"), set(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = "" }))
	beat("join without a rebalance timeout", "r", "a", 0, joining("diff"), set(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 }))
	beat("join without a subscription", "r", "a", 0, joining(), set(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = nil }))
	beat("join without partitions", "r", "a", 0, joining("diff"), set(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Topics = nil }))
	beat("join with an empty instance", "r", "a", 0, joining("diff"), instance(""))
	beat("join with an empty rack", "r", "a", 0, joining("diff"), set(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RackID = ptr("") }))
	beat("join with an unknown assignor", "r", "a", 0, joining("diff"), set(func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = ptr("mine") }))
	beat("heartbeat without a member id", "r", "", 3)
	beat("heartbeat at epoch -3", "r", "a", -3)
	beat("heartbeat of an unknown group", "r", "a", 3)
	beat("leave an unknown group", "r", "a", -1)
	beat("leave for a while without an instance", "r", "a", -2)
	beat("join with a bad regular expression", "r", "a", 0, joining(), set(func(r *kmsg.ConsumerGroupHeartbeatRequest) {
		r.SubscribedTopicNames, r.SubscribedTopicRegex = nil, ptr("(")
	}))
}

// lifeOfTwo is a group of two members: they join, share, commit, are fenced and leave.
func lifeOfTwo(named func(string) string, beat beating, add adding, v int16) {
	g := named("two")
	describe := func(name string, groups ...string) {
		add(name, func(*session) kmsg.Request {
			req := kmsg.NewPtrConsumerGroupDescribeRequest()
			req.Groups = groups
			return at(req, v)
		})
	}
	held := func(partitions ...int32) func(name, group, member string, epoch int32) {
		return func(name, group, member string, epoch int32) {
			add(name, func(s *session) kmsg.Request {
				return at(heartbeat(named(group), member, epoch, having(s, partitions...)), v)
			})
		}
	}
	beat("join", "two", "a", 0, joining("diff"))
	beat("heartbeat", "two", "a", 2)
	beat("join again", "two", "a", 0, joining("diff"))
	beat("heartbeat with a greater epoch", "two", "a", 7)
	beat("heartbeat of an unknown member", "two", "z", 2)
	held(0, 1, 2, 3)("heartbeat with all", "two", "a", 2)
	beat("heartbeat with a smaller epoch", "two", "a", 1)
	describe("describe one", g)
	describe("describe a group that is not there", named("nowhere"))
	describe("describe a group without a name", "")
	beat("join of a second member", "two", "b", 0, joining("diff"))
	beat("heartbeat of the second while it waits", "two", "b", 3)
	beat("the first is told to give up", "two", "a", 2)
	describe("describe while partitions move", g)
	held()("the first gave all up", "two", "a", 2)
	beat("the second gets its partitions", "two", "b", 3)
	describe("describe two", g)
	held(0, 1)("a heartbeat of the epoch before with too much", "two", "b", 2)
	commit := func(name, member string, epoch int32, version int16) {
		add(name, func(s *session) kmsg.Request {
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Group, req.MemberID, req.Generation = g, member, epoch
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic, t.TopicID = "diff", s.topicID
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Offset = 3
			t.Partitions = append(t.Partitions, p)
			req.Topics = append(req.Topics, t)
			return at(req, version)
		})
	}
	commit("commit with the member's epoch", "a", 3, 9)
	commit("commit with a greater epoch", "a", 9, 9)
	commit("commit with the epoch before", "a", 2, 9)
	commit("commit with epoch 0", "a", 0, 9)
	commit("commit of an unknown member", "z", 2, 9)
	commit("commit of nobody in a group with members", "", -1, 9)
	commit("commit at a version before the protocol", "a", 3, 8)
	commit("commit by topic id", "a", 3, 10)
	for _, f := range []struct {
		name   string
		member *string
		epoch  int32
	}{
		{"fetch of nobody", nil, -1}, {"fetch with the member's epoch", ptr("a"), 3}, {"fetch with another epoch", ptr("a"), 1},
		{"fetch of an unknown member", ptr("z"), 2},
	} {
		add(f.name, func(*session) kmsg.Request {
			req := kmsg.NewPtrOffsetFetchRequest()
			one := kmsg.NewOffsetFetchRequestGroup()
			one.Group, one.MemberID, one.MemberEpoch = g, f.member, f.epoch
			t := kmsg.NewOffsetFetchRequestGroupTopic()
			t.Topic, t.Partitions = "diff", []int32{0, 1}
			one.Topics = append(one.Topics, t)
			req.Groups = append(req.Groups, one)
			return at(req, 9)
		})
	}
	admin(named, add, g)
	beat("subscribe to another topic as well", "two", "a", 3, func(r *kmsg.ConsumerGroupHeartbeatRequest) {
		r.SubscribedTopicNames = []string{"other", "diff"}
	})
	beat("the second leaves", "two", "b", -1)
	beat("leave again", "two", "b", -1)
	beat("the first leaves", "two", "a", -1)
	describe("describe the empty group", g)
	add("delete the empty group", func(*session) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{g}
		return at(req, 2)
	})
}

// admin asks for a consumer group what is asked for groups in general.
func admin(named func(string) string, add adding, g string) {
	add("list", func(*session) kmsg.Request {
		req := kmsg.NewPtrListGroupsRequest()
		req.TypesFilter, req.StatesFilter = []string{"consumer"}, []string{"stable"}
		return at(req, 5)
	})
	add("classic describe of a consumer group", func(*session) kmsg.Request {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{g}
		return at(req, 6)
	})
	add("delete with members", func(*session) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{g}
		return at(req, 2)
	})
	add("delete offsets of a topic that is read", func(*session) kmsg.Request {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = g
		t := kmsg.NewOffsetDeleteRequestTopic()
		p := kmsg.NewOffsetDeleteRequestTopicPartition()
		t.Topic, t.Partitions = "diff", append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	})
	add("classic heartbeat of a consumer's member", func(*session) kmsg.Request {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = g, "a", 3
		return at(req, 4)
	})
}

// statics is a static member that leaves for a while, comes back, and is claimed by another.
func statics(named func(string) string, beat beating, add adding, v int16) {
	beat("static join", "static", "a", 0, joining("diff"), instance("i"))
	beat("static heartbeat", "static", "a", 2, instance("i"))
	beat("join with an instance in use", "static", "b", 0, joining("diff"), instance("i"))
	beat("heartbeat with an instance of another", "static", "b", 2, instance("i"))
	beat("heartbeat with an unknown instance", "static", "a", 2, instance("j"))
	beat("leave for a while", "static", "a", -2, instance("i"))
	beat("come back", "static", "b", 0, joining("diff"), instance("i"))
	beat("heartbeat of the one that is gone", "static", "a", 2, instance("i"))
	beat("heartbeat after coming back", "static", "b", 2, instance("i"))
	add("remove by instance", func(*session) kmsg.Request {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = named("static")
		m := kmsg.NewLeaveGroupRequestMember()
		m.InstanceID = ptr("i")
		req.Members = append(req.Members, m)
		return at(req, 5)
	})
	beat("heartbeat after removal", "static", "b", 2, instance("i"))
}

// migrations are groups that go from one protocol to the other.
func migrations(named func(string) string, beat beating, add adding, v int16) {
	g := named("moves")
	join := func(name string, member func(*session) string) {
		add(name, func(s *session) kmsg.Request {
			req := kmsg.NewPtrJoinGroupRequest()
			req.Group, req.MemberID, req.ProtocolType = g, member(s), "consumer"
			req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 45_000, 30_000
			meta := kmsg.NewConsumerMemberMetadata()
			meta.Version, meta.Generation, meta.Topics = 3, -1, []string{"diff"}
			p := kmsg.NewJoinGroupRequestProtocol()
			p.Name, p.Metadata = "range", meta.AppendTo(nil)
			req.Protocols = append(req.Protocols, p)
			return at(req, 9)
		})
	}
	nobody := func(*session) string { return "" }
	latest := func(s *session) string { return s.member }
	sync := func(name string, generation int32, assign bool) {
		add(name, func(s *session) kmsg.Request {
			req := kmsg.NewPtrSyncGroupRequest()
			req.Group, req.MemberID, req.Generation = g, s.member, generation
			req.ProtocolType, req.Protocol = ptr("consumer"), ptr("range")
			if assign {
				of := kmsg.NewConsumerMemberAssignment()
				t := kmsg.NewConsumerMemberAssignmentTopic()
				t.Topic, t.Partitions = "diff", []int32{0, 1, 2, 3}
				of.Version, of.Topics = 3, append(of.Topics, t)
				a := kmsg.NewSyncGroupRequestGroupAssignment()
				a.MemberID, a.MemberAssignment = s.member, of.AppendTo(nil)
				req.GroupAssignment = append(req.GroupAssignment, a)
			}
			return at(req, 5)
		})
	}
	classicBeat := func(name string, generation int32) {
		add(name, func(s *session) kmsg.Request {
			req := kmsg.NewPtrHeartbeatRequest()
			req.Group, req.MemberID, req.Generation = g, s.member, generation
			return at(req, 4)
		})
	}
	join("classic join", nobody)
	join("classic join with its id", latest)
	sync("classic sync", 1, true)
	beat("heartbeat of a classic group", "moves", "c", 1)
	add("describe a classic group as a consumer group", func(*session) kmsg.Request {
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Groups = []string{g}
		return at(req, v)
	})
	beat("a consumer joins the classic group", "moves", "c", 0, joining("diff"))
	add("describe the mixed group", func(*session) kmsg.Request {
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Groups = []string{g}
		return at(req, v)
	})
	classicBeat("the classic member is told to join", 1)
	join("it joins having given all up", latest)
	sync("it gets its share", 2, false)
	classicBeat("it is fine", 2)
	classicBeat("a heartbeat of an old generation", 1)
	beat("the consumer gets its share", "moves", "c", 2)
	beat("the consumer leaves and the group is classic again", "moves", "c", -1)
	add("describe the classic group", func(*session) kmsg.Request {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{g}
		return at(req, 5)
	})
	classicBeat("the classic member is told to join again", 2)
	join("it joins the classic group", latest)
	sync("it leads", 3, true)
	classicBeat("it is fine again", 3)
}
