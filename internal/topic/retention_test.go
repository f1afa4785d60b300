package topic

import (
	"testing"
	"time"

	"kelp/internal/cluster"
	"kelp/internal/storage"
)

func TestRetentionDropsWholeSegments(t *testing.T) {
	segment := func(base, end, bytes, newestMs, appendedMs int64) storage.Segment {
		return storage.Segment{Base: base, End: end, Bytes: bytes, MaxTimestampMs: newestMs, AppendedMs: appendedMs}
	}
	segments := []storage.Segment{
		segment(0, 10, 100, 1000, 0), segment(10, 20, 100, 5000, 0), segment(20, 30, 100, 2000, 0), segment(30, 31, 10, 9000, 0),
	}
	f := func(name string, all []storage.Segment, bytes, ms, want int64) {
		t.Helper()
		if got := expired(all, &cluster.TopicConfig{RetentionBytes: bytes, RetentionMs: ms}, 10_000); got != want {
			t.Errorf("%s: up to %d, want %d", name, got, want)
		}
	}
	f("no limit", segments, -1, -1, -1)
	f("exactly the age", segments, -1, 9000, -1)
	f("older", segments, -1, 8999, 10)
	f("a younger one in between protects an older one", segments, -1, 5000, 10)
	f("all, with the active one", segments, -1, 999, 31)
	f("as large as allowed", segments, 310, -1, -1)
	f("a segment too large", segments, 210, -1, 10)
	f("a segment stays that is needed to reach the size", segments, 211, -1, -1)
	f("nothing may stay", segments, 0, -1, 31)
	f("first by size, then by age", segments, 210, 4999, 30)
	f("without timestamps the append counts", []storage.Segment{segment(0, 5, 10, -1, 4000), segment(5, 6, 10, -1, 9999)}, -1, 5000, 5)
	f("emptied by the cleaner", []storage.Segment{segment(0, 5, 0, -1, 4000), segment(5, 6, 10, 9999, 0)}, -1, 5000, 5)
	f("an empty log", nil, 0, 0, -1)
}

func TestRetentionOfACompactedTopic(t *testing.T) {
	x := plainCleaning(t, func(c *cluster.TopicConfig) { c.Delete, c.RetentionMs = true, 60_000 })
	x.say(nobody, "a=1")
	x.now = x.now.Add(40 * time.Second)
	x.say(nobody, "b=1", "a=2")
	x.say(nobody, "c=1")
	x.clean(0)
	x.holds("1:b=1 2:a=2 3:c=1")
	f := func(after time.Duration, start int64, want string) {
		t.Helper()
		x.now = x.now.Add(after)
		if err := x.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		x.holds(want)
		if x.LogStartOffset() != start {
			t.Errorf("the log starts at %d, want %d", x.LogStartOffset(), start)
		}
	}
	f(30*time.Second, 1, "1:b=1 2:a=2 3:c=1") // offset 0 was cleaned away; its segment is empty and old
	f(29*time.Second, 1, "1:b=1 2:a=2 3:c=1")
	f(2*time.Second, 4, "")
	x.say(nobody, "a=3")
	x.holds("4:a=3")
}
