package cluster

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"kelp/internal/storage/embedded"
)

func TestMetadataSurvivesAndProducerIDsAreNeverRepeated(t *testing.T) {
	dir := t.TempDir()
	var clusterID string
	seen := map[int64]bool{}
	for round := range 3 {
		s, err := embedded.Open(dir, embedded.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := Open(t.Context(), s, Options{Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if round > 0 && c.Image().ClusterID != clusterID {
			t.Fatal("the cluster id changed")
		}
		clusterID = c.Image().ClusterID
		_, err = c.CreateTopic(t.Context(), Topic{Name: "kept", Partitions: 4}, false)
		if round == 0 && err != nil || round > 0 && !errors.Is(err, ErrExists) {
			t.Fatal(err)
		}
		if gone, err := c.CreateTopic(t.Context(), Topic{Name: "gone", Partitions: 1}, false); err != nil {
			t.Fatal(err)
		} else if _, err := c.DeleteTopic(t.Context(), gone.ID); err != nil {
			t.Fatal(err)
		}
		if img := c.Image(); len(img.ByID) != 1 || img.ByName["kept"].Partitions != 4 {
			t.Fatalf("%+v", img)
		}
		for range 1500 {
			id, err := c.Next(t.Context())
			if err != nil || seen[id] {
				t.Fatal(id, err)
			}
			seen[id] = true
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTopicsAreMadeTogetherAndFailAlone(t *testing.T) {
	dir := t.TempDir()
	s, err := embedded.Open(dir, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.Context(), s, Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateTopic(t.Context(), Topic{Name: "old", Partitions: 1}, false); err != nil {
		t.Fatal(err)
	}
	asked := []Topic{
		{Name: "old", Partitions: 1},
		{Name: "a.b", Partitions: 2},
		{Name: "a_b", Partitions: 1},
		{Name: "none", Partitions: 0},
		{Name: "wrong", Partitions: 1, Configs: Configs{"retention.ms": "soon"}},
	}
	for i := range 1000 {
		asked = append(asked, Topic{Name: fmt.Sprintf("t%d", i), Partitions: 1})
	}
	_, before := c.log.Bounds()
	for _, validateOnly := range []bool{true, false} {
		made, errs := c.CreateTopics(t.Context(), asked, validateOnly)
		if !errors.Is(errs[0], ErrExists) || !errors.Is(errs[2], ErrCollides) || !errors.Is(errs[3], ErrInvalidPartitions) || errs[4] == nil {
			t.Fatal(errs[:5])
		}
		for i, err := range errs {
			if _, there := c.Image().ByName[asked[i].Name]; i != 0 && there != (err == nil && !validateOnly) {
				t.Fatalf("%s: %v, there %v, validate only %v", asked[i].Name, err, there, validateOnly)
			}
			if err == nil && made[i].ID == [16]byte{} {
				t.Fatalf("%s has no id", asked[i].Name)
			}
		}
	}
	if _, after := c.log.Bounds(); after != before+1001 {
		t.Fatalf("offsets %d to %d", before, after)
	}
	want := c.Image()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = embedded.Open(dir, embedded.Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if c, err = Open(t.Context(), s, Options{Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	same := func(a, b Topic) bool { return a.Name == b.Name && a.Partitions == b.Partitions }
	if got := c.Image(); !maps.EqualFunc(got.ByID, want.ByID, same) {
		t.Fatalf("%d topics after a restart, want %d", len(got.ByID), len(want.ByID))
	}
}

// TestRefusedValuesStayWhereTheyAre: what a server no longer takes keeps nobody from changing the rest of a topic.
func TestRefusedValuesStayWhereTheyAre(t *testing.T) {
	store, err := embedded.Open(t.TempDir(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	taken := true
	c, err := Open(t.Context(), store, Options{Now: time.Now, Refuse: func(_, value string) error {
		if value == "one" && !taken {
			return errors.New("it is gone")
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	create := func(name string) error {
		_, err := c.CreateTopic(t.Context(), Topic{Name: name, Partitions: 1, Configs: Configs{SchemaRegistryKey: "one"}}, false)
		return err
	}
	set := func(configs Configs) error {
		return c.ConfigureTopic(t.Context(), "a", func(Topic, *Image) (Configs, error) { return configs, nil }, false)
	}
	if err := create("a"); err != nil || c.Image().ByName["a"].Config.SchemaRegistry != "one" {
		t.Fatal(err)
	}
	taken = false
	if err := create("b"); !errors.Is(err, ErrInvalidConfig) || !strings.Contains(err.Error(), "it is gone") {
		t.Error(err)
	}
	if err := set(Configs{SchemaRegistryKey: "one", "retention.ms": "5"}); err != nil {
		t.Error(err)
	}
	if err := set(Configs{SchemaRegistryKey: ""}); err != nil {
		t.Error(err)
	}
	if err := set(Configs{SchemaRegistryKey: "one"}); !errors.Is(err, ErrInvalidConfig) {
		t.Error(err)
	}
}
