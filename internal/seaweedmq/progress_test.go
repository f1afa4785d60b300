package seaweedmq

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestStampsGrowAndCarryTheOffset(t *testing.T) {
	s := stamps{}
	last := int64(0)
	nowMs := int64(1_700_000_000_000)
	for i, offset := range []int64{0, 1, 2, 999_999, 1_000_000, 1_000_001, 1_999_999, 2_000_000, 5, 6, 123_456_789} {
		if i == 4 {
			nowMs -= 5000 // a clock that is set back
		}
		ts := s.next(nowMs, offset)
		if ts <= last {
			t.Errorf("%d after %d", ts, last)
		}
		for _, near := range []int64{offset, offset + 499_999, offset - 499_999} {
			if got := offsetOf(ts, near); got != offset {
				t.Errorf("offset %d near %d: %d", offset, near, got)
			}
		}
		last = ts
	}
}

func TestOnlyWhatWasSeenIsConfirmed(t *testing.T) {
	p := resume(10)
	for _, o := range []int64{10, 12, 15} { // 11, 13 and 14 are markers and aborted
		if !p.wants(o, 0) {
			t.Fatalf("%d is not wanted", o)
		}
		p.publish(o)
	}
	p.pass(20)
	f := func(offset, confirmed int64, waiting int) {
		t.Helper()
		if err := p.seen(offset, 0); err != nil {
			t.Error(err)
		}
		if p.confirmed() != confirmed || p.waiting() != waiting {
			t.Errorf("after %d: confirmed %d, waiting %d", offset, p.confirmed(), p.waiting())
		}
	}
	f(10, 12, 2)
	f(10, 12, 2) // a repeat
	f(12, 15, 1)
	f(15, 20, 0)
	if p.repeats != 1 {
		t.Errorf("%d repeats", p.repeats)
	}
}

func TestWhatTheFilerHasIsNotPublishedAgain(t *testing.T) {
	p := resume(5)
	for _, o := range []int64{3, 4, 5, 6, 6, 8} {
		p.found(o, uint64(o))
	}
	if p.repeats != 3 {
		t.Errorf("%d repeats", p.repeats)
	}
	if p.settled() {
		t.Error("settled while the filer has more than what is confirmed")
	}
	var published []int64
	for o := int64(5); o < 10; o++ {
		sum := uint64(o)
		if o == 6 {
			sum = 99 // the filer has other bytes under this number: not the same record
		}
		if p.wants(o, sum) {
			published = append(published, o)
			p.publish(o)
		} else {
			p.pass(o + 1)
		}
	}
	if !slices.Equal(published, []int64{6, 7, 9}) {
		t.Errorf("published %v", published)
	}
	if !p.settled() || p.confirmed() != 6 {
		t.Errorf("settled %v, confirmed %d", p.settled(), p.confirmed())
	}
}

func TestAGapAsksForANewStream(t *testing.T) {
	p := resume(0)
	for o := range int64(3) {
		p.publish(o)
	}
	if err := p.seen(1, 0); !errors.Is(err, errLost) {
		t.Errorf("%v", err)
	}
}

// A simulated broker and filer with crashes of everything: at the end the filer has every record that
// is not aborted, in order but for what the rules admit, and nothing was confirmed too early.
func TestNothingIsMissingWhateverCrashes(t *testing.T) {
	for seed := range uint64(2000) {
		if err := crashes(seed); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// world is what survives: Kafka's log, the filer, and the checkpoint.
type world struct {
	rng       *rand.Rand
	log       []int64 // offsets of records
	end       int64
	filer     []int64 // offsets in the order of entries
	memory    []int64 // of the broker
	confirmed int64   // checkpoint
	at        int     // its place in the filer
}

func crashes(seed uint64) error {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1))}
	for w.end < 60 {
		if w.rng.IntN(4) > 0 {
			w.log = append(w.log, w.end)
		}
		w.end++
	}
	for session := 0; w.confirmed < w.end; session++ {
		if session > 10_000 {
			return errors.New("no end")
		}
		if err := w.session(); err != nil {
			return err
		}
	}
	var once []int64
	for _, o := range w.filer {
		if !slices.Contains(once, o) {
			once = append(once, o)
		}
	}
	if slices.Sort(once); !slices.Equal(once, w.log) {
		return fmt.Errorf("the filer has %v, the log %v", once, w.log)
	}
	return nil
}

// session is one stream: it recovers, publishes, and ends in some crash.
func (w *world) session() error {
	if late := w.rng.IntN(3) == 0; !late {
		w.flush(len(w.memory)) // the stream before is gone: its partition was flushed
	}
	p := resume(w.confirmed)
	read := w.at
	for ; read < len(w.filer); read++ {
		p.found(w.filer[read], 0)
	}
	for range w.rng.IntN(100) {
		switch w.rng.IntN(3) {
		case 0:
			w.publish(p)
		case 1:
			w.flush(w.rng.IntN(len(w.memory) + 1))
		case 2:
			for ; read < len(w.filer); read++ {
				if err := p.seen(w.filer[read], 0); err != nil {
					return nil //nolint:nilerr // a new stream fills the gap
				}
			}
			if err := w.save(p, read); err != nil {
				return err
			}
		}
	}
	if w.rng.IntN(2) == 0 {
		w.memory = nil // the broker is killed
	}
	return nil
}

func (w *world) publish(p *progress) {
	i, found := slices.BinarySearch(w.log, p.next)
	switch {
	case i == len(w.log):
		p.pass(w.end)
	case !found:
		p.pass(w.log[i])
	case p.wants(w.log[i], 0):
		p.publish(w.log[i])
		w.memory = append(w.memory, w.log[i])
	default:
		p.pass(w.log[i] + 1)
	}
}

func (w *world) flush(n int) {
	w.filer = append(w.filer, w.memory[:n]...)
	w.memory = slices.Clone(w.memory[n:])
}

func (w *world) save(p *progress, read int) error {
	if !p.settled() {
		return nil
	}
	w.confirmed, w.at = p.confirmed(), read
	for _, o := range w.log {
		if o < w.confirmed && !slices.Contains(w.filer, o) {
			return fmt.Errorf("%d is confirmed and not in the filer", o)
		}
	}
	return nil
}
