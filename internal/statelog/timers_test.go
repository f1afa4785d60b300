package statelog

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// The heap must agree with the plain map that it stands for.
func TestTimersComeInOrderAfterMovesAndCancels(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		start := time.Unix(1_000_000, 0)
		var have timers
		want := map[string]time.Time{}
		now := start
		for range 500 {
			key := fmt.Sprint(rng.IntN(40))
			switch rng.IntN(4) {
			case 0:
				have.set(Timer{Key: key})
				delete(want, key)
			case 1:
				now = now.Add(time.Duration(rng.IntN(20)) * time.Second)
				last := time.Time{}
				for {
					key, due := have.due(now)
					if !due {
						break
					}
					at, known := want[key]
					if !known || at.After(now) || at.Before(last) {
						t.Fatalf("seed %d: %s at %v, known %v, after %v", seed, key, at, known, last)
					}
					last = at
					delete(want, key)
				}
				for key, at := range want {
					if !at.After(now) {
						t.Fatalf("seed %d: %s was due and did not come", seed, key)
					}
				}
			default:
				at := now.Add(time.Duration(rng.IntN(100)) * time.Second)
				have.set(Timer{Key: key, At: at})
				want[key] = at
			}
		}
	}
}
