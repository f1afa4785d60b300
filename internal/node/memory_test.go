package node

import (
	"runtime"
	"testing"
	"time"
)

func TestGarbageGrowsByHowBusyTheServerIs(t *testing.T) {
	now := time.Now()
	p := pace{percent: busyPercent, last: now}
	step := func(after time.Duration, want int) {
		t.Helper()
		now = now.Add(after)
		p.collected(now)
		if p.percent != want {
			t.Fatalf("%d percent, want %d", p.percent, want)
		}
	}
	step(5*busyBelow, busyPercent) // neither busy nor quiet: as it is
	quietPercent := busyPercent / quieter
	if !p.waited() || p.percent != quietPercent || !p.waited() || p.percent != leastPercent || p.waited() {
		t.Fatalf("%d percent", p.percent)
	}
	p.percent = quietPercent
	step(quietAfter, quietPercent)
	step(2*busyBelow, quietPercent)
	step(busyBelow/2, quietPercent)
	step(busyBelow/2, quietPercent)
	step(2*busyBelow, quietPercent) // two in a row are few
	step(busyBelow/2, quietPercent)
	step(busyBelow/2, quietPercent)
	step(busyBelow/2, busyPercent)
	step(3*busyBelow, busyPercent)
}

func TestEveryCollectionIsSeen(t *testing.T) {
	ends := make(chan struct{}, 1)
	watchCollections(t.Context(), ends)
	deadline := time.After(time.Minute)
	for range 3 {
		for seen := false; !seen; {
			runtime.GC()
			select {
			case <-ends:
				seen = true
			case <-time.After(10 * time.Millisecond): // the cleanup is on its way
			case <-deadline:
				t.Fatal("a collection was not seen")
			}
		}
	}
}
