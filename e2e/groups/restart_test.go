package groups

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/e2e/harness"
)

// steady are the clients that keep their membership when a connection breaks. Sarama, kafka-go and kafkajs begin anew by
// themselves, and so does franz-go's member of the classic protocol when a heartbeat of it fails for good.
var steady = []string{"franz-848", "confluent", "confluent-848", "java", "java-848"}

// session is that of all members: once it has passed the server has given up those that it has not heard of.
const session = 6 * time.Second

// TestMembersGoOnAfterARestart kills the server under settled groups: every member goes on with what it has, under its id
// and in its generation or epoch, and no rebalance begins.
func TestMembersGoOnAfterARestart(t *testing.T) {
	if harness.Target() == harness.Kafka {
		t.Skip("Apache Kafka begins without these metrics")
	}
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
	f.topicsFor(steady)
	t.Cleanup(f.killAll)
	w := f.write()
	defer w.cancel()
	f.start()
	f.start()
	cl := f.client()
	defer cl.Close()
	before := map[*group]string{}
	f.wait("both members have their share", func(g *group) bool {
		state, settled := shares(t, cl, "group-"+g.client)
		before[g] = state
		return settled && g.members[0].read > 0 && g.members[1].read > 0
	})
	if n := f.metrics("kelp_group_rebalances_total"); n[`protocol="classic"`] == 0 || n[`protocol="consumer"`] == 0 {
		t.Fatalf("rebalances before the restart: %v", n)
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.Resume(); err != nil {
		t.Fatal(err)
	}
	resumed := time.Now()
	newest := 0
	f.wait("all members read on for longer than their session", func(g *group) bool {
		if time.Since(resumed) < session+2*time.Second {
			newest = int(w.newest.Load())
			return false
		}
		return g.members[0].last >= newest && g.members[1].last >= newest
	})
	f.each(func(g *group) {
		if now, _ := shares(t, cl, "group-"+g.client); now != before[g] {
			t.Errorf("%s is\n%s\nand was before the restart\n%s", g.client, now, before[g])
		}
	})
	for label, n := range f.metrics("kelp_group_rebalances_total") {
		if n != 0 {
			t.Errorf("%v rebalances of %s began after the restart\n%s", n, label, b.Tail())
		}
	}
	f.lag(w)
}

// lag stops the members, writes on, and finds how far the groups are behind over HTTP.
func (f *fleet) lag(w *writer) {
	f.t.Helper()
	f.stopAll()
	last := w.stop()
	f.wait("the lag of all groups adds up", func(g *group) bool {
		behind, partitionsOf := 0.0, 0
		for labels, n := range f.metrics("kelp_group_lag_records") {
			if strings.Contains(labels, fmt.Sprintf("group=%q", "group-"+g.client)) {
				behind += n
				partitionsOf++
			}
		}
		committed := int64(0)
		for at := range g.seen {
			if at <= last {
				committed++
			}
		}
		return partitionsOf == partitions && behind == float64(int64(last)-committed)
	})
	if n := f.metrics("kelp_group_lag_left_out")[""]; n != 0 {
		f.t.Errorf("%v partitions are left out", n)
	}
}

// metrics gives the values of a metric by its labels.
func (f *fleet) metrics(name string) map[string]float64 {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "http://"+f.broker.HTTP()+"/metrics", http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		labels, value := "", rest
		if i := strings.LastIndex(rest, "}"); i >= 0 {
			labels, value = rest[1:i], rest[i+1:]
		}
		var n float64
		if _, err := fmt.Sscan(value, &n); err != nil {
			f.t.Fatalf("%s: %v", line, err)
		}
		out[labels] = n
	}
	return out
}

// shares describes a group of either protocol: members, what each has, epochs. It is settled when two members share all.
func shares(t *testing.T, cl *kgo.Client, name string) (state string, settled bool) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	has := map[string]int{}
	consumer := kmsg.NewPtrConsumerGroupDescribeRequest()
	consumer.Groups = []string{name}
	resp, err := consumer.RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	if g := resp.Groups[0]; g.ErrorCode == 0 {
		state = fmt.Sprintf("%s, epoch %d, assigned at %d", g.State, g.Epoch, g.AssignmentEpoch)
		for _, m := range g.Members {
			n := 0
			for _, of := range m.Assignment.TopicPartitions {
				n += len(of.Partitions)
			}
			has[fmt.Sprintf("%s at %d", m.MemberID, m.MemberEpoch)] = n
		}
	} else {
		classic := kmsg.NewPtrDescribeGroupsRequest()
		classic.Groups = []string{name}
		resp, err := classic.RequestWith(ctx, cl)
		if err != nil {
			t.Fatal(err)
		}
		state = resp.Groups[0].State
		for _, m := range resp.Groups[0].Members {
			a := kmsg.NewConsumerMemberAssignment()
			if err := a.ReadFrom(m.MemberAssignment); err != nil {
				continue // not assigned yet
			}
			n := 0
			for _, of := range a.Topics {
				n += len(of.Partitions)
			}
			has[m.MemberID] = n
		}
	}
	settled = strings.HasPrefix(state, "Stable") && len(has) == 2
	for _, id := range slices.Sorted(maps.Keys(has)) {
		state += fmt.Sprintf("\n%s has %d", id, has[id])
		settled = settled && has[id] == partitions/2
	}
	return state, settled
}
