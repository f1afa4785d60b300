package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// The protocols of groups.
const (
	protocolClassic  = "classic"
	protocolConsumer = "consumer"
)

// groupView is all of a group. The epochs and the assignor are those of consumer groups.
type groupView struct {
	Group           string          `json:"group"`
	State           string          `json:"state"`
	Protocol        string          `json:"protocol"`
	Assignor        string          `json:"assignor,omitempty"`
	Epoch           int32           `json:"epoch,omitempty"`
	AssignmentEpoch int32           `json:"assignmentEpoch,omitempty"`
	Lag             int64           `json:"lag"`
	Members         []memberView    `json:"members"`
	Partitions      []partitionView `json:"partitions"`
}

// memberView is a member; Target and Epoch are of members of consumer groups.
type memberView struct {
	Member   string              `json:"member"`
	Instance string              `json:"instance,omitempty"`
	Client   string              `json:"client"`
	Host     string              `json:"host"`
	Protocol string              `json:"protocol"`
	Epoch    *int32              `json:"epoch,omitempty"`
	Topics   []string            `json:"subscribedTopics,omitempty"`
	Regex    string              `json:"subscribedRegex,omitempty"`
	Assigned map[string][]int32  `json:"assigned"`
	Target   *map[string][]int32 `json:"target,omitempty"`
}

// partitionView is how far a group has read a partition. Without a committed offset there is no lag.
type partitionView struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed"`
	End       int64  `json:"end"`
	Lag       *int64 `json:"lag"`
	Member    string `json:"member,omitempty"`
	Client    string `json:"client,omitempty"`
	Host      string `json:"host,omitempty"`
}

func groupDescribe(f *groupFlags) *cobra.Command {
	var members bool
	c := &cobra.Command{
		Use: "describe GROUP...", Short: "Show committed offsets, lag and members", Args: needs(1, -1, "at least one GROUP"),
		Example: `  kelp group describe billing
  kelp group describe billing --members
  kelp group describe billing -o json`,
		RunE: func(c *cobra.Command, groups []string) error {
			return admin(c, *f.servers, func(ctx context.Context, a *kadm.Client) error {
				views := []groupView{}
				err := each(groups, func(group string) error {
					v, err := viewGroup(ctx, a, group)
					if err != nil {
						return fmt.Errorf("group %s: %w", group, err)
					}
					views = append(views, v)
					return nil
				})
				shown := f.print(c, views, func(w *tabwriter.Writer) {
					for _, v := range views {
						v.table(w, members)
					}
				})
				return errors.Join(err, shown)
			})
		},
	}
	c.Flags().BoolVar(&members, "members", false, "show a line for each member instead of one for each partition")
	return c
}

// viewGroup asks for a group as one of the consumer protocol, and where it is none, of the classic one.
func viewGroup(ctx context.Context, a *kadm.Client, group string) (groupView, error) {
	v, err := viewConsumer(ctx, a, group)
	if err != nil {
		if v, err = viewClassic(ctx, a, group); err != nil {
			return v, err
		}
	}
	committed, err := a.FetchOffsets(ctx, group)
	if err != nil {
		return v, err
	}
	if v.State == "Dead" && len(committed) == 0 {
		return v, kerr.GroupIDNotFound
	}
	return v, v.addOffsets(ctx, a, committed)
}

func viewConsumer(ctx context.Context, a *kadm.Client, group string) (groupView, error) {
	found, err := a.DescribeConsumerGroups(ctx, group)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		return groupView{}, err
	}
	d := found[group]
	v := groupView{
		Group: group, State: d.State, Protocol: protocolConsumer, Assignor: d.AssignorName, Epoch: d.Epoch, AssignmentEpoch: d.AssignmentEpoch,
		Members: []memberView{},
	}
	for _, m := range d.Members {
		target := sortedParts(m.TargetAssignment)
		one := memberView{
			Member: m.MemberID, Client: m.ClientID, Host: m.ClientHost, Protocol: protocolConsumer, Epoch: &m.MemberEpoch,
			Topics: m.SubscribedTopics, Assigned: sortedParts(m.Assignment), Target: &target,
		}
		if m.InstanceID != nil {
			one.Instance = *m.InstanceID
		}
		if m.SubscribedTopicRegex != nil {
			one.Regex = *m.SubscribedTopicRegex
		}
		if m.MemberType == 0 {
			one.Protocol = protocolClassic
		}
		v.Members = append(v.Members, one)
	}
	return v, nil
}

func viewClassic(ctx context.Context, a *kadm.Client, group string) (groupView, error) {
	found, err := a.DescribeGroups(ctx, group)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		return groupView{}, err
	}
	d := found[group]
	v := groupView{Group: group, State: d.State, Protocol: protocolClassic, Assignor: d.Protocol, Members: []memberView{}}
	for _, m := range d.Members {
		one := memberView{Member: m.MemberID, Client: m.ClientID, Host: m.ClientHost, Protocol: protocolClassic, Assigned: map[string][]int32{}}
		if m.InstanceID != nil {
			one.Instance = *m.InstanceID
		}
		if joined, ok := m.Join.AsConsumer(); ok {
			one.Topics = joined.Topics
		}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				one.Assigned[t.Topic] = slices.Sorted(slices.Values(t.Partitions))
			}
		}
		v.Members = append(v.Members, one)
	}
	return v, nil
}

func sortedParts(s kadm.TopicsSet) map[string][]int32 {
	out := map[string][]int32{}
	for _, t := range s.Sorted() {
		out[t.Topic] = t.Partitions
	}
	return out
}

// addOffsets adds a line for each partition that is committed or assigned.
func (v *groupView) addOffsets(ctx context.Context, a *kadm.Client, committed kadm.OffsetResponses) error {
	type spot struct {
		topic     string
		partition int32
	}
	lines := map[spot]*partitionView{}
	topics := map[string]bool{}
	line := func(topic string, partition int32) *partitionView {
		at := spot{topic, partition}
		if lines[at] == nil {
			lines[at] = &partitionView{Topic: topic, Partition: partition, End: -1}
			topics[topic] = true
		}
		return lines[at]
	}
	for _, o := range committed.Sorted() {
		line(o.Topic, o.Partition).Committed = &o.At
	}
	for _, m := range v.Members {
		for topic, partitions := range m.Assigned {
			for _, p := range partitions {
				l := line(topic, p)
				l.Member, l.Client, l.Host = m.Member, m.Client, m.Host
			}
		}
	}
	names := make([]string, 0, len(topics))
	for name := range topics {
		names = append(names, name)
	}
	v.Partitions = []partitionView{}
	if len(names) == 0 {
		return nil
	}
	ends, err := a.ListEndOffsets(ctx, names...)
	if err != nil {
		return err
	}
	for _, l := range lines {
		if end, known := ends.Lookup(l.Topic, l.Partition); known && end.Err == nil {
			l.End = end.Offset
			if l.Committed != nil {
				lag := max(0, l.End-*l.Committed)
				l.Lag = &lag
				v.Lag += lag
			}
		}
		v.Partitions = append(v.Partitions, *l)
	}
	slices.SortFunc(v.Partitions, func(a, b partitionView) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return nil
}

func (v *groupView) table(w *tabwriter.Writer, members bool) {
	fmt.Fprintf(w, "group %s, %s, %d members, lag %d", v.Group, v.State, len(v.Members), v.Lag)
	if v.Protocol == protocolConsumer {
		fmt.Fprintf(w, ", consumer protocol at epoch %d, assigned at %d by %s", v.Epoch, v.AssignmentEpoch, v.Assignor)
	}
	fmt.Fprintln(w)
	if members {
		fmt.Fprintln(w, "MEMBER\tINSTANCE\tCLIENT\tHOST\tPROTOCOL\tEPOCH\tASSIGNED\tTARGET")
		for _, m := range v.Members {
			epoch, target := "-", "-"
			if m.Epoch != nil {
				epoch = strconv.Itoa(int(*m.Epoch))
			}
			if m.Target != nil {
				target = partsText(*m.Target)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
				m.Member, orDash(m.Instance), m.Client, m.Host, m.Protocol, epoch, partsText(m.Assigned), target)
		}
		return
	}
	fmt.Fprintln(w, "TOPIC\tPARTITION\tCOMMITTED\tEND\tLAG\tMEMBER\tCLIENT\tHOST")
	for _, p := range v.Partitions {
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t%s\t%s\t%s\n",
			p.Topic, p.Partition, numberOrDash(p.Committed), p.End, numberOrDash(p.Lag), orDash(p.Member), orDash(p.Client), orDash(p.Host))
	}
}

func orDash(s string) string { return cmp.Or(s, "-") }

func numberOrDash(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

// partsText shows partitions as orders:0,1 payments:2.
func partsText(parts map[string][]int32) string {
	var out []string
	for topic, indexes := range parts {
		var list []string
		for _, i := range indexes {
			list = append(list, strconv.Itoa(int(i)))
		}
		out = append(out, topic+":"+strings.Join(list, ","))
	}
	slices.Sort(out)
	return orDash(strings.Join(out, " "))
}
