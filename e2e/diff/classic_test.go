package diff

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/e2e/harness"
)

// TestClassicGroupAnswersAreKafkas runs the life of a member, of a static one and of a simple consumer at every version of
// the requests of the classic protocol that both serve.
func TestClassicGroupAnswersAreKafkas(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	kafka, other := open(t, harness.Kafka), open(t, harness.Target())
	versions := served(ctx, t, kafka)
	for _, s := range []*session{kafka, other} {
		find := kmsg.NewPtrFindCoordinatorRequest()
		find.CoordinatorKey = "g"
		for _, req := range []kmsg.Request{at(create("diff", 4, false), 5), at(describeDiff(), 12), at(find, 3)} {
			if got := outcome(ctx, s, req); got["outcome"] != "" {
				t.Fatal(got)
			}
		}
	}
	used := map[string]bool{}
	compared := 0
	join := versions[kmsg.JoinGroup.Int16()]
	for v := join[0]; v <= join[1]; v++ {
		c := classic{v: v, group: fmt.Sprint("classic-", v), versions: versions}
		for _, st := range c.steps() {
			a, b := st.ask(kafka, v), st.ask(other, v)
			compare(t, fmt.Sprintf("%s v%d", st.name, v), st.name, [2]map[string]string{outcome(ctx, kafka, a), outcome(ctx, other, b)}, used)
			compared++
		}
	}
	t.Logf("%d answers compared", compared)
}

// classic is the script of one version of JoinGroup; the other requests go with it.
type classic struct {
	v        int16
	group    string
	versions map[int16][2]int16
	list     []step
}

// version is that of another request in the same place of its range.
func (c *classic) version(req kmsg.Request) kmsg.Request {
	limits := c.versions[req.Key()]
	return at(req, max(limits[0], min(c.v, limits[1], req.MaxVersion())))
}

func (c *classic) add(name string, ask func(s *session) kmsg.Request) {
	c.list = append(c.list, step{name: name, ask: func(s *session, _ int16) kmsg.Request { return c.version(ask(s)) }})
}

func (c *classic) steps() []step {
	c.member()
	if c.v >= 5 {
		c.static()
	}
	c.simple()
	return c.list
}

func (c *classic) join(name, group string, known bool, instance *string) {
	c.add(name, func(s *session) kmsg.Request {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.ProtocolType, req.InstanceID, req.Reason = group, "consumer", instance, ptr("because")
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 30_000, 30_000
		if known {
			req.MemberID = s.member
		}
		meta := kmsg.NewConsumerMemberMetadata()
		meta.Version, meta.Generation, meta.Topics = 3, -1, []string{"diff"}
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "mine", Metadata: meta.AppendTo(nil)}, {Name: "range", Metadata: meta.AppendTo(nil)}}
		return req
	})
}

func (c *classic) sync(name, group string, generation int32, instance *string, change func(*kmsg.SyncGroupRequest)) {
	c.add(name, func(s *session) kmsg.Request {
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = group, s.member, generation, instance
		req.ProtocolType, req.Protocol = ptr("consumer"), ptr("mine")
		req.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: s.member, MemberAssignment: []byte{1, 2, 3}}}
		if change != nil {
			change(req)
		}
		return req
	})
}

func (c *classic) beat(name, group string, generation int32, instance *string, id func(*session) string) {
	c.add(name, func(s *session) kmsg.Request {
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = group, id(s), generation, instance
		return req
	})
}

func (c *classic) commit(name, group string, generation int32, instance *string, id func(*session) string, metadata string) {
	c.add(name, func(s *session) kmsg.Request {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation, req.InstanceID = group, id(s), generation, instance
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = "diff", s.topicID
		for i := range int32(2) {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = i, int64(7+i), 3, &metadata
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
		return req
	})
}

func (c *classic) fetch(name, group string, stable, all bool) {
	c.add(name, func(s *session) kmsg.Request {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group, req.RequireStable = group, stable
		one := kmsg.NewOffsetFetchRequestGroup()
		one.Group = group
		if !all {
			req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "diff", Partitions: []int32{0, 1, 3, 9}}}
			one.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: "diff", TopicID: s.topicID, Partitions: []int32{0, 1, 3, 9}}}
		}
		other := kmsg.NewOffsetFetchRequestGroup()
		other.Group = "nowhere"
		req.Groups = []kmsg.OffsetFetchRequestGroup{one, other}
		return req
	})
}

// shown asks for what admins see of a group.
func (c *classic) shown(when, group, state string) {
	c.add("describe "+when, func(*session) kmsg.Request {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{group, "nowhere"}
		return req
	})
	for _, f := range []struct{ states, types []string }{{[]string{state}, nil}, {[]string{strings.ToUpper(state), "dead"}, []string{"CLASSIC"}}, {nil, []string{"nonsense"}}} {
		c.list = append(c.list, step{name: fmt.Sprint("list ", when, " ", f), ask: func(*session, int16) kmsg.Request {
			req := kmsg.NewPtrListGroupsRequest()
			req.StatesFilter, req.TypesFilter = f.states, f.types
			return at(req, 5)
		}})
	}
	c.add("delete "+when, func(*session) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{group, "nowhere"}
		return req
	})
}

func (c *classic) deleteOffsets(name, group string) {
	c.add(name, func(*session) kmsg.Request {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		req.Topics = []kmsg.OffsetDeleteRequestTopic{{Topic: "diff", Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 1}, {Partition: 3}}}}
		return req
	})
}

func itself(s *session) string { return s.member }

func named(id string) func(*session) string { return func(*session) string { return id } }

func (c *classic) leave(name, group string, members ...func(*session) kmsg.LeaveGroupRequestMember) {
	c.add(name, func(s *session) kmsg.Request {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group, req.MemberID = group, s.member
		for _, m := range members {
			req.Members = append(req.Members, m(s))
		}
		return req
	})
}

func leaver(id func(*session) string, instance *string) func(*session) kmsg.LeaveGroupRequestMember {
	return func(s *session) kmsg.LeaveGroupRequestMember {
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID, m.InstanceID, m.Reason = id(s), instance, ptr("done")
		return m
	}
}

// member joins, is checked in all it says, joins anew and leaves.
func (c *classic) member() {
	g := c.group
	c.join("join", g, false, nil)
	if c.v >= 4 {
		c.join("join with the id", g, true, nil)
	}
	c.sync("sync of another generation", g, 9, nil, nil)
	c.sync("sync for another protocol", g, 1, nil, func(r *kmsg.SyncGroupRequest) { r.Protocol = ptr("range") })
	c.sync("sync of another type", g, 1, nil, func(r *kmsg.SyncGroupRequest) { r.ProtocolType = ptr("connect") })
	c.sync("sync without a protocol", g, 1, nil, func(r *kmsg.SyncGroupRequest) { r.Protocol, r.ProtocolType = nil, nil })
	c.commit("commit before the sync", g, 1, nil, itself, "")
	c.sync("sync", g, 1, nil, nil)
	c.sync("sync again", g, 1, nil, nil)
	c.join("join of the leader again", g, true, nil)
	c.beat("heartbeat of the generation before", g, 1, nil, itself)
	c.sync("sync of the next generation", g, 2, nil, nil)
	c.beat("heartbeat", g, 2, nil, itself)
	c.beat("heartbeat of a later generation", g, 3, nil, itself)
	c.beat("heartbeat of generation -1", g, -1, nil, itself)
	c.beat("heartbeat of a stranger", g, 2, nil, named("stranger"))
	c.beat("heartbeat of nobody", g, 2, nil, named(""))
	c.beat("heartbeat of no group", "", 2, nil, itself)
	c.beat("heartbeat with an unknown instance", g, 2, ptr("i"), itself)
	c.commit("commit", g, 2, nil, itself, "text")
	c.commit("commit of another generation", g, 1, nil, itself, "")
	c.commit("commit of a stranger", g, 2, nil, named("stranger"), "")
	c.commit("commit of nobody", g, -1, nil, named(""), "")
	c.commit("commit with much text", g, 2, nil, itself, strings.Repeat("x", 4097))
	c.fetch("fetch", g, true, false)
	c.fetch("fetch all", g, false, true)
	c.deleteOffsets("delete offsets of what is read", g)
	c.shown("with a member", g, "Stable")
	c.leave("leave", g, leaver(named("stranger"), nil), leaver(itself, ptr("i")), leaver(itself, nil), leaver(itself, nil))
	c.leave("leave again", g, leaver(itself, nil))
	c.beat("heartbeat after leaving", g, 2, nil, itself)
	c.deleteOffsets("delete offsets", g)
	c.fetch("fetch what is left", g, true, false)
	c.shown("without members", g, "Empty")
}

// static joins by its instance, is taken over and fenced, and is removed by an admin.
func (c *classic) static() {
	g, i := c.group+"-static", ptr("i")
	c.join("static join", g, false, i)
	c.sync("static sync", g, 1, i, nil)
	c.beat("static heartbeat", g, 1, i, itself)
	c.join("static join of the next incarnation", g, false, i)
	c.beat("static heartbeat of nobody", g, 1, i, named("gone"))
	c.beat("static heartbeat of the next", g, 1, i, itself)
	c.sync("static sync of the one that is gone", g, 1, i, func(r *kmsg.SyncGroupRequest) { r.MemberID = "gone" })
	c.sync("static sync of the next", g, 1, i, nil)
	c.commit("static commit", g, 1, i, itself, "")
	c.commit("static commit of the one that is gone", g, 1, i, named("gone"), "")
	c.shown("with a static member", g, "Stable")
	c.leave("leave of the one that is gone", g, leaver(named("gone"), i))
	c.leave("leave by instances", g, leaver(named(""), i), leaver(named(""), ptr("j")))
	c.beat("static heartbeat after removal", g, 1, i, itself)
	c.shown("after removal", g, "Empty")
}

// simple only commits.
func (c *classic) simple() {
	g := c.group + "-simple"
	c.commit("simple commit of a generation", g, 1, nil, named(""), "")
	c.commit("simple commit", g, -1, nil, named(""), "text")
	c.commit("simple commit under a name", g, -1, nil, named("me"), "text")
	c.commit("simple commit of a generation once it is there", g, 1, nil, named(""), "")
	c.commit("simple commit of a generation under a name", g, 1, nil, named("me"), "")
	c.fetch("simple fetch", g, true, false)
	c.shown("a simple group", g, "Empty")
	c.deleteOffsets("delete offsets of a group that is not there", g)
}
