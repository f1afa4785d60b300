// Package report turns samples into tables: each metric by server with minimum, median and
// maximum, and the ratios of servers that are compared, taken within a round.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kelp/bench/turns"
)

// Pair is two servers whose ratio is shown.
type Pair struct{ Ours, Theirs string }

// Goal is a ratio or a number to reach.
type Goal struct {
	Scenario, Metric string
	Pair             Pair // Theirs empty: the number of Ours itself
	AtLeast, AtMost  float64
	Peer             string // whose own ratio the goal is; empty: it was set
}

// Report is a whole result.
type Report struct {
	Title, Note, Machine, Revision, Date string
	Scenarios                            []turns.Scenario `json:"-"`
	Servers                              map[string]string
	Pairs                                []Pair
	Goals                                []Goal `json:"-"`
	Samples                              []turns.Sample
}

// stats are minimum, median and maximum.
type stats struct{ min, median, max float64 }

func statsOf(values []float64) stats {
	v := slices.Sorted(slices.Values(values))
	mid := v[len(v)/2]
	if len(v)%2 == 0 {
		mid = (mid + v[len(v)/2-1]) / 2
	}
	return stats{v[0], mid, v[len(v)-1]}
}

func (s stats) String() string {
	return fmt.Sprintf("%s (%s–%s)", number(s.median), number(s.min), number(s.max))
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func (r *Report) values(scenario, metric, server string) map[int]float64 {
	out := map[int]float64{}
	for _, s := range r.Samples {
		if s.Scenario == scenario && s.Metric == metric && s.Server == server {
			out[s.Round] = s.Value
		}
	}
	return out
}

// ratios are ours over theirs, round by round.
func (r *Report) ratios(scenario, metric string, p Pair) []float64 {
	var out []float64
	theirs := r.values(scenario, metric, p.Theirs)
	for round, ours := range r.values(scenario, metric, p.Ours) {
		if t, ok := theirs[round]; ok && t > 0 {
			out = append(out, ours/t)
		}
	}
	return out
}

// metrics of a scenario in the order in which they were recorded.
func (r *Report) metrics(scenario string) []string {
	var out []string
	for _, s := range r.Samples {
		if s.Scenario == scenario && !slices.Contains(out, s.Metric) {
			out = append(out, s.Metric)
		}
	}
	return out
}

func (r *Report) servers() []string {
	var out []string
	for _, s := range r.Samples {
		if !slices.Contains(out, s.Server) {
			out = append(out, s.Server)
		}
	}
	return out
}

// Markdown writes the report as a page.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s; Kelp at %s.\n\nMachine: %s.\n\n", r.Title, r.Date, r.Revision, r.Machine)
	if r.Note != "" {
		fmt.Fprintf(&b, "%s\n\n", strings.TrimSpace(r.Note))
	}
	b.WriteString("Cells are the median over the rounds with minimum and maximum. Ratios are ours over theirs within a round.\n\n")
	names := r.servers()
	for _, n := range names {
		fmt.Fprintf(&b, "- `%s`: %s\n", n, r.Servers[n])
	}
	for _, sc := range r.Scenarios {
		r.table(&b, sc, names)
	}
	r.goals(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) table(b *strings.Builder, sc turns.Scenario, names []string) {
	metrics := r.metrics(sc.Name)
	if len(metrics) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| |", sc.Name, sc.Doc)
	for _, n := range names {
		fmt.Fprintf(b, " %s |", n)
	}
	var pairs []Pair
	for _, p := range r.Pairs {
		if slices.Contains(names, p.Ours) && slices.Contains(names, p.Theirs) {
			pairs = append(pairs, p)
			fmt.Fprintf(b, " %s / %s |", p.Ours, p.Theirs)
		}
	}
	b.WriteString("\n|" + strings.Repeat("---|", 1+len(names)+len(pairs)) + "\n")
	for _, m := range metrics {
		fmt.Fprintf(b, "| %s |", m)
		for _, n := range names {
			cell(b, slices.Collect(mapValues(r.values(sc.Name, m, n))))
		}
		for _, p := range pairs {
			cell(b, r.ratios(sc.Name, m, p))
		}
		b.WriteString("\n")
	}
}

func mapValues(m map[int]float64) func(func(float64) bool) {
	return func(yield func(float64) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

func cell(b *strings.Builder, values []float64) {
	if len(values) == 0 {
		b.WriteString(" |")
		return
	}
	fmt.Fprintf(b, " %s |", statsOf(values))
}

// goals lists what was to be reached and whether the median reached it.
func (r *Report) goals(b *strings.Builder) {
	first := true
	for _, g := range r.Goals {
		what := g.Pair.Ours
		var values []float64
		if g.Pair.Theirs == "" {
			values = slices.Collect(mapValues(r.values(g.Scenario, g.Metric, g.Pair.Ours)))
		} else {
			what += " / " + g.Pair.Theirs
			values = r.ratios(g.Scenario, g.Metric, g.Pair)
		}
		if len(values) == 0 {
			continue
		}
		if first {
			b.WriteString("\n## Goals\n\n| scenario | metric | of | goal | median | reached |\n|---|---|---|---|---|---|\n")
			first = false
		}
		s, want, reached := statsOf(values), "≥ "+number(g.AtLeast), "no"
		if g.AtMost > 0 {
			want = "≤ " + number(g.AtMost)
		}
		if (g.AtMost > 0 && s.median <= g.AtMost) || (g.AtLeast > 0 && s.median >= g.AtLeast) {
			reached = "yes"
		}
		if g.Peer != "" {
			want += " (" + g.Peer + ")"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", g.Scenario, g.Metric, what, want, s, reached)
	}
}

// Write writes the page and the samples as NAME.md and NAME.json into dir.
func (r *Report) Write(dir, name string) error {
	page, err := os.Create(filepath.Join(dir, name+".md"))
	if err != nil {
		return err
	}
	defer page.Close()
	if err := r.Markdown(page); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".json"), append(text, '\n'), 0o644)
}
