package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type consumeFlags struct {
	group, from, layout string
	partitions          []int32
	most                int
	stop, committed     bool
}

func consumeCommand() *cobra.Command {
	var f consumeFlags
	c := &cobra.Command{
		Use: "consume TOPIC...", Short: "Print records",
		Long: `Prints records as they come, until Ctrl-C, --max or, with --exit, the end that the topics had at the start.

The format is text with verbs: %t topic, %p partition, %o offset, %d timestamp in milliseconds, %k key, %v value,
%h{%k=%v } headers, %K %V %H sizes, \n \t. A value that is null prints as nothing.`,
		Example: `  kelp consume greetings --from start
  kelp consume orders --group billing --format '%p/%o %k -> %v\n'
  kelp consume orders --from 2026-01-31T08:00:00Z --exit
  kelp consume orders --from -10 --partition 0 --exit                   # the last ten of partition 0`,
		Args: needs(1, -1, "at least one TOPIC"),
	}
	servers := serverFlag(c)
	c.Flags().StringVarP(&f.group, "group", "g", "", "consumer group to join; its offsets are committed")
	c.Flags().StringVar(&f.from, "from", "end",
		"where to begin: "+places+"; a group begins where it was, and there when it is new")
	c.Flags().Int32SliceVarP(&f.partitions, "partition", "p", nil, "just these partitions")
	c.Flags().IntVarP(&f.most, "max", "n", 0, "end after so many records")
	c.Flags().BoolVarP(&f.stop, "exit", "e", false, "end at the end that the topics have now")
	c.Flags().BoolVar(&f.committed, "read-committed", false, "leave out records of aborted and open transactions")
	c.Flags().StringVarP(&f.layout, "format", "f", `%v\n`, "how a record is printed")
	c.RunE = func(c *cobra.Command, topics []string) error {
		return ended(c.Context(), consume(c, *servers, topics, f))
	}
	return c
}

func consume(c *cobra.Command, servers, topics []string, f consumeFlags) error {
	formatter, err := kgo.NewRecordFormatter(f.layout)
	if err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	var line []byte
	return eachRecord(c, servers, topics, f, func(w io.Writer, r *kgo.Record) error {
		line = formatter.AppendRecord(line[:0], r)
		_, err := w.Write(line)
		return err
	})
}

// eachRecord writes the records that the flags ask for, each as write does.
func eachRecord(c *cobra.Command, servers, topics []string, f consumeFlags, write func(io.Writer, *kgo.Record) error) error {
	from, err := parsePlace("--from", f.from)
	if err != nil {
		return err
	}
	at := from.offset()
	if f.group != "" && len(f.partitions) > 0 {
		return errors.New("--group shares the partitions out itself: give --group or --partition")
	}
	opts := []kgo.Opt{kgo.ConsumeResetOffset(at)}
	if f.committed {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	switch {
	case f.group != "":
		opts = append(opts, kgo.ConsumeTopics(topics...), kgo.ConsumerGroup(f.group), kgo.DisableAutoCommit())
	case len(f.partitions) > 0:
		wanted := map[string]map[int32]kgo.Offset{}
		for _, t := range topics {
			wanted[t] = map[int32]kgo.Offset{}
			for _, p := range f.partitions {
				wanted[t][p] = at
			}
		}
		opts = append(opts, kgo.ConsumePartitions(wanted))
	default:
		opts = append(opts, kgo.ConsumeTopics(topics...))
	}
	cl, err := connect(c.Context(), servers, opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ends := map[string]map[int32]int64{}
	if f.stop {
		if ends, err = f.left(c.Context(), kadm.NewClient(cl), topics, from); err != nil {
			return err
		}
	}
	return f.print(c, cl, ends, write)
}

// left finds the ends to read up to, without partitions that have nothing for us.
func (f *consumeFlags) left(ctx context.Context, a *kadm.Client, topics []string, from place) (map[string]map[int32]int64, error) {
	ends, err := a.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, err
	}
	begins, err := from.find(ctx, a, topics, ends)
	if err != nil {
		return nil, err
	}
	if f.group != "" {
		committed, err := a.FetchOffsets(ctx, f.group)
		if err != nil {
			return nil, err
		}
		committed.Each(func(o kadm.OffsetResponse) {
			if _, ours := begins.Lookup(o.Topic, o.Partition); ours && o.At >= 0 {
				begins[o.Topic][o.Partition] = o.Offset
			}
		})
	}
	out := map[string]map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		wanted := len(f.partitions) == 0 || slices.Contains(f.partitions, o.Partition)
		if begin, _ := begins.Lookup(o.Topic, o.Partition); wanted && begin.At < o.Offset {
			if out[o.Topic] == nil {
				out[o.Topic] = map[int32]int64{}
			}
			out[o.Topic][o.Partition] = o.Offset
		}
	})
	return out, nil
}

// print writes records until the user, the limit or the ends stop it.
func (f *consumeFlags) print(c *cobra.Command, cl *kgo.Client, ends map[string]map[int32]int64,
	write func(io.Writer, *kgo.Record) error,
) error {
	out := bufio.NewWriter(c.OutOrStdout()) // flushed after every poll
	for n := 0; !f.stop || len(ends) > 0; {
		fetches := cl.PollFetches(c.Context())
		if err := fetches.Err0(); err != nil {
			return err
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("topic %s partition %d: %w", e.Topic, e.Partition, e.Err)
		}
		var done []*kgo.Record
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if end, known := ends[r.Topic][r.Partition]; f.stop && (!known || r.Offset >= end) {
				continue
			}
			if err := write(out, r); err != nil {
				return err
			}
			done = append(done, r)
			if f.stop && r.Offset+1 >= ends[r.Topic][r.Partition] {
				delete(ends[r.Topic], r.Partition)
				if len(ends[r.Topic]) == 0 {
					delete(ends, r.Topic)
				}
			}
			if n++; n == f.most {
				break
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if f.group != "" && len(done) > 0 {
			if err := cl.CommitRecords(c.Context(), done...); err != nil {
				return err
			}
		}
		if f.most > 0 && n >= f.most {
			return nil
		}
	}
	return nil
}
