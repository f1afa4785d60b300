package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func topicCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "topic", Short: "Create, list, describe, delete and alter topics",
		Long: "Works on the topics of any Kafka cluster, at --server.",
	}
	servers := serverFlag(c)
	c.AddCommand(topicCreate(servers), topicList(servers), topicDescribe(servers), topicDelete(servers), topicAlter(servers))
	return c
}

func topicCreate(servers *[]string) *cobra.Command {
	var partitions int32
	var replicas int16
	var configs []string
	var missing bool
	c := &cobra.Command{
		Use: "create TOPIC...", Short: "Create topics",
		Example: `  kelp topic create orders
  kelp topic create orders --partitions 6 --config retention.ms=86400000 --config cleanup.policy=compact,delete`,
		Args: needs(1, -1, "at least one TOPIC"),
		RunE: func(c *cobra.Command, topics []string) error {
			set := map[string]*string{}
			for _, kv := range configs {
				key, value, ok := strings.Cut(kv, "=")
				if !ok {
					return fmt.Errorf("--config %q: write key=value", kv)
				}
				set[key] = &value
			}
			return admin(c, *servers, func(ctx context.Context, a *kadm.Client) error {
				made, err := a.CreateTopics(ctx, partitions, replicas, set, topics...)
				if err != nil {
					return err
				}
				return each(made.Sorted(), func(t kadm.CreateTopicResponse) error {
					if missing && errors.Is(t.Err, kerr.TopicAlreadyExists) {
						return nil
					}
					return said(c, t.Topic, "created", t.Err, t.ErrMessage)
				})
			})
		},
	}
	c.Flags().Int32VarP(&partitions, "partitions", "p", -1, "partitions of each topic; -1 is the server's default")
	c.Flags().Int16VarP(&replicas, "replicas", "r", -1, "replicas of each partition; -1 is the server's default")
	c.Flags().StringArrayVarP(&configs, "config", "c", nil, "key=value of a topic config; may be given several times")
	c.Flags().BoolVar(&missing, "if-missing", false, "a topic that exists already is no error")
	return c
}

// each does all and joins what failed.
func each[T any](all []T, do func(T) error) error {
	var errs []error
	for _, one := range all {
		errs = append(errs, do(one))
	}
	return errors.Join(errs...)
}

func said(c *cobra.Command, topic, done string, err error, message string) error {
	if err != nil {
		if message != "" {
			return fmt.Errorf("topic %s: %s (%w)", topic, message, err)
		}
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s %s\n", done, topic)
	return err
}

func topicList(servers *[]string) *cobra.Command {
	var internal bool
	c := &cobra.Command{
		Use: "list", Short: "List topics with their partitions and replicas", Args: needs(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			return admin(c, *servers, func(ctx context.Context, a *kadm.Client) error {
				topics, err := a.ListTopicsWithInternal(ctx)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "TOPIC\tPARTITIONS\tREPLICAS")
				for _, t := range topics.Sorted() {
					if !t.IsInternal || internal {
						fmt.Fprintf(w, "%s\t%d\t%d\n", t.Topic, len(t.Partitions), t.Partitions.NumReplicas())
					}
				}
				return w.Flush()
			})
		},
	}
	c.Flags().BoolVarP(&internal, "internal", "i", false, "list internal topics too")
	return c
}

func topicDescribe(servers *[]string) *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use: "describe TOPIC...", Short: "Show partitions, offsets and configs of topics", Args: needs(1, -1, "at least one TOPIC"),
		RunE: func(c *cobra.Command, topics []string) error {
			return admin(c, *servers, func(ctx context.Context, a *kadm.Client) error {
				return each(topics, func(name string) error { return describeTopic(ctx, c, a, name, all) })
			})
		},
	}
	c.Flags().BoolVarP(&all, "all", "a", false, "show configs that have their default too")
	return c
}

func describeTopic(ctx context.Context, c *cobra.Command, a *kadm.Client, name string, all bool) error {
	topics, err := a.ListTopics(ctx, name)
	if err != nil {
		return err
	}
	t := topics[name]
	if t.Err != nil {
		return fmt.Errorf("topic %s: %w", name, t.Err)
	}
	starts, err := a.ListStartOffsets(ctx, name)
	if err != nil {
		return err
	}
	ends, err := a.ListEndOffsets(ctx, name)
	if err != nil {
		return err
	}
	configs, err := a.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "topic %s, id %s\n", name, t.ID)
	fmt.Fprintln(w, "PARTITION\tLEADER\tREPLICAS\tIN SYNC\tSTART\tEND")
	for _, p := range t.Partitions.Sorted() {
		start, _ := starts.Lookup(name, p.Partition)
		end, _ := ends.Lookup(name, p.Partition)
		fmt.Fprintf(w, "%d\t%d\t%v\t%v\t%d\t%d\n", p.Partition, p.Leader, p.Replicas, p.ISR, start.Offset, end.Offset)
	}
	for _, r := range configs {
		if r.Err != nil {
			return fmt.Errorf("configs of %s: %w", name, r.Err)
		}
		slices.SortFunc(r.Configs, func(a, b kadm.Config) int { return cmp.Compare(a.Key, b.Key) })
		for _, k := range r.Configs {
			if all || k.Source == kmsg.ConfigSourceDynamicTopicConfig {
				fmt.Fprintf(w, "%s=%s\n", k.Key, k.MaybeValue())
			}
		}
	}
	return w.Flush()
}

func topicDelete(servers *[]string) *cobra.Command {
	return &cobra.Command{
		Use: "delete TOPIC...", Short: "Delete topics and their records", Args: needs(1, -1, "at least one TOPIC"),
		RunE: func(c *cobra.Command, topics []string) error {
			return admin(c, *servers, func(ctx context.Context, a *kadm.Client) error {
				gone, err := a.DeleteTopics(ctx, topics...)
				if err != nil {
					return err
				}
				return each(gone.Sorted(), func(t kadm.DeleteTopicResponse) error {
					return said(c, t.Topic, "deleted", t.Err, t.ErrMessage)
				})
			})
		},
	}
}

func topicAlter(servers *[]string) *cobra.Command {
	var partitions int
	var set, unset []string
	c := &cobra.Command{
		Use: "alter TOPIC...", Short: "Add partitions, set and unset configs",
		Example: `  kelp topic alter orders --partitions 12
  kelp topic alter orders --set retention.ms=3600000 --unset cleanup.policy`,
		Args: needs(1, -1, "at least one TOPIC"),
		RunE: func(c *cobra.Command, topics []string) error {
			var changes []kadm.AlterConfig
			for _, kv := range set {
				key, value, ok := strings.Cut(kv, "=")
				if !ok {
					return fmt.Errorf("--set %q: write key=value", kv)
				}
				changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value})
			}
			for _, key := range unset {
				changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
			}
			if len(changes) == 0 && partitions == 0 {
				return errors.New("nothing to alter: give --partitions, --set or --unset")
			}
			return admin(c, *servers, func(ctx context.Context, a *kadm.Client) error {
				return alterTopics(ctx, c, a, alteration{topics, partitions, changes})
			})
		},
	}
	c.Flags().IntVarP(&partitions, "partitions", "p", 0, "partitions that each topic shall have, more than now")
	c.Flags().StringArrayVar(&set, "set", nil, "key=value of a topic config; may be given several times")
	c.Flags().StringArrayVar(&unset, "unset", nil, "key of a topic config that goes back to its default; may be given several times")
	return c
}

type alteration struct {
	topics     []string
	partitions int // 0: as they are
	configs    []kadm.AlterConfig
}

func alterTopics(ctx context.Context, c *cobra.Command, a *kadm.Client, of alteration) error {
	topics, partitions, changes := of.topics, of.partitions, of.configs
	if len(changes) > 0 {
		altered, err := a.AlterTopicConfigs(ctx, changes, topics...)
		if err != nil {
			return err
		}
		err = each(altered, func(t kadm.AlterConfigsResponse) error { return said(c, t.Name, "configured", t.Err, t.ErrMessage) })
		if err != nil {
			return err
		}
	}
	if partitions == 0 {
		return nil
	}
	grown, err := a.UpdatePartitions(ctx, partitions, topics...)
	if err != nil {
		return err
	}
	return each(grown.Sorted(), func(t kadm.CreatePartitionsResponse) error {
		return said(c, t.Topic, fmt.Sprintf("now %d partitions:", partitions), t.Err, t.ErrMessage)
	})
}
