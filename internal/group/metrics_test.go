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
