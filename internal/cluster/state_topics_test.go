package cluster

import (
	"errors"
	"testing"
	"time"

	"kelp/internal/storage/embedded"
)

func TestAStateTopicIsShownOnceAndStays(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		s, err := embedded.Open(dir, embedded.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := Open(t.Context(), s, Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, shown := c.Image().ByName["__consumer_offsets"]; shown != (round > 0) {
			t.Fatalf("round %d: shown %v", round, shown)
		}
		if conf := c.Image().ConfigOf(ConsumerOffsets.ID); conf == nil || !conf.Compact || conf.Delete {
			t.Fatalf("%+v", conf)
		}
		for range 2 {
			if err := c.Show(t.Context(), ConsumerOffsets); err != nil {
				t.Fatal(err)
			}
		}
		img := c.Image()
		shown := img.ByName["__consumer_offsets"]
		if !shown.Internal() || shown.Partitions != 1 || shown.ID != ConsumerOffsets.ID || img.ByID[shown.ID].Name != shown.Name {
			t.Fatalf("%+v", shown)
		}
		if _, err := c.DeleteTopic(t.Context(), shown.ID); !errors.Is(err, ErrState) {
			t.Fatal(err)
		}
		if err := c.Grow(t.Context(), shown.Name, 3, false); !errors.Is(err, ErrState) {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever creates a topic of such a name gets the cluster's own, with its id and configs.
func TestCreatingAStateTopicShowsIt(t *testing.T) {
	s, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := Open(t.Context(), s, Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateTopic(t.Context(), Topic{Name: "_schemas", Partitions: 7}, false); !errors.Is(err, ErrExists) {
		t.Fatal(err)
	}
	if made := c.Image().ByName["_schemas"]; made.ID != Schemas.ID || made.Partitions != 1 || made.Internal() {
		t.Fatalf("%+v", made)
	}
}
