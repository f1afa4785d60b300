package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kelp/internal/schema"
	"kelp/internal/schema/client"
)

// comparison is what check and diff were asked.
type comparison struct {
	f                            *schemaFlags
	level, kind, policy, subject string
	references, oldReferences    []string
	everything                   bool // diff: both directions and the plan
	next                         schema.Compared
	history                      []schema.Compared
	config                       schema.Config
}

func schemaCheck(f *schemaFlags) *cobra.Command {
	q := &comparison{f: f}
	c := &cobra.Command{
		Use: "check OLD... NEW", Short: "Say whether a schema may follow others, why not, and what to do instead",
		Long: `Compares the schema NEW with those before it, the oldest first: files, or with --subject the versions that a
subject of the registry has, under its own level unless --level names one.

The type comes from the file's name (.avsc, .proto, .json) or --type. Exit code 0: compatible; 1: not; 2: no answer.`,
		Example: `  kelp schema check old.avsc new.avsc
  kelp schema check v1.proto v2.proto v3.proto --level full_transitive
  kelp schema check --subject orders-value orders.avsc -o json`,
		Args: needs(1, -1, "OLD and NEW, or --subject and NEW"),
	}
	q.flags(c)
	c.Flags().StringVarP(&q.level, "level", "l", "",
		"level to check: none, backward, forward, full, or these with _transitive (default backward, or the subject's)")
	c.RunE = func(c *cobra.Command, files []string) error {
		if err := q.load(c, files); err != nil {
			return err
		}
		return q.check(c)
	}
	return c
}

func schemaDiff(f *schemaFlags) *cobra.Command {
	q := &comparison{f: f, everything: true}
	c := &cobra.Command{
		Use: "diff OLD... NEW", Short: "List what differs between schemas and how to get from one to the other",
		Long: `Lists the differences of NEW from those before it, in both directions: what new readers miss in old data and what
old readers miss in new data. Then it says which levels the change keeps and in which order to upgrade producers and
consumers. Exit code 0: nothing breaks in any direction; 1: something does; 2: no answer.`,
		Example: `  kelp schema diff old.avsc new.avsc
  kelp schema diff --subject orders-value orders.avsc`,
		Args: needs(1, -1, "OLD and NEW, or --subject and NEW"),
	}
	q.flags(c)
	c.RunE = func(c *cobra.Command, files []string) error {
		if err := q.load(c, files); err != nil {
			return err
		}
		return q.diff(c)
	}
	return c
}

func (q *comparison) flags(c *cobra.Command) {
	c.Flags().StringVarP(&q.kind, "type", "t", "", "avro, protobuf or json; the file's name says it otherwise")
	c.Flags().StringVar(&q.policy, "policy", "strict", "how strictly JSON Schemas are compared: strict or lenient")
	c.Flags().StringVar(&q.subject, "subject", "", "compare with the versions of this subject of the registry")
	c.Flags().StringArrayVarP(&q.references, "ref", "r", nil, "name=FILE of a schema that these use; each after those that it needs")
	c.Flags().StringArrayVar(&q.oldReferences, "old-ref", nil,
		"name=FILE of a schema that the old ones use, where that is another file than --ref names")
}

// load reads and parses everything.
func (q *comparison) load(c *cobra.Command, files []string) error {
	if q.subject == "" && len(files) < 2 {
		return trouble(errors.New("give at least two files, the older first, or --subject and one file"))
	}
	dependencies, err := readDependencies(c, "--ref", q.references, nil)
	if err != nil {
		return err
	}
	older, err := readDependencies(c, "--old-ref", q.oldReferences, dependencies)
	if err != nil {
		return err
	}
	for i, file := range files {
		t, err := typeOf(q.kind, file)
		if err != nil {
			return err
		}
		text, err := readText(c, file)
		if err != nil {
			return err
		}
		source := schema.Source{Text: text, Dependencies: dependencies}
		if i < len(files)-1 {
			source.Dependencies = older
		}
		parsed, err := formats[t].Parse(source)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		q.history = append(q.history, schema.Compared{Number: int32(i + 1), Schema: parsed})
	}
	last := len(q.history) - 1
	q.next, q.history = q.history[last], q.history[:last]
	q.config = schema.Config{CompatibilityLevel: schema.Backward, CompatibilityPolicy: strings.ToUpper(q.policy)}
	if q.config.CompatibilityPolicy != schema.Strict && q.config.CompatibilityPolicy != schema.Lenient {
		return fmt.Errorf("--policy %q: choose strict or lenient", q.policy)
	}
	if q.subject != "" {
		if err := q.f.with(c, q.fetch); err != nil {
			return err
		}
	}
	if q.level != "" {
		level, err := schema.ParseLevel(q.level)
		if err != nil {
			return trouble(fmt.Errorf("--level %q: %w", q.level, err))
		}
		q.config.CompatibilityLevel = level
	}
	return nil
}

// readDependencies reads what a flag names, in the place of those of the same name among others.
func readDependencies(c *cobra.Command, flag string, named []string, others []schema.Dependency) ([]schema.Dependency, error) {
	all := slices.Clone(others)
	for _, r := range named {
		name, file, ok := strings.Cut(r, "=")
		if !ok || name == "" {
			return nil, trouble(fmt.Errorf("%s %q: write name=FILE", flag, r))
		}
		text, err := readText(c, file)
		if err != nil {
			return nil, err
		}
		one := schema.Dependency{Name: name, Text: text}
		if i := slices.IndexFunc(all, func(d schema.Dependency) bool { return d.Name == name }); i >= 0 {
			all[i] = one
		} else {
			all = append(all, one)
		}
	}
	return all, nil
}

// fetch reads the versions of the subject and its config.
func (q *comparison) fetch(ctx context.Context, cl *client.Client) error {
	config, err := cl.Config(ctx, q.subject)
	if err != nil {
		return err
	}
	policy := q.config.CompatibilityPolicy
	q.config = config
	if policy == schema.Lenient {
		q.config.CompatibilityPolicy = policy
	}
	versions, err := cl.Versions(ctx, q.subject)
	if err != nil {
		return err
	}
	q.history = nil
	for _, number := range versions {
		v, err := cl.Version(ctx, q.subject, number)
		if err != nil {
			return err
		}
		source, err := cl.Source(ctx, v)
		if err != nil {
			return err
		}
		parsed, err := formats[v.Type].Parse(source)
		if err != nil {
			return fmt.Errorf("version %d of %s: %w", number, q.subject, err)
		}
		q.history = append(q.history, schema.Compared{Number: number, Schema: parsed, Metadata: v.Metadata})
	}
	return nil
}

// findingJSON is a finding as -o json prints it.
type findingJSON struct {
	Version   int32            `json:"version"`
	Direction schema.Direction `json:"direction"`
	Type      string           `json:"type"`
	Path      string           `json:"path,omitempty"`
	Warning   bool             `json:"warning,omitempty"`
	Message   string           `json:"message"`
	Reader    string           `json:"reader,omitempty"`
	Writer    string           `json:"writer,omitempty"`
	Why       string           `json:"why,omitempty"`
	Advice    string           `json:"advice,omitempty"`
}

func (q *comparison) findings(all []schema.Finding) []findingJSON {
	out := []findingJSON{}
	for _, f := range all {
		out = append(out, findingJSON{
			f.Version, f.Direction, f.Type, f.Path, f.Warning, f.Sentence(q.next.Schema.Type()), f.Reader, f.Writer, f.Why, f.Advice,
		})
	}
	return out
}

func (q *comparison) check(c *cobra.Command) error {
	v := schema.Check(q.next, q.history, &q.config)
	err := q.f.print(c, struct {
		Compatible bool          `json:"compatible"`
		Level      schema.Level  `json:"level"`
		Findings   []findingJSON `json:"findings"`
	}{v.Compatible, v.Level, q.findings(v.Findings)}, func(w io.Writer) {
		paint := colourOf(c)
		q.list(w, paint, v.Findings)
		if v.Compatible {
			fmt.Fprintf(w, "%s under %s\n", paint.green("compatible"), v.Level)
		} else {
			fmt.Fprintf(w, "%s under %s\n", paint.red("incompatible"), v.Level)
		}
	})
	if err == nil && !v.Compatible {
		return errNo
	}
	return err
}

func (q *comparison) diff(c *cobra.Command) error {
	plan := schema.PlanMigration(q.next, q.history, q.config.Options())
	breaks := false
	for _, f := range plan.Findings {
		breaks = breaks || !f.Warning
	}
	err := q.f.print(c, struct {
		Findings  []findingJSON  `json:"findings"`
		Holds     []schema.Level `json:"holds"`
		Strongest schema.Level   `json:"strongest"`
		First     string         `json:"first"`
		Steps     []string       `json:"steps"`
	}{q.findings(plan.Findings), plan.Holds, plan.Strongest, plan.First, plan.Steps}, func(w io.Writer) {
		paint := colourOf(c)
		q.list(w, paint, plan.Findings)
		words := make([]string, len(plan.Holds))
		for i, l := range plan.Holds {
			words[i] = string(l)
		}
		fmt.Fprintf(w, "%s %s\n", paint.bold("passes under:"), strings.Join(words, ", "))
		fmt.Fprintf(w, "%s %s\n", paint.bold("upgrade first:"), plan.First)
		for i, step := range plan.Steps {
			fmt.Fprintf(w, "  %d. %s\n", i+1, step)
		}
	})
	if err == nil && breaks {
		return errNo
	}
	return err
}

// list prints findings for people.
func (q *comparison) list(w io.Writer, paint colour, all []schema.Finding) {
	for _, f := range all {
		title := f.Type
		if title == "" {
			title = "INCOMPATIBLE"
		}
		if f.Path != "" {
			title += " at " + f.Path
		}
		if f.Warning {
			title = paint.yellow("warning: " + title)
		} else {
			title = paint.red(title)
		}
		fmt.Fprintf(w, "%s (version %d, %s)\n", title, f.Version, f.Direction)
		for _, part := range []struct{ name, text string }{
			{"reader", f.Reader}, {"writer", f.Writer}, {"why", f.Why}, {"instead", f.Advice},
		} {
			if part.text != "" {
				fmt.Fprintf(w, "  %-8s %s\n", part.name, part.text)
			}
		}
	}
}
