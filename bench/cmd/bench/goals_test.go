package main

import (
	"slices"
	"testing"

	"kelp/bench/load"
	"kelp/bench/servers"
	"kelp/bench/turns"
)

// TestGoalsNameWhatThereIs: a goal of a load or a server that is not there would never be looked at.
func TestGoalsNameWhatThereIs(t *testing.T) {
	all := scenarios(load.Size{Bytes: 1 << 30, WarmBytes: 1 << 28, Duration: 1, Partitions: []int{1000, 5000}})
	servs := servers.All(nil)
	for i, g := range goals {
		if !slices.ContainsFunc(all, func(s turns.Scenario) bool { return s.Name == g.Scenario }) {
			t.Errorf("goal %d: there is no load %s", i, g.Scenario)
		}
		for _, name := range []string{g.Pair.Ours, g.Pair.Theirs} {
			if name != "" && !slices.ContainsFunc(servs, func(s servers.Server) bool { return s.Name == name }) {
				t.Errorf("goal %d: there is no server %s", i, name)
			}
		}
		if (g.AtLeast > 0) == (g.AtMost > 0) {
			t.Errorf("goal %d asks for nothing or for two things", i)
		}
	}
}
