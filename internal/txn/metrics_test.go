package txn

import (
	"testing"
	"time"
)

func TestStatsCountWhatHappened(t *testing.T) {
	s := &script{t: t, m: New(Defaults(), epochBumped), now: time.UnixMilli(1_000_000)}
	s.m.o.MaxIDs = 2
	run := func(lines ...string) {
		for _, line := range lines {
			s.run(line)
		}
	}
	run("init id=a fresh=100", "join id=a pid=100 epoch=0 in=t/0", "wait 2s", "commit id=a pid=100 epoch=0", "wait 5ms", "written")
	run("init id=b fresh=101 timeout=5000", "join id=b pid=101 epoch=0 in=t/0", "wait 7s")
	if got := s.m.Stats(s.now); got.IDs[Ongoing] != 1 || got.IDs[CompleteCommit] != 1 || got.Oldest != 7*time.Second {
		t.Errorf("while one is open: %+v", got)
	}
	run("timeout key=abort", "join id=b pid=101 epoch=1 in=t/0")
	if got := s.m.Stats(s.now); got.IDs[PrepareAbort] != 1 || got.Overdue != 1 || got.Held != 1 || got.Aborted != 0 || got.Oldest != 0 {
		t.Errorf("before the markers: %+v", got)
	}
	run("written", "init id=b")
	got := s.m.Stats(s.now)
	if got.Committed != 1 || got.Aborted != 1 || got.Fenced != 1 || got.Refused != 0 || got.Held != 0 {
		t.Errorf("%+v", got)
	}
	lasted, marked := got.Lasted.Cumulative(), got.Marked.Cumulative()
	if got.Lasted.Number != 2 || lasted[1] != 0 || lasted[10] != 2 || got.Lasted.Sum != 9005*time.Millisecond ||
		marked[0.001] != 1 || marked[0.01] != 2 {
		t.Errorf("%+v, %+v", got.Lasted, got.Marked)
	}
}

func TestNewIDsBeyondTheLimitAreRefused(t *testing.T) {
	s := &script{t: t, m: New(Defaults(), epochBumped), now: time.UnixMilli(1_000_000)}
	s.m.o.MaxIDs = 2
	f := func(line string, want ...string) {
		t.Helper()
		if got := s.run(line); len(got) != len(want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		} else {
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%s: %q, want %q", line, got[i], want[i])
				}
			}
		}
	}
	record := func(id string, producer string) string {
		return "record v1 " + id + " Empty " + producer + " timeout=60000 started=-1 version=0 in="
	}
	const told = "note 2 transactional ids are remembered, the most that may be: " +
		"new ones are refused until some expire or max-transactional-ids is raised"
	f("init id=a fresh=100", record("a", "100/0"), "reply 1: ok 100/0")
	f("init id=b fresh=101", record("b", "101/0"), "reply 2: ok 101/0")
	f("init id=c fresh=102", "reply 3: POLICY_VIOLATION -1/-1", told)
	f("init id=c fresh=102", "reply 4: POLICY_VIOLATION -1/-1") // said once
	f("init id=a", record("a", "100/1"), "reply 5: ok 100/1")
	f("wait 168h")
	f("timeout key=expire", "record a gone", "record b gone", `timer "expire" in 1h0m0s`)
	f("init id=c fresh=102", record("c", "102/0"), "reply 8: ok 102/0")
	if got := s.m.Stats(s.now).Refused; got != 2 {
		t.Errorf("%d refused", got)
	}
}
