package batch

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

// TestLargeBatchesUnfoldOneAtATime, however many come; small ones do not wait for them.
func TestLargeBatchesUnfoldOneAtATime(t *testing.T) {
	plain := Encode([]Record{{Value: make([]byte, smallUnfoldedBytes+1)}}, NoProducer())
	bomb, err := Recompress(plain, Zstd, 3, MaxUnfoldedBytes)
	if err != nil || len(bomb) > 100_000 {
		t.Fatal(len(bomb), err)
	}
	var small, large, mostSmall, mostLarge atomic.Int64
	most := func(m *atomic.Int64, n int64) {
		for old := m.Load(); n > old && !m.CompareAndSwap(old, n); old = m.Load() {
		}
	}
	var wg sync.WaitGroup
	for range smallUnfolding + 4 {
		wg.Go(func() {
			err := InTurn(func(maxBytes int) error {
				now, top := &small, &mostSmall
				if maxBytes > smallUnfoldedBytes {
					now, top = &large, &mostLarge
				}
				most(top, now.Add(1))
				defer now.Add(-1)
				_, err := Validate(bytes.Clone(bomb), maxBytes, nil)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if mostLarge.Load() != 1 || mostSmall.Load() > smallUnfolding {
		t.Errorf("%d large and %d small batches unfolded at a time", mostLarge.Load(), mostSmall.Load())
	}
	tries := 0
	if err := InTurn(func(int) error { tries++; return ErrCorrupt }); !errors.Is(err, ErrCorrupt) || tries != 1 {
		t.Errorf("%v after %d tries", err, tries)
	}
}
