package group

import (
	"strings"
	"testing"
	"time"
)

func TestStatsCountWhatHappened(t *testing.T) {
	s := newScript(t)
	s.cluster = s.cluster.with(map[string]string{"t": "2"})
	run := func(commands ...string) {
		for _, c := range commands {
			s.command(strings.Fields(c))
		}
	}
	run("join c - v=3", "wait 2s", "sync c $1 1 $1=t:0,1", "commit c $1 1 t:0=5", "commit c $1 1 t:1=6")
	run("beat g a 0 topics=t", "beat g b 0 topics=t", "wait 1s", "beat g a 2 owned=t:0", "beat g b 3", "beat g a 3")
	run("commit simple - -1 t:0=9")
	got := s.m.Stats(2)
	if n := got.Groups[Kind{"classic", "Stable"}]; n != 1 {
		t.Errorf("%d stable classic groups", n)
	}
	if n := got.Groups[Kind{"consumer", "Stable"}]; n != 1 || got.Groups[Kind{"classic", "Empty"}] != 1 {
		t.Errorf("%+v", got.Groups)
	}
	if got.Members["classic"] != 1 || got.Members["consumer"] != 2 || got.Commits != 3 {
		t.Errorf("%+v", got)
	}
	if got.Rebalances["classic"] != 1 || got.Rebalances["consumer"] != 2 {
		t.Errorf("%+v", got.Rebalances)
	}
	within := got.Completed.Cumulative()
	if got.Completed.Number != 3 || got.Completed.Sum != 3*time.Second || within[0.01] != 1 || within[3] != 3 {
		t.Errorf("%+v", got.Completed)
	}
	// Two partitions may be shown: those of the first group. The others are counted.
	if len(got.Offsets) != 2 || got.Offsets[1] != (CommittedOffset{"c", "t", 1, 6}) || got.Left != 1 {
		t.Errorf("%+v, %d left", got.Offsets, got.Left)
	}
}

// The lag of groups that somebody reads in is shown before that of others, and of those the last to commit.
func TestStatsListGroupsByWhatIsGoingOnInThem(t *testing.T) {
	s := newScript(t)
	s.cluster = s.cluster.with(map[string]string{"t": "4"})
	for _, c := range []string{
		"commit a-old - -1 t:0=1", "wait 1s", "commit b-new - -1 t:0=2", "commit b-new - -1 t:1=2", "wait 1s", "commit c-newest - -1 t:0=3",
		"join d - v=3", "wait 2s", "sync d $1 1 $1=t:0", "commit d $1 1 t:0=4",
		"beat e a 0 topics=t", "commit e a 2 t:0=5",
	} {
		s.command(strings.Fields(c))
	}
	for most, want := range []struct {
		groups string
		left   int
	}{
		{"", 6},
		{"d", 5},
		{"d e", 4},
		{"c-newest d e", 3},
		{"a-old c-newest d e", 2},
		{"b-new b-new c-newest d e", 1},
		{"a-old b-new b-new c-newest d e", 0},
	} {
		got, names := s.m.Stats(most), []string{}
		for _, o := range got.Offsets {
			names = append(names, o.Group)
		}
		if strings.Join(names, " ") != want.groups || got.Left != want.left {
			t.Errorf("of at most %d: %v, %d left out; want %s, %d", most, names, got.Left, want.groups, want.left)
		}
	}
}
