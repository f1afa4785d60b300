package topic

import (
	"testing"

	"kelp/internal/storage/memory"
)

// EndOfEpoch answers as Kafka's LeaderEpochFileCache.endOffsetFor does.
func TestEndOfEpoch(t *testing.T) {
	s := memory.New()
	owner := func(epoch int32, batches int) *Partition {
		o := options()
		o.Epoch = epoch
		p, err := Open(t.Context(), s, id, o)
		if err != nil {
			t.Fatal(err)
		}
		for range batches {
			a, err := p.Produce(of(-1, -1, -1, 1, 2), Client{})
			if err == nil {
				err = a.Pending.Wait(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return p
	}
	owner(2, 2)
	owner(5, 3)
	p := owner(9, 0)
	for _, c := range []struct {
		asked, epoch int32
		end          int64
	}{
		{0, 0, 0}, // before all that are known: it ended where they start
		{2, 2, 4},
		{3, 2, 4},
		{5, 5, 10},
		{8, 5, 10},
		{9, 9, 10},
		{10, -1, -1},
	} {
		if epoch, end := p.EndOfEpoch(c.asked); epoch != c.epoch || end != c.end {
			t.Errorf("epoch %d: %d ends at %d, want %d at %d", c.asked, epoch, end, c.epoch, c.end)
		}
	}
}
