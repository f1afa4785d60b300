package cluster

import (
	"errors"
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
