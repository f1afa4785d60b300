package seaweed

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strconv"
	"sync"
)

// Limits of a probe.
const (
	probeRounds = 8
	probeRacers = 8
)

// Probe races creates of the same names below dir, over connections of their own, and returns
// ErrUnsafe when more or fewer than one of them won, when what the winner wrote is not what is
// there, or when the filer would let entries expire: a log cannot be kept safely there.
func (c *Client) Probe(ctx context.Context, dir string) error {
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	dir = path.Join(dir, "probe-"+hex.EncodeToString(id))
	racers := make([]*Client, probeRacers)
	for i := range racers {
		r, err := dial(c.where, c.o)
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		racers[i] = r
	}
	defer func() { _ = c.Delete(context.WithoutCancel(ctx), path.Dir(dir), path.Base(dir)) }()
	for round := range probeRounds {
		if err := c.race(ctx, racers, dir, strconv.Itoa(round)); err != nil {
			return fmt.Errorf("probe of filer %s: %w", c.where, err)
		}
	}
	return nil
}

// race lets all create one name.
func (c *Client) race(ctx context.Context, racers []*Client, dir, name string) error {
	content := func(i int) []byte { return []byte("racer " + strconv.Itoa(i)) }
	errs := make([]error, len(racers))
	var wg sync.WaitGroup
	for i, r := range racers {
		wg.Go(func() { errs[i] = r.CreateOnce(ctx, dir, Entry{Name: name, Content: content(i)}) })
	}
	wg.Wait()
	var won []int
	for i, err := range errs {
		switch {
		case err == nil:
			won = append(won, i)
		case !errors.Is(err, ErrExists):
			return err
		}
	}
	if len(won) != 1 {
		return fmt.Errorf("%w: %d of %d concurrent creates of one name succeeded, it must be 1: this version of SeaweedFS, or what its filer "+
			"keeps its metadata in, has no conditional create", ErrUnsafe, len(won), len(racers))
	}
	e, err := racers[(won[0]+1)%len(racers)].Lookup(ctx, dir, name)
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%w: an entry was not there just after it had been created", ErrUnsafe)
	case err != nil:
		return err
	case !bytes.Equal(e.Content, content(won[0])):
		return fmt.Errorf("%w: the entry does not hold what the create that succeeded wrote", ErrUnsafe)
	case e.TTLSeconds != 0:
		return fmt.Errorf("%w: entries expire after %d seconds: take the ttl off this folder (fs.configure in weed shell)",
			ErrUnsafe, e.TTLSeconds)
	}
	return nil
}

// ProbeBlob writes a few bytes to a volume server and reads them back. They stay there, unnamed.
func (c *Client) ProbeBlob(ctx context.Context, sync bool) error {
	want := []byte("kelp")
	b, err := c.PutBlob(ctx, want, sync)
	if err != nil {
		return err
	}
	got := make([]byte, len(want))
	if err := c.ReadBlob(ctx, b.FileID, 0, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("volume server gave %q for %q", got, want)
	}
	return nil
}
