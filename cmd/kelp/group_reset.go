package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func groupReset(f *groupFlags) *cobra.Command {
	var to string
	var by int64
	var execute bool
	c := &cobra.Command{
		Use: "reset GROUP TOPIC[:PARTITION,...]...", Short: "Move the offsets of a group without members",
		Long: "Shows where the offsets would go; with --execute it commits them.",
		Example: `  kelp group reset billing orders --to start
  kelp group reset billing orders:0,3 --to 2026-01-31T08:00:00Z --execute
  kelp group reset billing orders --to -2h
  kelp group reset billing orders --by -100 --execute`,
		Args: needs(2, -1, "a GROUP and at least one TOPIC"),
		RunE: func(c *cobra.Command, args []string) error {
			r := resetting{group: args[0], by: by, shift: c.Flags().Changed("by"), execute: execute}
			if r.shift == c.Flags().Changed("to") {
				return fmt.Errorf("say where to go: --to %s, or --by how many records", places)
			}
			var err error
			if !r.shift {
				if r.to, err = parsePlace("--to", to); err != nil {
					return err
				}
			}
			if r.partitions, err = parsePartitions(args[1:]); err != nil {
				return err
			}
			return admin(c, *f.servers, func(ctx context.Context, a *kadm.Client) error { return f.reset(ctx, c, a, r) })
		},
	}
	c.Flags().StringVar(&to, "to", "", "where the group goes on: "+places)
	c.Flags().Int64Var(&by, "by", 0, "how many records to go on (or back, when negative) from the committed offset")
	c.Flags().BoolVar(&execute, "execute", false, "commit the offsets instead of just showing them")
	return c
}

type resetting struct {
	group      string
	partitions map[string][]int32 // by topic; none are all
	to         place
	by         int64
	shift      bool
	execute    bool
}

// parsePartitions reads topics, each with or without some of its partitions.
func parsePartitions(args []string) (map[string][]int32, error) {
	out := map[string][]int32{}
	for _, arg := range args {
		topic, list, some := strings.Cut(arg, ":")
		out[topic] = append(out[topic], []int32{}...)
		if !some {
			continue
		}
		for p := range strings.SplitSeq(list, ",") {
			n, err := strconv.ParseInt(p, 10, 32)
			if err != nil || n < 0 {
				return nil, fmt.Errorf("%q: write TOPIC or TOPIC:0,1", arg)
			}
			out[topic] = append(out[topic], int32(n))
		}
	}
	return out, nil
}

// newOffset is where a partition goes.
type newOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"`
	Offset    int64  `json:"newOffset"`
}

// resetResult is what a reset shows.
type resetResult struct {
	Group    string      `json:"group"`
	Executed bool        `json:"executed"`
	Offsets  []newOffset `json:"offsets"`
}

func (f *groupFlags) reset(ctx context.Context, c *cobra.Command, a *kadm.Client, r resetting) error {
	v, err := viewGroup(ctx, a, r.group)
	if n := len(v.Members); err == nil && n > 0 {
		return fmt.Errorf("group %s has %d members, who would overwrite the offsets; stop them first", r.group, n)
	}
	next, err := r.find(ctx, a)
	if err != nil {
		return err
	}
	committed, err := a.FetchOffsets(ctx, r.group)
	if err != nil {
		return err
	}
	if r.shift {
		if err := shift(ctx, a, next, committed, r); err != nil {
			return err
		}
	}
	out := resetResult{Group: r.group, Executed: r.execute, Offsets: []newOffset{}}
	for _, o := range next.Sorted() {
		line := newOffset{Topic: o.Topic, Partition: o.Partition, Offset: o.At}
		if was, known := committed.Lookup(o.Topic, o.Partition); known && was.At >= 0 {
			line.Committed = &was.At
		}
		out.Offsets = append(out.Offsets, line)
	}
	if r.execute {
		done, err := a.CommitOffsets(ctx, r.group, next)
		if err := errors.Join(err, done.Error()); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(c.ErrOrStderr(), "nothing was changed; give --execute to commit these offsets")
	}
	return f.print(c, out, func(w *tabwriter.Writer) {
		fmt.Fprintln(w, "TOPIC\tPARTITION\tCOMMITTED\tNEW OFFSET")
		for _, o := range out.Offsets {
			fmt.Fprintf(w, "%s\t%d\t%s\t%d\n", o.Topic, o.Partition, numberOrDash(o.Committed), o.Offset)
		}
	})
}

// find gives the place in each partition that was named; for a shift its start, which shift replaces.
func (r resetting) find(ctx context.Context, a *kadm.Client) (kadm.Offsets, error) {
	topics := make([]string, 0, len(r.partitions))
	for topic := range r.partitions {
		topics = append(topics, topic)
	}
	ends, err := a.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	for topic, wanted := range r.partitions {
		for _, p := range wanted {
			if _, known := ends.Lookup(topic, p); !known {
				return nil, fmt.Errorf("topic %s has no partition %d", topic, p)
			}
		}
	}
	next, err := r.to.find(ctx, a, topics, ends)
	if err != nil {
		return nil, err
	}
	next.KeepFunc(func(o kadm.Offset) bool {
		wanted := r.partitions[o.Topic]
		return len(wanted) == 0 || slices.Contains(wanted, o.Partition)
	})
	return next, nil
}

// shift moves offsets from what is committed, no further than what is there.
func shift(ctx context.Context, a *kadm.Client, next kadm.Offsets, committed kadm.OffsetResponses, r resetting) error {
	topics := make([]string, 0, len(r.partitions))
	for topic := range r.partitions {
		topics = append(topics, topic)
	}
	starts, err := a.ListStartOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	ends, err := a.ListEndOffsets(ctx, topics...)
	if err != nil {
		return err
	}
	var missing error
	next.Each(func(o kadm.Offset) {
		was, known := committed.Lookup(o.Topic, o.Partition)
		if !known || was.At < 0 {
			missing = errors.Join(missing, fmt.Errorf("group %s has committed nothing for %s/%d: use --to", r.group, o.Topic, o.Partition))
			return
		}
		start, _ := starts.Lookup(o.Topic, o.Partition)
		end, _ := ends.Lookup(o.Topic, o.Partition)
		o.At = min(max(was.At+r.by, start.Offset), end.Offset)
		next.Add(o)
	})
	return missing
}
