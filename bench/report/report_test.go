package report

import (
	"strings"
	"testing"

	"kelp/bench/turns"
)

func sample(round int, server string, value float64) turns.Sample {
	return turns.Sample{Round: round, Scenario: "load", Server: server, Metric: "MB/s", Value: value}
}

// TestGoals: a ratio is taken within a round, the median decides, and a round that only one of the
// two has played does not count.
func TestGoals(t *testing.T) {
	pair := Pair{Ours: "ours", Theirs: "theirs"}
	r := &Report{
		Scenarios: []turns.Scenario{{Name: "load"}}, Pairs: []Pair{pair}, Servers: map[string]string{"ours": "we", "theirs": "they"},
		Samples: []turns.Sample{
			sample(1, "ours", 30), sample(1, "theirs", 10), // 3
			sample(2, "ours", 20), sample(2, "theirs", 20), // 1
			sample(3, "ours", 40), sample(3, "theirs", 20), // 2
			sample(4, "ours", 1000),
		},
		Goals: []Goal{
			{Scenario: "load", Metric: "MB/s", Pair: pair, AtLeast: 2},
			{Scenario: "load", Metric: "MB/s", Pair: pair, AtLeast: 2.1, Peer: "peer's"},
			{Scenario: "load", Metric: "MB/s", Pair: pair, AtMost: 1.9},
			{Scenario: "load", Metric: "MB/s", Pair: Pair{Ours: "theirs"}, AtMost: 20},
			{Scenario: "another", Metric: "MB/s", Pair: pair, AtLeast: 1},
		},
	}
	var b strings.Builder
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	_, goals, _ := strings.Cut(b.String(), "## Goals")
	want := []string{
		"| load | MB/s | ours / theirs | ≥ 2.00 | 2.00 (1.00–3.00) | yes |",
		"| load | MB/s | ours / theirs | ≥ 2.10 (peer's) | 2.00 (1.00–3.00) | no |",
		"| load | MB/s | ours / theirs | ≤ 1.90 | 2.00 (1.00–3.00) | no |",
		"| load | MB/s | theirs | ≤ 20.0 | 20.0 (10.0–20.0) | yes |",
	}
	var got []string
	for line := range strings.Lines(goals) {
		if strings.HasPrefix(line, "| load") || strings.HasPrefix(line, "| another") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("goals:\n%s", strings.Join(got, "\n"))
	}
}
