package embedded

import (
	"math"
	"sync/atomic"
)

// doubt is what a failed write or sync leaves: its chunk was not acknowledged, but may be found whole
// after a crash until a chunk of the same number in another file is as durable as promised. It may
// hold an edit, so that until then no file goes, not even one that nothing refers to.
type doubt struct {
	// until is the number of the file whose first chunk ends it; 0: there is none, unknown: there is
	// no such file yet.
	until atomic.Uint64
}

const unknown = math.MaxUint64

// raise is called before anybody learns of the failure.
func (d *doubt) raise() { d.until.Store(unknown) }

// endsWith says which file writing goes on in.
func (d *doubt) endsWith(f *file) {
	if d.until.Load() != 0 {
		d.until.Store(f.seq)
	}
}

// written says that a chunk of the file is as durable as promised.
func (d *doubt) written(f *file) { d.until.CompareAndSwap(f.seq, 0) }

func (d *doubt) there() bool { return d.until.Load() != 0 }
