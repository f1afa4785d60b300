package batch

import "errors"

// Limits of unfolding batches that clients chose: most are small and unfold side by side, those that
// turn out to be large wait for each other, so that a thousand of them take the memory of one.
const (
	// MaxUnfoldedBytes bounds what one batch may unfold to.
	MaxUnfoldedBytes = 256 << 20

	smallUnfoldedBytes = 8 << 20 // what takes no more unfolds at once
	smallUnfolding     = 16      // so many of them at a time
)

var (
	smallTurns = make(chan struct{}, smallUnfolding)
	largeTurn  = make(chan struct{}, 1)
)

// InTurn runs do, which unfolds a batch to at most so many bytes and holds them no longer than the call.
// do runs again, in turn, when that is not enough, and must be able to.
func InTurn(do func(maxBytes int) error) error {
	smallTurns <- struct{}{}
	err := do(smallUnfoldedBytes)
	<-smallTurns
	if !errors.Is(err, ErrTooLarge) {
		return err
	}
	largeTurn <- struct{}{}
	defer func() { <-largeTurn }()
	return do(MaxUnfoldedBytes)
}
