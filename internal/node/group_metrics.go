package node

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/cluster"
	"kelp/internal/group"
	"kelp/internal/statelog"
	"kelp/internal/storage"
	"kelp/internal/topic"
)

// Limits of the metrics of groups.
const (
	maxLagSeries     = 1000 // partitions of groups whose lag is shown; the rest are counted
	groupStatTimeout = 5 * time.Second
)

// groupMetrics asks the machine of the groups whenever somebody looks.
type groupMetrics struct {
	groups  *statelog.Runner[*group.Machine]
	catalog *cluster.Catalog
	set     *topic.Set
}

var (
	groupsDesc     = describe("groups", "Consumer groups by protocol and state.", "protocol", "state")
	membersDesc    = describe("group_members", "Members of consumer groups.", "protocol")
	rebalancesDesc = describe("group_rebalances_total", "Rebalances that began.", "protocol")
	tookDesc       = describe("group_rebalance_seconds", "How long rebalances took until every member had its partitions.")
	commitsDesc    = describe("group_commits_total", "Offsets that were committed.")
	lagDesc        = describe("group_lag_records", "Records after a group's committed offset. Of more than can be shown, groups with "+
		"members come first, then those that committed last.", "group", "topic", "partition")
	leftDesc = describe("group_lag_left_out", "Partitions of groups whose lag is not shown, as there would be more than 1000.")
)

func describe(name, text string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kelp_"+name, text, labels, nil)
}

// Describe implements prometheus.Collector.
func (g *groupMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{groupsDesc, membersDesc, rebalancesDesc, tookDesc, commitsDesc, lagDesc, leftDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector. A machine that does not answer in time shows nothing.
func (g *groupMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), groupStatTimeout)
	defer cancel()
	answer, err := g.groups.Submit(func(m *group.Machine, in statelog.Input) statelog.Effects {
		return statelog.Effects{Replies: []statelog.Reply{{To: in.Ticket, Response: m.Stats(maxLagSeries)}}}
	}).Wait(ctx)
	if err != nil {
		return
	}
	s := answer.(group.Stats)
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for kind, n := range s.Groups {
		gauge(groupsDesc, float64(n), kind.Protocol, kind.State)
	}
	for protocol, n := range s.Members {
		gauge(membersDesc, float64(n), protocol)
	}
	for protocol, n := range s.Rebalances {
		to <- prometheus.MustNewConstMetric(rebalancesDesc, prometheus.CounterValue, float64(n), protocol)
	}
	to <- prometheus.MustNewConstMetric(commitsDesc, prometheus.CounterValue, float64(s.Commits))
	to <- prometheus.MustNewConstHistogram(tookDesc, s.Completed.Number, s.Completed.Sum.Seconds(), s.Completed.Cumulative())
	left := s.Left
	for _, o := range s.Offsets {
		if lag, known := g.lag(ctx, o); known {
			gauge(lagDesc, float64(lag), o.Group, o.Topic, strconv.Itoa(int(o.Partition)))
		} else {
			left++
		}
	}
	gauge(leftDesc, float64(left))
}

// lag is how many records follow a committed offset.
func (g *groupMetrics) lag(ctx context.Context, o group.CommittedOffset) (lag int64, known bool) {
	t, known := g.catalog.Image().ByName[o.Topic]
	if !known || o.Partition >= t.Partitions {
		return 0, false
	}
	p, err := g.set.Get(ctx, storage.Partition{Topic: t.ID, Index: o.Partition})
	if err != nil {
		return 0, false
	}
	return max(0, p.HighWatermark()-max(o.Offset, p.LogStartOffset())), true
}
