package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func groupCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "group", Short: "List, describe, reset and delete consumer groups",
		Long: "Works on the consumer groups of any Kafka cluster, at --server.",
	}
	servers := serverFlag(c)
	c.AddCommand(groupList(servers), groupDescribe(servers), groupReset(servers), groupDelete(servers))
	return c
}

func groupList(servers *[]string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List groups with their states", Args: needs(0, 0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			return admin(c, *servers, func(ctx context.Context, a *kadm.Client) error {
				groups, err := a.ListGroups(ctx)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(w, "GROUP\tSTATE\tPROTOCOL TYPE")
				for _, g := range groups.Sorted() {
					fmt.Fprintf(w, "%s\t%s\t%s\n", g.Group, g.State, g.ProtocolType)
				}
				return w.Flush()
			})
		},
	}
}

func groupDescribe(servers *[]string) *cobra.Command {
	return &cobra.Command{
		Use: "describe GROUP...", Short: "Show committed offsets, lag and members", Args: needs(1, -1, "at least one GROUP"),
		RunE: func(c *cobra.Command, groups []string) error {
			return admin(c, *servers, func(ctx context.Context, a *kadm.Client) error {
				lags, err := a.Lag(ctx, groups...)
				if err != nil {
					return err
				}
				return each(lags.Sorted(), func(g kadm.DescribedGroupLag) error {
					if err := g.Error(); err != nil {
						return fmt.Errorf("group %s: %w", g.Group, err)
					}
					w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
					fmt.Fprintf(w, "group %s, %s, %d members, lag %d\n", g.Group, g.State, len(g.Members), g.Lag.Total())
					fmt.Fprintln(w, "TOPIC\tPARTITION\tCOMMITTED\tEND\tLAG\tMEMBER\tCLIENT\tHOST")
					for _, l := range g.Lag.Sorted() {
						member, client, host := "-", "-", "-"
						if l.Member != nil {
							member, client, host = l.Member.MemberID, l.Member.ClientID, l.Member.ClientHost
						}
						fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n",
							l.Topic, l.Partition, l.Commit.At, l.End.Offset, l.Lag, member, client, host)
					}
					return w.Flush()
				})
			})
		},
	}
}

func groupReset(servers *[]string) *cobra.Command {
	var to string
	var execute bool
	c := &cobra.Command{
		Use: "reset GROUP TOPIC...", Short: "Move the offsets of a group without members",
		Long: "Shows where the offsets would go; with --execute it commits them.",
		Example: `  kelp group reset billing orders --to start
  kelp group reset billing orders --to 2026-01-31T08:00:00Z --execute`,
		Args: needs(2, -1, "a GROUP and at least one TOPIC"),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := parsePlace("--to", to)
			if err != nil {
				return err
			}
			return admin(c, *servers, func(ctx context.Context, a *kadm.Client) error {
				return resetGroup(ctx, c, a, resetting{args[0], args[1:], at, execute})
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "where the group goes on: "+places)
	c.Flags().BoolVar(&execute, "execute", false, "commit the offsets instead of just showing them")
	return c
}

type resetting struct {
	group   string
	topics  []string
	to      place
	execute bool
}

func resetGroup(ctx context.Context, c *cobra.Command, a *kadm.Client, r resetting) error {
	described, err := a.DescribeGroups(ctx, r.group)
	if err != nil {
		return err
	}
	if n := len(described[r.group].Members); n > 0 {
		return fmt.Errorf("group %s has %d members, who would overwrite the offsets; stop them first", r.group, n)
	}
	ends, err := a.ListEndOffsets(ctx, r.topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return err
	}
	next, err := r.to.find(ctx, a, r.topics, ends)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tPARTITION\tNEW OFFSET")
	for _, o := range next.Sorted() {
		fmt.Fprintf(w, "%s\t%d\t%d\n", o.Topic, o.Partition, o.At)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if !r.execute {
		fmt.Fprintln(c.ErrOrStderr(), "nothing was changed; give --execute to commit these offsets")
		return nil
	}
	committed, err := a.CommitOffsets(ctx, r.group, next)
	return errors.Join(err, committed.Error())
}

func groupDelete(servers *[]string) *cobra.Command {
	return &cobra.Command{
		Use: "delete GROUP...", Short: "Delete groups without members and their offsets", Args: needs(1, -1, "at least one GROUP"),
		RunE: func(c *cobra.Command, groups []string) error {
			return admin(c, *servers, func(ctx context.Context, a *kadm.Client) error {
				gone, err := a.DeleteGroups(ctx, groups...)
				if err != nil {
					return err
				}
				return each(gone.Sorted(), func(g kadm.DeleteGroupResponse) error {
					if g.Err != nil {
						return fmt.Errorf("group %s: %w", g.Group, g.Err)
					}
					_, err := fmt.Fprintf(c.OutOrStdout(), "deleted %s\n", g.Group)
					return err
				})
			})
		},
	}
}
