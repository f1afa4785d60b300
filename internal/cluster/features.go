package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// Feature is one thing that the whole cluster can do at one of several levels (KIP-584). Clients
// choose their protocol by the finalized level.
type Feature struct {
	Name     string
	Min, Max int16
	Standard int16 // the level of a cluster that nobody changed
}

// TransactionVersion is the level of transactions: 0 is Kafka 0.11's protocol, 1 keeps flexible
// records, 2 bumps the epoch at every end (KIP-890).
var TransactionVersion = Feature{"transaction.version", 0, 2, 2}

// GroupVersion is the level of groups: 1 brings the consumer protocol (KIP-848).
var GroupVersion = Feature{"group.version", 0, 1, 1}

// Features are all that this version knows, by name.
var Features = []Feature{GroupVersion, TransactionVersion}

// The reasons for which a level is refused.
var (
	ErrFeature        = errors.New("the feature is not known")
	ErrFeatureLevel   = errors.New("the level is not supported")
	ErrFeatureUpgrade = errors.New("the level goes the other way")
)

// featureRec finalizes a level.
type featureRec struct {
	Name  string `json:"name"`
	Level int16  `json:"level"`
}

// Level is the finalized level of a feature.
func (img *Image) Level(f Feature) int16 {
	if level, set := img.levels[f.Name]; set {
		return min(max(level, f.Min), f.Max)
	}
	return f.Standard
}

func (img *Image) finalize(r featureRec) {
	img.levels = maps.Clone(img.levels)
	if img.levels == nil {
		img.levels = map[string]int16{}
	}
	img.levels[r.Name] = r.Level
	img.FeaturesEpoch++
}

// LevelChange asks for a finalized level. Down says that lowering it is meant.
type LevelChange struct {
	Name  string
	Level int16
	Down  bool
}

// FinalizeLevels makes levels the cluster's, all or none. errs are the reasons, in the order asked.
func (c *Catalog) FinalizeLevels(ctx context.Context, changes []LevelChange, validateOnly bool) (errs []error, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	refused := false
	for _, l := range changes {
		err := c.Image().mayFinalize(l)
		refused = refused || err != nil
		errs = append(errs, err)
	}
	if refused || validateOnly {
		return errs, nil
	}
	for _, l := range changes {
		if f, _ := feature(l.Name); c.Image().Level(f) == l.Level {
			continue
		}
		if err := c.change(ctx, record{Feature: &featureRec{l.Name, l.Level}}); err != nil {
			return errs, err
		}
	}
	return errs, nil
}

func (img *Image) mayFinalize(l LevelChange) error {
	f, known := feature(l.Name)
	switch {
	case !known:
		return fmt.Errorf("%w: %s", ErrFeature, l.Name)
	case l.Level < f.Min || l.Level > f.Max:
		return fmt.Errorf("%w: %s has levels %d to %d, not %d", ErrFeatureLevel, l.Name, f.Min, f.Max, l.Level)
	case l.Level < img.Level(f) && !l.Down:
		return fmt.Errorf("%w: %s is at %d, lowering it to %d needs a downgrade", ErrFeatureUpgrade, l.Name, img.Level(f), l.Level)
	case l.Level > img.Level(f) && l.Down:
		return fmt.Errorf("%w: %s is at %d, which a downgrade cannot raise to %d", ErrFeatureUpgrade, l.Name, img.Level(f), l.Level)
	}
	return nil
}

func feature(name string) (Feature, bool) {
	for _, f := range Features {
		if f.Name == name {
			return f, true
		}
	}
	return Feature{}, false
}
