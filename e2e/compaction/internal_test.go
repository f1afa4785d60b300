package compaction

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kelp/e2e/harness"
)

// TestCommittedOffsetsOutliveCompaction: __consumer_offsets is compacted like any topic, and the groups are what they
// were after it and after a start that replays what is left.
func TestCommittedOffsetsOutliveCompaction(t *testing.T) {
	const state = "__consumer_offsets"
	b := start(t, harness.Kelp)
	s := newScript(t, b, "committed", nil)
	s.say(s.client, "a=1")
	admin := kadm.NewClient(s.client)
	commit := func(group string, offset int64) {
		t.Helper()
		var o kadm.Offsets
		o.AddOffset("committed", 0, offset, -1)
		if err := admin.CommitAllOffsets(t.Context(), group, o); err != nil {
			t.Fatal(err)
		}
	}
	commit("one", 1)
	set := func(k, v string) kadm.AlterConfig { return kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: &v} }
	answers, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{set("segment.ms", "1"), set("min.cleanable.dirty.ratio", "0.0")}, state)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range answers {
		if a.Err != nil {
			t.Fatal(a.Err)
		}
	}
	records := &script{t: t, b: b, topic: state, client: s.client}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	const commits = 20
	for i := range int64(commits) {
		commit("one", i)
		commit("two", 100+i)
		<-tick.C
	}
	for began := time.Now(); ; <-tick.C { // at least half of the commits have gone, whatever is in the last segment
		commit("three", 7)
		if n := len(strings.Fields(records.read(kgo.KeepControlRecords()))); n > 0 && int64(n) < records.end()-commits {
			break
		}
		if time.Since(began) > deadline {
			t.Fatalf("%d records, none of them was compacted", records.end())
		}
	}
	check := func(when string) {
		t.Helper()
		for group, want := range map[string]int64{"one": commits - 1, "two": 100 + commits - 1, "three": 7} {
			got, err := admin.FetchOffsets(t.Context(), group)
			if err != nil {
				t.Fatal(err)
			}
			if o, ok := got.Lookup("committed", 0); !ok || o.At != want {
				t.Errorf("%s, group %s is at %d (%v), want %d", when, group, o.At, ok, want)
			}
		}
	}
	check("after compaction")
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	check("after a restart")
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := b.Resume(); err != nil {
		t.Fatal(err)
	}
	check("after a kill")
}
