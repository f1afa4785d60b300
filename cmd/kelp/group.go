package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func groupCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "group", Short: "List, describe, reset and delete consumer groups",
		Long: "Works on the consumer groups of any Kafka cluster, at --server, of both protocols.",
	}
	f := &groupFlags{servers: serverFlag(c)}
	c.PersistentFlags().StringVarP(&f.output, "output", "o", "text", "how to print: text or json")
	c.PersistentPreRunE = func(*cobra.Command, []string) error {
		if f.output != "text" && f.output != "json" {
			return fmt.Errorf("--output %q: choose text or json", f.output)
		}
		return nil
	}
	c.AddCommand(groupList(f), groupDescribe(f), groupReset(f), groupDelete(f))
	return c
}

// groupFlags are what all commands on groups take.
type groupFlags struct {
	servers *[]string
	output  string
}

// print writes what was found: as JSON, or as a table that rows fills line by line.
func (f *groupFlags) print(c *cobra.Command, found any, rows func(w *tabwriter.Writer)) error {
	if f.output == "json" {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(found)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	rows(w)
	return w.Flush()
}

// groupLine is a group in a list.
type groupLine struct {
	Group        string `json:"group"`
	State        string `json:"state"`
	Protocol     string `json:"protocol"` // classic or consumer
	ProtocolType string `json:"protocolType"`
}

func groupList(f *groupFlags) *cobra.Command {
	var states []string
	c := &cobra.Command{
		Use: "list", Short: "List groups with their states and protocols", Args: needs(0, 0, "no arguments"),
		Example: "  kelp group list --state Stable,Empty -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			return admin(c, *f.servers, func(ctx context.Context, a *kadm.Client) error {
				groups, err := a.ListGroups(ctx, states...)
				if err != nil {
					return err
				}
				lines := []groupLine{}
				consumers, _ := a.ListGroupsByType(ctx, []string{protocolConsumer}) // a server that knows no types has none
				for _, g := range groups.Sorted() {
					line := groupLine{g.Group, g.State, protocolClassic, g.ProtocolType}
					if _, consumer := consumers[g.Group]; consumer {
						line.Protocol = protocolConsumer
					}
					lines = append(lines, line)
				}
				return f.print(c, lines, func(w *tabwriter.Writer) {
					fmt.Fprintln(w, "GROUP\tSTATE\tPROTOCOL\tPROTOCOL TYPE")
					for _, l := range lines {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Group, l.State, l.Protocol, l.ProtocolType)
					}
				})
			})
		},
	}
	c.Flags().StringSliceVar(&states, "state", nil, "only groups in these states, such as Stable or Empty")
	return c
}

// deletedGroup is what came of a deletion.
type deletedGroup struct {
	Group string `json:"group"`
	Error string `json:"error,omitempty"`
}

func groupDelete(f *groupFlags) *cobra.Command {
	return &cobra.Command{
		Use: "delete GROUP...", Short: "Delete groups without members and their offsets", Args: needs(1, -1, "at least one GROUP"),
		RunE: func(c *cobra.Command, groups []string) error {
			return admin(c, *f.servers, func(ctx context.Context, a *kadm.Client) error {
				gone, err := a.DeleteGroups(ctx, groups...)
				if err != nil {
					return err
				}
				done := []deletedGroup{}
				failed := each(gone.Sorted(), func(g kadm.DeleteGroupResponse) error {
					if g.Err != nil {
						done = append(done, deletedGroup{g.Group, g.Err.Error()})
						return fmt.Errorf("group %s: %w", g.Group, g.Err)
					}
					done = append(done, deletedGroup{Group: g.Group})
					return nil
				})
				err = f.print(c, done, func(w *tabwriter.Writer) {
					for _, g := range done {
						if g.Error == "" {
							fmt.Fprintf(w, "deleted %s\n", g.Group)
						}
					}
				})
				if failed != nil {
					return failed
				}
				return err
			})
		},
	}
}
