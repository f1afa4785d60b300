package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/seaweed"
	"kelp/internal/seaweed/mq"
	"kelp/internal/seaweedmq/source"
)

const (
	sourceGroup  = "kelp-seaweedmq-source" // in which the server keeps how far it has read
	sourceConfig = "kelp.seaweedmq.source"
	// offsetsDir is where SeaweedFS's gateway keeps what its consumer groups have committed: GROUP/TOPIC/PARTITION/offset.
	offsetsDir       = "/topics/kafka/.meta/consumer_offsets"
	gatewayNamespace = "kafka"
	importPoll       = 200 * time.Millisecond
	importStuck      = time.Minute // without any progress
)

type importFlags struct {
	servers *[]string
	masters []string
	filer   string
	format  string
	follow  bool
	groups  bool
	settle  time.Duration
}

func seaweedMQImportCommand() *cobra.Command {
	f := importFlags{}
	c := &cobra.Command{
		Use:   "import NAMESPACE/TOPIC [NAME]",
		Short: "Make a topic of SeaweedMQ a topic here, at the same offsets",
		Long: `Creates the topic NAME (TOPIC without it) with as many partitions, lets the server read what SeaweedMQ has flushed to the
filer, commits what the consumer groups of SeaweedFS's gateway have committed, and then opens the topic for producers. The server
must run with --seaweedmq-master. With --follow the topic goes on following SeaweedMQ and takes no records.

An import that was broken off goes on where it was.`,
		Example: `  kelp seaweedmq import kafka/orders --master 127.0.0.1:9333`,
		Args:    needs(1, 2, "NAMESPACE/TOPIC and at most one NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			namespace, name, ok := strings.Cut(args[0], "/")
			if !ok {
				return fmt.Errorf("%q is no topic of SeaweedMQ; write NAMESPACE/TOPIC, such as kafka/orders", args[0])
			}
			if len(f.masters) == 0 {
				return errors.New("name a master of the SeaweedFS with --master host:port")
			}
			here := name
			if len(args) == 2 {
				here = args[1]
			}
			cl, err := connect(c.Context(), *f.servers)
			if err != nil {
				return err
			}
			defer cl.Close()
			i := importing{
				flags: f, from: mq.Topic{Namespace: namespace, Name: name}, topic: here, admin: kadm.NewClient(cl), out: c.OutOrStdout(),
				ends: map[int32]int64{},
			}
			return ended(c.Context(), i.run(c.Context()))
		},
	}
	f.servers = serverFlag(c)
	c.Flags().StringSliceVar(&f.masters, "master", nil, "host:port of a master of the SeaweedFS; may be given several times")
	c.Flags().StringVar(&f.filer, "filer", "", "host:port of the filer that the brokers write to, where the masters know several")
	c.Flags().StringVar(&f.format, "format", "json",
		"what becomes of record values: json, schema (the newest schema of NAME-value, in Confluent's envelope) or raw")
	c.Flags().BoolVar(&f.follow, "follow", false, "leave the topic following SeaweedMQ")
	c.Flags().BoolVar(&f.groups, "groups", true, "import the offsets of the consumer groups of SeaweedFS's gateway")
	c.Flags().DurationVar(&f.settle, "settle", 7*time.Second,
		"how long there must be nothing new: longer than the brokers take to flush (-logFlushInterval, 5s)")
	return c
}

// importing is one import.
type importing struct {
	flags importFlags
	from  mq.Topic
	topic string
	admin *kadm.Client
	out   io.Writer
	ends  map[int32]int64 // offsets up to which partitions were read when it was last looked
}

func (i *importing) run(ctx context.Context) error {
	filer, err := seaweed.Dial(ctx, seaweed.Options{Masters: i.flags.masters, Filer: i.flags.filer})
	if err != nil {
		return err
	}
	defer func() { _ = filer.Close() }()
	client := mq.New(mq.Options{Masters: i.flags.masters})
	defer client.Close()
	d, err := client.Describe(ctx, i.from)
	if err != nil {
		return err
	}
	if err := i.create(ctx, int32(len(d.Assignments))); err != nil {
		return err
	}
	if err := i.wait(ctx, len(d.Assignments)); err != nil {
		return err
	}
	if i.flags.groups && i.from.Namespace == gatewayNamespace {
		if err := i.offsets(ctx, filer); err != nil {
			return err
		}
	}
	if i.flags.follow {
		return nil
	}
	for _, name := range []string{sourceConfig, sourceConfig + ".format"} {
		answers, err := i.admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: name}}, i.topic)
		if err == nil {
			err = answers[0].Err
		}
		if err != nil {
			return fmt.Errorf("open %s for producers: %w", i.topic, err)
		}
	}
	_, err = fmt.Fprintf(i.out, "%s takes records from producers now\n", i.topic)
	return err
}

// create makes the topic, or finds it as an earlier import has made it.
func (i *importing) create(ctx context.Context, partitions int32) error {
	name, forever := i.from.Namespace+"/"+i.from.Name, "-1"
	configs := map[string]*string{sourceConfig: &name, sourceConfig + ".format": &i.flags.format, "retention.ms": &forever}
	made, err := i.admin.CreateTopic(ctx, partitions, 1, configs, i.topic)
	if err == nil {
		err = made.Err
	}
	if !errors.Is(err, kerr.TopicAlreadyExists) {
		if err != nil && made.ErrMessage != "" {
			err = fmt.Errorf("%w: %s", err, made.ErrMessage)
		}
		return err
	}
	shown, err := i.admin.DescribeTopicConfigs(ctx, i.topic)
	if err != nil {
		return err
	}
	for _, c := range shown[0].Configs {
		if c.Key == sourceConfig && c.MaybeValue() == name {
			return nil
		}
	}
	return fmt.Errorf("topic %s is there and is not read from %s: choose another NAME", i.topic, name)
}

// wait returns when the server has read all partitions and nothing new has come for a while.
func (i *importing) wait(ctx context.Context, partitions int) error {
	first := map[int32]int64{} // when each was first read to its end, by the server's clock
	last, moved := "", time.Now()
	for {
		places, seen, err := i.places(ctx)
		if err != nil {
			return err
		}
		done := len(places) == partitions
		for p, at := range places {
			if first[p] == 0 || at.changed {
				first[p] = at.ReadMs
			}
			done = done && at.ReadMs-first[p] >= i.flags.settle.Milliseconds()
		}
		if done {
			return i.report(places)
		}
		if seen != last {
			last, moved = seen, time.Now()
		} else if time.Since(moved) > importStuck {
			return fmt.Errorf("the server does not get on with reading %s: it must run with --seaweedmq-master, and its log says what fails", i.from)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(importPoll):
		}
	}
}

// at is how far a partition is.
type at struct {
	source.Place
	next    int64
	changed bool
}

// places gives how far the server is with each partition that it has read to an end.
func (i *importing) places(ctx context.Context) (map[int32]at, string, error) {
	committed, err := i.admin.FetchOffsets(ctx, sourceGroup)
	if err != nil {
		return nil, "", err
	}
	all, seen := map[int32]at{}, ""
	for _, o := range committed[i.topic] {
		if o.Err != nil || o.At < 0 {
			continue
		}
		a := at{next: o.At}
		if err := json.Unmarshal([]byte(o.Metadata), &a.Place); err != nil {
			return nil, "", fmt.Errorf("the offsets of group %s are not the server's: %w", sourceGroup, err)
		}
		before, known := i.ends[o.Partition]
		a.changed = !known || before != o.At
		i.ends[o.Partition] = o.At
		all[o.Partition] = a
	}
	for p := range int32(len(all)) {
		seen += fmt.Sprint(all[p].next, all[p].ReadMs, ";")
	}
	return all, seen, nil
}

func (i *importing) report(places map[int32]at) error {
	for p := range int32(len(places)) {
		a := places[p]
		_, err := fmt.Fprintf(i.out, "%s/%d: read up to offset %d; %d offsets missing in SeaweedMQ, %d repeated entries left out",
			i.topic, p, a.next, a.Skipped, a.Repeats)
		if err == nil && a.Unfitted > 0 {
			_, err = fmt.Fprintf(i.out, ", %d values as JSON, as the schema did not fit", a.Unfitted)
		}
		if err == nil {
			_, err = fmt.Fprintln(i.out)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// offsets commits what the groups of SeaweedFS's gateway have committed.
func (i *importing) offsets(ctx context.Context, filer *seaweed.Client) error {
	groups := map[string]kadm.Offsets{}
	err := filer.List(ctx, offsetsDir, "", func(g seaweed.Entry, folder bool) error {
		if !folder {
			return nil
		}
		dir := offsetsDir + "/" + g.Name + "/" + i.from.Name
		return filer.List(ctx, dir, "", func(p seaweed.Entry, folder bool) error {
			partition, err := strconv.ParseInt(p.Name, 10, 32)
			if err != nil || !folder {
				return nil //nolint:nilerr // something else
			}
			e, err := filer.Lookup(ctx, dir+"/"+p.Name, "offset")
			if err != nil {
				return err
			}
			var committed struct {
				Value    int64
				Metadata string
			}
			if err := json.Unmarshal(e.Content, &committed); err != nil {
				return fmt.Errorf("%s/%s/offset: %w", dir, p.Name, err)
			}
			of := groups[g.Name]
			of.Add(kadm.Offset{
				Topic: i.topic, Partition: int32(partition), At: committed.Value, LeaderEpoch: -1, Metadata: committed.Metadata,
			})
			groups[g.Name] = of
			return nil
		})
	})
	if err != nil {
		return err
	}
	var failed error
	for name, offsets := range groups {
		answers, err := i.admin.CommitOffsets(ctx, name, offsets)
		if err == nil {
			err = answers.Error()
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("offsets of group %s: %w", name, err))
			continue
		}
		if _, err := fmt.Fprintf(i.out, "group %s: %d offsets committed\n", name, len(offsets[i.topic])); err != nil {
			return err
		}
	}
	return failed
}
