package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/cluster"
	"kelp/internal/group"
	"kelp/internal/statelog"
	"kelp/internal/topic"
)

// Markers writes the ends of transactions into partitions: those of topics, and the one in which
// the groups' machine keeps offsets.
type Markers struct {
	Catalog    *cluster.Catalog
	Partitions *topic.Set
	Groups     Coordinator
}

// Write writes a marker into one partition. It takes its place now; wait says when it is durable.
func (w Markers) Write(ctx context.Context, p TopicPartition, m topic.Marker) (wait func(context.Context) error) {
	failed := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	if p.Topic == cluster.ConsumerOffsets.Name && p.Partition == 0 {
		return w.endOffsets(m)
	}
	known, ok := w.Catalog.Image().ByName[p.Topic]
	if !ok || p.Partition < 0 || p.Partition >= known.Partitions || cluster.Reserved(partitionOf(known, p.Partition)) {
		return failed(kerr.UnknownTopicOrPartition)
	}
	part, err := w.Partitions.Get(ctx, partitionOf(known, p.Partition))
	if err != nil {
		return failed(err)
	}
	appended, err := part.WriteMarker(m)
	if err != nil {
		return failed(err)
	}
	return appended.Pending.Wait
}

// endOffsets ends the offsets of a transaction.
func (w Markers) endOffsets(m topic.Marker) func(context.Context) error {
	end := group.TxnMarker{
		ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch, CoordinatorEpoch: m.CoordinatorEpoch,
		Commit: m.Commit, Version: m.TransactionVersion,
	}
	answer := w.Groups.Submit(func(g *group.Machine, in statelog.Input) statelog.Effects { return g.EndTxn(in, end) })
	return func(ctx context.Context) error {
		_, err := waitFor(ctx, answer)
		return err
	}
}
