package group

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// harness runs a machine with a clock of its own and keeps what it answered.
type harness struct {
	m       *Machine
	now     time.Time
	ticket  statelog.Ticket
	ids     byte
	timers  map[string]time.Time
	replies map[statelog.Ticket]kmsg.Response
	log     []statelog.Record
}

func newHarness() *harness {
	o := Defaults()
	o.InitialRebalanceDelay = 0
	return &harness{
		m: New(o), now: time.UnixMilli(1_000_000), timers: map[string]time.Time{}, replies: map[statelog.Ticket]kmsg.Response{},
	}
}

func (h *harness) step(t *testing.T, f func(in statelog.Input) statelog.Effects) statelog.Ticket {
	t.Helper()
	h.ticket++
	in := statelog.Input{Now: h.now, Ticket: h.ticket, NewID: func() [16]byte { h.ids++; return [16]byte{h.ids} }}
	e := f(in)
	for _, r := range e.Records {
		if err := h.m.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	h.log = append(h.log, e.Records...)
	for _, r := range e.Replies {
		if h.replies[r.To] != nil {
			t.Fatalf("ticket %d answered twice", r.To)
		}
		if r.Response != nil {
			h.replies[r.To] = r.Response.(kmsg.Response)
		}
	}
	for _, tm := range e.Timers {
		delete(h.timers, tm.Key)
		if !tm.At.IsZero() {
			h.timers[tm.Key] = tm.At
		}
	}
	return h.ticket
}

func (h *harness) wait(t *testing.T, d time.Duration) {
	t.Helper()
	h.now = h.now.Add(d)
	for key, at := range h.timers {
		if !at.After(h.now) {
			delete(h.timers, key)
			h.step(t, func(in statelog.Input) statelog.Effects { return h.m.Timeout(in, key) })
		}
	}
}

func (h *harness) join(t *testing.T, memberID string) statelog.Ticket {
	t.Helper()
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.ProtocolType = 3, "g", memberID, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 20_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", []byte("m")
	req.Protocols = append(req.Protocols, p)
	return h.step(t, func(in statelog.Input) statelog.Effects { return h.m.JoinGroup(in, Client{ID: "c"}, req) })
}

func (h *harness) sync(t *testing.T, memberID string, generation int32, assign ...string) statelog.Ticket {
	t.Helper()
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation = 2, "g", memberID, generation
	for _, id := range assign {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = id, []byte("for "+id)
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	return h.step(t, func(in statelog.Input) statelog.Effects { return h.m.SyncGroup(in, req) })
}

func TestTwoMembersAreAssignedAndADeadOneIsReplaced(t *testing.T) {
	h := newHarness()
	a := h.replies[h.join(t, "")].(*kmsg.JoinGroupResponse)
	if a.Generation != 1 || a.LeaderID != a.MemberID || len(a.Members) != 1 {
		t.Fatalf("%+v", a)
	}
	b := h.join(t, "")
	if h.replies[b] != nil {
		t.Fatal("the second member must wait for the first to join again")
	}
	again := h.replies[h.join(t, a.MemberID)].(*kmsg.JoinGroupResponse)
	bJoined := h.replies[b].(*kmsg.JoinGroupResponse)
	if again.Generation != 2 || bJoined.Generation != 2 || len(again.Members)+len(bJoined.Members) != 2 {
		t.Fatalf("%+v %+v", again, bJoined)
	}
	bSync := h.sync(t, bJoined.MemberID, 2)
	if h.replies[bSync] != nil {
		t.Fatal("a follower must wait for the leader's assignment")
	}
	h.sync(t, a.MemberID, 2, a.MemberID, bJoined.MemberID)
	if got := h.replies[bSync].(*kmsg.SyncGroupResponse); string(got.MemberAssignment) != "for "+bJoined.MemberID {
		t.Fatalf("%+v", got)
	}
	h.wait(t, 9*time.Second)
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID, beat.Generation = "g", a.MemberID, 2
	alive := h.step(t, func(in statelog.Input) statelog.Effects { return h.m.Heartbeat(in, beat) })
	if code := h.replies[alive].(*kmsg.HeartbeatResponse).ErrorCode; code != 0 {
		t.Fatal(code)
	}
	h.wait(t, 2*time.Second) // b's session ends
	told := h.step(t, func(in statelog.Input) statelog.Effects { return h.m.Heartbeat(in, beat) })
	if code := h.replies[told].(*kmsg.HeartbeatResponse).ErrorCode; code != kerr.RebalanceInProgress.Code {
		t.Fatal(code)
	}
	alone := h.replies[h.join(t, a.MemberID)].(*kmsg.JoinGroupResponse)
	if alone.Generation != 3 || len(alone.Members) != 1 {
		t.Fatalf("%+v", alone)
	}
}

func TestOffsetsAreCheckedAndComeBackFromTheirRecords(t *testing.T) {
	h := newHarness()
	member := h.replies[h.join(t, "")].(*kmsg.JoinGroupResponse)
	h.sync(t, member.MemberID, 1, member.MemberID)
	commit := func(memberID string, generation int32, at int64) int16 {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Version, req.Group, req.MemberID, req.Generation = 6, "g", memberID, generation
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic = "t"
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset = 3, at
		topic.Partitions = append(topic.Partitions, p)
		req.Topics = append(req.Topics, topic)
		to := h.step(t, func(in statelog.Input) statelog.Effects { return h.m.OffsetCommit(in, req) })
		return h.replies[to].(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
	}
	f := func(memberID string, generation int32, at int64, want *kerr.Error) {
		t.Helper()
		code := commit(memberID, generation, at)
		if want == nil && code != 0 || want != nil && code != want.Code {
			t.Errorf("%s %d: code %d, want %v", memberID, generation, code, want)
		}
	}
	f(member.MemberID, 1, 41, nil)
	f(member.MemberID, 0, 42, kerr.IllegalGeneration)
	f("stranger", 1, 43, kerr.UnknownMemberID)
	f("", -1, 44, kerr.UnknownMemberID) // a simple consumer while the group has members
	replayed := New(Defaults())
	for _, r := range h.log {
		if err := replayed.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []*Machine{h.m, replayed} {
		if o := m.offsets["g"][partition{"t", 3}]; o == nil || o.at != 41 {
			t.Fatalf("%+v", o)
		}
	}
}

// TestRandomInterleavings checks that whatever members do, every request of a live member is
// answered in the end and a generation has one leader.
func TestRandomInterleavings(t *testing.T) {
	for seed := range uint64(300) {
		random, h := rand.New(rand.NewPCG(seed, 1)), newHarness()
		var tickets []statelog.Ticket
		leaders := map[int32]string{}
		for range 60 {
			ids := []string{""}
			if g := h.m.groups["g"]; g != nil {
				for _, mb := range g.sorted() {
					ids = append(ids, mb.id)
				}
			}
			id := ids[random.IntN(len(ids))]
			switch random.IntN(4) {
			case 0, 1:
				tickets = append(tickets, h.join(t, id))
			case 2:
				if g := h.m.groups["g"]; g != nil {
					tickets = append(tickets, h.sync(t, id, g.generation, ids[1:]...))
				}
			case 3:
				h.wait(t, time.Duration(random.IntN(6))*time.Second)
			}
		}
		for range 8 {
			h.wait(t, 25*time.Second)
		}
		for _, ticket := range tickets {
			resp := h.replies[ticket]
			joined, ok := resp.(*kmsg.JoinGroupResponse)
			if ok && joined.ErrorCode == 0 {
				if l := leaders[joined.Generation]; l != "" && l != joined.LeaderID {
					t.Fatalf("seed %d: generation %d has leaders %s and %s", seed, joined.Generation, l, joined.LeaderID)
				}
				leaders[joined.Generation] = joined.LeaderID
			}
			if resp == nil {
				t.Fatalf("seed %d: ticket %d was never answered", seed, ticket)
			}
		}
	}
}

func TestTimersOfIDsWithAnyCharacterFindTheirGroup(t *testing.T) {
	for _, id := range []string{"", "a/b", "7/x", "session 3/", "\x00 "} {
		if what, member, group := parseKey(timerKey("session", id, "g/"+id)); what != "session" || member != id || group != "g/"+id {
			t.Errorf("%q: %q %q %q", id, what, member, group)
		}
	}
}

func (h *harness) joinStatic(t *testing.T, version int16, memberID, instance string) *kmsg.JoinGroupResponse {
	t.Helper()
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.InstanceID, req.ProtocolType = version, "g", memberID, &instance, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 20_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", []byte("m")
	req.Protocols = append(req.Protocols, p)
	to := h.step(t, func(in statelog.Input) statelog.Effects { return h.m.JoinGroup(in, Client{ID: "c"}, req) })
	resp, _ := h.replies[to].(*kmsg.JoinGroupResponse)
	return resp
}

func TestMembersGoOnAfterARestart(t *testing.T) {
	h := newHarness()
	member := h.replies[h.join(t, "")].(*kmsg.JoinGroupResponse)
	h.sync(t, member.MemberID, 1, member.MemberID)
	h.m = New(h.m.o)
	for _, r := range h.log {
		if err := h.m.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	h.timers = map[string]time.Time{}
	h.step(t, h.m.Loaded)
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID, beat.Generation = "g", member.MemberID, 1
	to := h.step(t, func(in statelog.Input) statelog.Effects { return h.m.Heartbeat(in, beat) })
	if code := h.replies[to].(*kmsg.HeartbeatResponse).ErrorCode; code != 0 {
		t.Fatalf("code %d", code)
	}
	again := h.sync(t, member.MemberID, 1)
	if got := h.replies[again].(*kmsg.SyncGroupResponse); string(got.MemberAssignment) != "for "+member.MemberID {
		t.Fatalf("%+v", got)
	}
	h.wait(t, 11*time.Second)
	if g := h.m.groups["g"]; g.phase != empty {
		t.Fatalf("a member that did not come back is still there: %s", g.phase)
	}
}

func TestAStaticMemberComesBackWithoutARebalance(t *testing.T) {
	h := newHarness()
	first := h.joinStatic(t, 5, "", "one")
	h.sync(t, first.MemberID, 1, first.MemberID)
	h.wait(t, 5*time.Second)
	back := h.joinStatic(t, 9, "", "one")
	if back.ErrorCode != 0 || back.Generation != 1 || back.MemberID == first.MemberID || !back.SkipAssignment {
		t.Fatalf("%+v", back)
	}
	got := h.replies[h.sync(t, back.MemberID, 1)].(*kmsg.SyncGroupResponse)
	if string(got.MemberAssignment) != "for "+first.MemberID {
		t.Fatalf("it lost its assignment: %+v", got)
	}
	fenced := h.joinStatic(t, 5, first.MemberID, "one")
	if fenced.ErrorCode != kerr.FencedInstanceID.Code {
		t.Fatalf("the old incarnation got %d", fenced.ErrorCode)
	}
}

func TestOffsetsExpireWhenTheGroupHasBeenEmptyForLong(t *testing.T) {
	h := newHarness()
	h.step(t, h.m.Loaded)
	member := h.replies[h.join(t, "")].(*kmsg.JoinGroupResponse)
	h.sync(t, member.MemberID, 1, member.MemberID)
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.MemberID, commit.Generation = 6, "g", member.MemberID, 1
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = "t"
	topic.Partitions = append(topic.Partitions, kmsg.NewOffsetCommitRequestTopicPartition())
	commit.Topics = append(commit.Topics, topic)
	h.step(t, func(in statelog.Input) statelog.Effects { return h.m.OffsetCommit(in, commit) })
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = "g", member.MemberID
	h.step(t, func(in statelog.Input) statelog.Effects { return h.m.LeaveGroup(in, leave) })
	for range 6 * 24 * 6 { // six days in steps of ten minutes
		h.wait(t, 10*time.Minute)
	}
	if h.m.offsets["g"] == nil {
		t.Fatal("forgotten a day early")
	}
	for range 7 * 24 {
		h.wait(t, 10*time.Minute)
	}
	if h.m.offsets["g"] != nil || h.m.groups["g"] != nil || h.m.saved["g"] != nil {
		t.Fatal("an old group is still there")
	}
}

func TestOffsetsOfADeletedTopicAreForgotten(t *testing.T) {
	h := newHarness()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 6, "simple", -1
	for _, name := range []string{"gone", "kept"} {
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic = name
		topic.Partitions = append(topic.Partitions, kmsg.NewOffsetCommitRequestTopicPartition())
		req.Topics = append(req.Topics, topic)
	}
	h.step(t, func(in statelog.Input) statelog.Effects { return h.m.OffsetCommit(in, req) })
	h.step(t, func(in statelog.Input) statelog.Effects { return h.m.TopicDeleted(in, "gone") })
	if left := h.m.offsets["simple"]; len(left) != 1 || left[partition{"kept", 0}] == nil {
		t.Fatalf("%v", left)
	}
}
