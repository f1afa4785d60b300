package seaweedmq

import (
	"errors"
	"fmt"
)

// errLost says that a message is missing in the filer although later ones are there.
var errLost = errors.New("SeaweedMQ lost messages")

// progress is one partition's state: which records are to be published, which are on their way, and
// how far everything is in the filer. It is made anew for every stream to a broker, from the checkpoint
// and what the filer has beyond it.
//
//	confirmed            next
//	    |  flight: published, not yet seen  |  not yet read from Kafka's log
//	    v                                   v
//	----+-----------------------------------+---------> offsets
//
// The offsets of a log have gaps (markers, aborted and compacted records), so those on their way are
// listed.
type progress struct {
	next   int64   // first offset of the log that was not looked at
	flight []int64 // ascending; those before head are done
	head   int

	// have is what the filer held beyond the checkpoint when the stream was opened, or was found there
	// later without having been published on it, with a sum of its bytes where the offset alone is not
	// certain.
	have    map[int64]uint64
	haveMax int64

	repeats int64 // entries of the filer that were there already
}

// resume starts at a checkpoint: everything before it is in the filer.
func resume(confirmed int64) *progress {
	return &progress{next: confirmed, have: map[int64]uint64{}, haveMax: -1}
}

// found notes a record that the filer has, before anything was published on this stream.
func (p *progress) found(offset int64, sum uint64) {
	if _, again := p.have[offset]; again || offset < p.next {
		p.repeats++
		return
	}
	p.have[offset] = sum
	p.haveMax = max(p.haveMax, offset)
}

// wants says whether the next record of the log is to be published: it is not if the filer has it.
func (p *progress) wants(offset int64, sum uint64) bool {
	had, ok := p.have[offset]
	if ok {
		delete(p.have, offset)
	}
	return !ok || had != sum
}

// publish notes a record that goes to the broker now.
func (p *progress) publish(offset int64) {
	p.flight = append(p.flight, offset)
	p.pass(offset + 1)
}

// pass notes that everything before an offset was looked at.
func (p *progress) pass(next int64) {
	p.next = next
	if len(p.have) > 0 && next > p.haveMax {
		clear(p.have) // compacted away meanwhile, or not what the log has
	}
}

// seen notes an entry that the filer has got. errLost asks for a new stream: the gap is then filled.
func (p *progress) seen(offset int64, sum uint64) error {
	waiting := p.flight[p.head:]
	switch {
	case offset >= p.next: // of an earlier stream, late
		p.found(offset, sum)
	case len(waiting) == 0 || offset < waiting[0]:
		p.repeats++
	case offset > waiting[0]:
		return fmt.Errorf("%w: offset %d is there and %d before it is not", errLost, offset, waiting[0])
	default:
		p.head++
		if p.head >= 1024 && p.head*2 >= len(p.flight) {
			p.flight = append(p.flight[:0], p.flight[p.head:]...)
			p.head = 0
		}
	}
	return nil
}

// waiting counts the records on their way.
func (p *progress) waiting() int { return len(p.flight) - p.head }

// confirmed is the offset before which everything is in the filer.
func (p *progress) confirmed() int64 {
	if p.waiting() > 0 {
		return p.flight[p.head]
	}
	return p.next
}

// settled says whether the filer, as far as it was read, has nothing beyond confirmed: only then may
// the checkpoint's place in it move, since what is beyond is looked for from there.
func (p *progress) settled() bool { return len(p.have) == 0 }
