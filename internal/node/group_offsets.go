package node

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// groupOffsets keeps how far the server itself has got with partitions as the offsets of a consumer
// group, so that every tool for groups shows it.
type groupOffsets struct {
	groups *statelog.Runner[*group.Machine]
	group  string
}

// load gives the committed offset of a partition and its metadata; -1 where there is none.
func (g groupOffsets) load(ctx context.Context, name string, partition int32) (offset int64, metadata string, err error) {
	req := kmsg.NewOffsetFetchRequest()
	req.Version = 7
	req.Group = g.group
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = name, []int32{partition}
	req.Topics = append(req.Topics, t)
	answer, err := g.groups.Submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.OffsetFetch(in, &req) }).Wait(ctx)
	if err != nil {
		return -1, "", err
	}
	p := answer.(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil || p.Offset < 0 || p.Metadata == nil {
		return -1, "", err
	}
	return p.Offset, *p.Metadata, nil
}

// save commits the offset of a partition with metadata.
func (g groupOffsets) save(ctx context.Context, name string, partition int32, offset int64, metadata string) error {
	req := kmsg.NewOffsetCommitRequest()
	req.Version = 7
	req.Group, req.Generation = g.group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = name
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = partition, offset, -1, &metadata
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := g.groups.Submit(func(m *group.Machine, in statelog.Input) statelog.Effects { return m.OffsetCommit(in, &req) }).Wait(ctx)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(answer.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
}
