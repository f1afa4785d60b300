package cluster

import (
	"errors"
	"testing"
	"time"

	"kelp/internal/storage/embedded"
)

func TestGroupConfigsAreCheckedAndKept(t *testing.T) {
	dir := t.TempDir()
	const session, heartbeat = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"
	const interval = "consumer.assignment.interval.ms"
	for round := range 2 {
		s, err := embedded.Open(dir, embedded.Options{})
		if err != nil {
			t.Fatal(err)
		}
		c, err := Open(t.Context(), s, Options{Now: time.Now, Static: Configs{"group.consumer.session.timeout.ms": "50000"}})
		if err != nil {
			t.Fatal(err)
		}
		set := func(configs Configs, want error) {
			t.Helper()
			err := c.ConfigureGroup(t.Context(), "g", func(*Image) (Configs, error) { return configs, nil }, false)
			if !errors.Is(err, want) {
				t.Fatalf("%v: %v, want %v", configs, err, want)
			}
		}
		want := 50000
		if round > 0 {
			want = 55000
		}
		if n := c.Image().GroupNumber("g", session); n != want {
			t.Fatalf("round %d: %d", round, n)
		}
		set(Configs{session: "1"}, ErrInvalidConfig)
		set(Configs{session: "60001"}, ErrInvalidConfig)
		set(Configs{heartbeat: "4999"}, ErrInvalidConfig)
		set(Configs{"consumer.colour": "blue"}, ErrInvalidConfig)
		set(Configs{session: "55000", heartbeat: "6000"}, nil)
		if n := c.Image().GroupNumber("other", session); n != 50000 {
			t.Fatal(n)
		}
		set(Configs{interval: "15001"}, ErrInvalidConfig)
		set(Configs{interval: "-1"}, ErrInvalidConfig)
		set(Configs{session: "55000", heartbeat: "6000", interval: "15000"}, nil)
		if n := c.Image().GroupNumber("g", interval); n != 15000 {
			t.Fatal(n)
		}
		k, _ := GroupKey(session)
		if all := c.Image().GroupSynonyms("g", k); len(all) != 3 || all[0].Source != FromGroup || all[1].Source != FromStatic {
			t.Fatalf("%+v", all)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
