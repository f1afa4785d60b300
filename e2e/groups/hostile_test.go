package groups

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"kelp/e2e/harness"
)

// Limits of what hostile clients may bring about.
const (
	hostileRounds    = 5         // each of them asks so often
	mostHostileBytes = 256 << 20 // of memory, in all
)

// hostile is a client that asks for what makes no sense.
type hostile struct {
	t  *testing.T
	cl *kgo.Client
}

// gets sends a request and wants an error, nil for none.
func (h hostile) gets(what string, req kmsg.Request, want error) kmsg.Response {
	h.t.Helper()
	resp, err := h.cl.Request(h.t.Context(), req)
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
	var code int16
	switch r := resp.(type) {
	case *kmsg.JoinGroupResponse:
		code = r.ErrorCode
	case *kmsg.SyncGroupResponse:
		code = r.ErrorCode
	case *kmsg.HeartbeatResponse:
		code = r.ErrorCode
	case *kmsg.LeaveGroupResponse:
		if code = r.ErrorCode; code == 0 {
			code = r.Members[0].ErrorCode
		}
	case *kmsg.OffsetCommitResponse:
		code = r.Topics[0].Partitions[0].ErrorCode
	case *kmsg.ConsumerGroupHeartbeatResponse:
		code = r.ErrorCode
	case *kmsg.DescribeGroupsResponse:
		code = r.Groups[0].ErrorCode
	default:
		h.t.Fatalf("%s: %T", what, r)
	}
	if got := kerr.ErrorForCode(code); got != want {
		h.t.Errorf("%s: %v, want %v", what, got, want)
	}
	return resp
}

func joinWith(group string, metadata []byte) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = group, "consumer", 6000, 6000
	req.Protocols = append(req.Protocols, kmsg.JoinGroupRequestProtocol{Name: "range", Metadata: metadata})
	return req
}

func beatOf(group, member string, epoch int32, topics ...string) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch = group, member, epoch
	if epoch == 0 {
		req.RebalanceTimeoutMillis, req.SubscribedTopicNames = 6000, append([]string{}, topics...)
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	return req
}

func commitBy(group, member string, generation int32) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "of-franz", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 0}}}}
	return req
}

// TestHostileMembersHarmNobody sends what makes no sense to groups of its own and to those of others, again and again. It
// gets Kafka's codes, the server's memory stays bounded, and the members of the other groups notice nothing.
func TestHostileMembersHarmNobody(t *testing.T) {
	dir := t.TempDir()
	b, err := harness.OpenWith(harness.Kelp, dir, options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &fleet{t: t, broker: b, member: filepath.Join(dir, "member")}
	if out, err := exec.Command("go", "build", "-o", f.member, "./member").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f.topicsFor([]string{"franz", "franz-848"})
	t.Cleanup(f.killAll)
	w := f.write()
	defer w.cancel()
	f.start()
	f.start()
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(kmsg.OffsetCommit.Int16(), 9) // by topic names
	cl := f.client(kgo.MaxVersions(versions))
	defer cl.Close()
	before, member := map[*group]string{}, map[string]string{}
	f.wait("both members have their share", func(g *group) bool {
		state, settled := shares(t, cl, "group-"+g.client)
		before[g] = state
		if _, ids, found := strings.Cut(state, "\n"); found {
			member[g.client] = strings.Fields(ids)[0]
		}
		return settled && g.members[0].read > 0 && g.members[1].read > 0
	})
	h := hostile{t, cl}
	for round := range hostileRounds {
		h.longNames(fmt.Sprint("long-", round))
		h.millionTopics(fmt.Sprint("million-", round))
		h.malformed(fmt.Sprint("malformed-", round))
		h.otherGenerations(member["franz"], member["franz-848"])
	}
	if n := f.metrics("process_resident_memory_bytes")[""]; n == 0 || n > mostHostileBytes {
		t.Errorf("the server has grown to %v bytes", n)
	}
	newest := int(w.newest.Load())
	f.wait("the others read on", func(g *group) bool { return g.members[0].last >= newest && g.members[1].last >= newest })
	f.each(func(g *group) {
		if now, _ := shares(t, cl, "group-"+g.client); now != before[g] {
			t.Errorf("%s is\n%s\nand was before\n%s", g.client, now, before[g])
		}
	})
	f.stopAll()
}

func (h hostile) longNames(group string) {
	id := strings.Repeat("m", 32<<10)
	join := joinWith(group, nil)
	join.MemberID = id
	h.gets("join with a long id", join, kerr.UnknownMemberID)
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.ProtocolType, sync.Protocol = "group-franz", id, kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	h.gets("sync with a long id", sync, kerr.UnknownMemberID)
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID = "group-franz", id
	h.gets("heartbeat with a long id", beat, kerr.UnknownMemberID)
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.Members = "group-franz", []kmsg.LeaveGroupRequestMember{{MemberID: id}}
	h.gets("leave with a long id", leave, kerr.UnknownMemberID)
	h.gets("commit with a long id", commitBy("group-franz", id, 1), kerr.UnknownMemberID)
	h.gets("consumer with a long id", beatOf(group, id, 0, "of-franz"), kerr.InvalidRequest)
	h.gets("consumer with a long id in another's group", beatOf("group-franz-848", id, 0, "of-franz"), kerr.InvalidRequest)
}

func (h hostile) millionTopics(group string) {
	names := make([]string, 1_000_000)
	for i := range names {
		names[i] = fmt.Sprint("t", i)
	}
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = names
	h.gets("join with a million topics", joinWith(group, meta.AppendTo(nil)), kerr.InvalidRequest)
	h.gets("consumer with a million topics", beatOf(group, "m", 0, names...), kerr.InvalidRequest)
	h.gets("consumer with a million topics in another's group", beatOf("group-franz-848", "m", 0, names...), kerr.InvalidRequest)
	unknown := beatOf(group, "m", 0, "of-franz")
	unknown.ServerAssignor = kmsg.StringPtr("mine")
	h.gets("consumer with an unknown assignor", unknown, kerr.UnsupportedAssignor)
}

// malformed leads a group of its own with metadata that nobody can read: that is its own affair, until a member of the
// consumer protocol comes.
func (h hostile) malformed(group string) {
	garbage := []byte{0, 3, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3}
	join := joinWith(group, garbage)
	join.MemberID = h.gets("join with bad metadata", join, kerr.MemberIDRequired).(*kmsg.JoinGroupResponse).MemberID
	joined := h.gets("join with bad metadata and an id", join, nil).(*kmsg.JoinGroupResponse)
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation, sync.ProtocolType, sync.Protocol = group, join.MemberID, joined.Generation, joined.ProtocolType, joined.Protocol
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: join.MemberID, MemberAssignment: garbage}}
	h.gets("sync with a bad assignment", sync, nil)
	describe := kmsg.NewPtrDescribeGroupsRequest()
	describe.Groups = []string{group}
	shown := h.gets("describe what cannot be read", describe, nil).(*kmsg.DescribeGroupsResponse).Groups[0].Members[0]
	if string(shown.ProtocolMetadata) != string(garbage) || string(shown.MemberAssignment) != string(garbage) {
		h.t.Errorf("metadata %x, assignment %x", shown.ProtocolMetadata, shown.MemberAssignment)
	}
	h.gets("a consumer joins what cannot be read", beatOf(group, "m", 0, "of-franz"), kerr.GroupIDNotFound)
	h.gets("bad metadata in a consumer group", joinWith("group-franz-848", garbage), kerr.InconsistentGroupProtocol)
}

func (h hostile) otherGenerations(classic, consumer string) {
	beat := kmsg.NewPtrHeartbeatRequest()
	beat.Group, beat.MemberID, beat.Generation = "group-franz", classic, 1000
	h.gets("heartbeat of a later generation", beat, kerr.IllegalGeneration)
	beat.Generation = 0
	h.gets("heartbeat of an earlier generation", beat, kerr.IllegalGeneration)
	h.gets("commit of another generation", commitBy("group-franz", classic, 1000), kerr.IllegalGeneration)
	h.gets("heartbeat of a later epoch", beatOf("group-franz-848", consumer, 1000), kerr.FencedMemberEpoch)
	h.gets("heartbeat of an earlier epoch", beatOf("group-franz-848", consumer, 1), kerr.FencedMemberEpoch)
	h.gets("commit of a later epoch", commitBy("group-franz-848", consumer, 1000), kerr.StaleMemberEpoch)
}
