package groups

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"kelp/e2e/foreign"
	"kelp/e2e/harness"
)

// TestAGroupIsRolledToTheConsumerProtocolAndBack replaces members of the classic protocol by members of the consumer
// protocol and those by classic ones again, while records are written. Every record is read, and Apache Kafka's own
// coordinator can read what is kept of it.
func TestAGroupIsRolledToTheConsumerProtocolAndBack(t *testing.T) {
	dir := t.TempDir()
	b, err := harness.OpenWith(harness.Target(), dir, options())
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
	g := &group{client: "franz", topic: "rolled", seen: map[int]int{}}
	f.groups = []*group{g}
	cl := f.client()
	defer cl.Close()
	admin := kadm.NewClient(cl)
	if _, err := admin.CreateTopic(t.Context(), partitions, 1, nil, g.topic); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.killAll)
	w := f.write()
	start := func(client string) *member { return f.startAs(client, g) }
	replace := func(old *member, client string) *member {
		next := start(client)
		f.wait("the new member reads", func(*group) bool { return next.read > 0 })
		f.stop(old)
		return next
	}
	a, c := start("franz"), start("franz")
	f.wait("classic members read", func(*group) bool { return a.read > 0 && c.read > 0 })
	f.is(admin, "classic")
	a = replace(a, "franz-848")
	f.is(admin, "consumer")
	c = replace(c, "franz-848")
	f.is(admin, "consumer")
	a = replace(a, "franz")
	replace(c, "franz")
	f.is(admin, "classic")
	last := w.stop()
	f.wait("all is read", func(g *group) bool { return g.has(last) })
	f.stopAll()
	_ = a
	if harness.Target() == harness.Kelp {
		f.readByKafka()
	}
}

// stop ends one member by SIGTERM and waits for it.
func (f *fleet) stop(m *member) {
	f.t.Helper()
	f.each(func(g *group) {
		for i, other := range g.members {
			if other == m {
				g.members = append(g.members[:i:i], g.members[i+1:]...)
				return
			}
		}
	})
	f.end([]*member{m})
}

// is waits until the group is of a protocol.
func (f *fleet) is(admin *kadm.Client, protocol string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		groups, err := admin.ListGroupsByType(ctx, []string{protocol})
		if _, found := groups["group-franz"]; found {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.t.Fatalf("the group is not of the %s protocol: %v", protocol, err)
		}
	}
}

// readByKafka reads the topic of the groups as Apache Kafka's coordinator does.
func (f *fleet) readByKafka() {
	f.t.Helper()
	out, err := exec.CommandContext(f.t.Context(), "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", filepath.Join(foreign.Root(), ".cache", "kafka", "libs", "*"),
		filepath.Join(foreign.Root(), "e2e", "groups", "drivers", "Offsets.java"), f.broker.Addr).Output()
	if err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		"OffsetCommitKey(group='group-franz', topic='rolled'", "GroupMetadataKey(group='group-franz') = GroupMetadataValue(protocolType='consumer'",
		"GroupMetadataKey(group='group-franz') = null", "ConsumerGroupMetadataKey(groupId='group-franz') = ConsumerGroupMetadataValue(epoch=",
		"= ConsumerGroupMemberMetadataValue(", "supportedProtocols=[ClassicProtocol(name='cooperative-sticky'", "= ConsumerGroupTargetAssignmentMetadataValue(",
		"= ConsumerGroupTargetAssignmentMemberValue(topicPartitions=[", "= ConsumerGroupCurrentMemberAssignmentValue(memberEpoch=", "assignmentEpochs=[",
		"ConsumerGroupMetadataKey(groupId='group-franz') = null",
	} {
		if !strings.Contains(string(out), want) {
			f.t.Errorf("%q is not among the records:\n%s", want, out)
		}
	}
}
