package node

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"time"
)

// Garbage may grow to several times the little that is live while the server is busy: collections are
// then rarer than with Go's own 100, and most of what is large is pooled anyway. The quieter the server the
// less may grow, as it would only be memory that nobody uses, and what is free is given back.
const (
	busyPercent  = 400
	ofGo         = 100 // Go's own, with which a server begins
	leastPercent = 25
	// quieter is by how much less may grow once it is quiet, each time.
	quieter = 4

	// busyBelow: collections that follow each other faster are those of a busy server.
	busyBelow = time.Second
	// busyRow is how many such must follow each other: one or two are those by which the server became quiet.
	busyRow = 3
	// quietAfter so long without a collection a server is quiet. It is more than quieter times busyBelow: with
	// less room collections come more often, and still not at the pace of a busy server.
	quietAfter = 5 * time.Second
)

// limitMemory tells the garbage collector what the process aims to stay under, less what it does not
// count, the binary and mapped files, and paces it until the node ends. The operator's own GOMEMLIMIT and
// GOGC, when set, are left alone.
func (n *Node) limitMemory(bytes int64) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(bytes / 16 * 13)
	}
	before := debug.SetGCPercent(ofGo)
	if ours := before == leastPercent || before == busyPercent; before != ofGo && !ours { // ours: another node in this process
		debug.SetGCPercent(before)
		return
	}
	n.wg.Go(func() { paceCollector(n.life) })
}

// pace is how much garbage may grow at present, by how collections follow each other.
type pace struct {
	percent int
	last    time.Time // the end of the last collection
	row     int       // collections so far that followed each other fast
}

// collected notes the end of a collection; changed says that percent is another now.
func (p *pace) collected(at time.Time) (changed bool) {
	if p.row++; at.Sub(p.last) >= busyBelow {
		p.row = 0
	}
	p.last = at
	if p.row < busyRow || p.percent == busyPercent {
		return false
	}
	p.percent = busyPercent
	return true
}

// waited notes that nothing has been collected for quietAfter.
func (p *pace) waited() (changed bool) {
	if p.percent == leastPercent {
		return false
	}
	p.percent = max(leastPercent, p.percent/quieter)
	return true
}

// paceCollector lets garbage grow by how busy the process is, until ctx ends.
func paceCollector(ctx context.Context) {
	ends := make(chan struct{}, 1)
	watchCollections(ctx, ends)
	p := pace{percent: ofGo, last: time.Now()}
	quiet := time.NewTimer(quietAfter)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ends:
			if p.collected(time.Now()) {
				debug.SetGCPercent(p.percent)
			}
		case <-quiet.C:
			if p.waited() {
				debug.SetGCPercent(p.percent)
				runtime.GC() // what lies in pools survives one collection
				debug.FreeOSMemory()
			}
		}
		quiet.Reset(quietAfter)
	}
}

// watchCollections sends to ends, unless it is full, after every collection.
func watchCollections(ctx context.Context, ends chan<- struct{}) {
	type sentinel struct{ _ *int } // with a pointer it shares its memory with nobody
	runtime.AddCleanup(&sentinel{}, func(ends chan<- struct{}) {
		if ctx.Err() != nil {
			return
		}
		select {
		case ends <- struct{}{}:
		default:
		}
		watchCollections(ctx, ends)
	}, ends)
}
