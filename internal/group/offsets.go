package group

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
)

// OffsetCommit makes offsets durable for a member of the current generation, or for a simple
// consumer (generation -1) while the group has no members.
func (m *Machine) OffsetCommit(in statelog.Input, req *kmsg.OffsetCommitRequest) statelog.Effects {
	var e statelog.Effects
	refused := m.mayCommit(&e, in, req)
	resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, t := range req.Topics {
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetCommitResponseTopicPartition()
			answer.Partition = p.Partition
			o := newOffset(in, req, p)
			switch {
			case refused != nil:
				answer.ErrorCode = refused.Code
			case len(o.metadata) > m.o.MaxMetadataBytes:
				answer.ErrorCode = kerr.OffsetMetadataTooLarge.Code
			default:
				e.Records = append(e.Records, o.record(req.Group, partition{t.Topic, p.Partition}))
			}
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	reply(&e, in.Ticket, resp)
	return e
}

func newOffset(in statelog.Input, req *kmsg.OffsetCommitRequest, p kmsg.OffsetCommitRequestTopicPartition) *offset {
	o := &offset{at: p.Offset, leaderEpoch: -1, committedMs: in.Now.UnixMilli(), expireMs: -1}
	if p.Metadata != nil {
		o.metadata = *p.Metadata
	}
	if req.Version >= 6 {
		o.leaderEpoch = p.LeaderEpoch
	}
	if req.Version >= 2 && req.Version <= 4 && req.RetentionTimeMillis >= 0 {
		o.expireMs = o.committedMs + req.RetentionTimeMillis
	}
	return o
}

// mayCommit says why a commit is refused (ClassicGroup.validateOffsetCommit).
func (m *Machine) mayCommit(e *statelog.Effects, in statelog.Input, req *kmsg.OffsetCommitRequest) *kerr.Error {
	g := m.groups[req.Group]
	generation := req.Generation
	if req.Version < 1 {
		generation = -1
	}
	switch {
	case g == nil && generation >= 0:
		return kerr.IllegalGeneration
	case g == nil, generation < 0 && g.phase == empty:
		return nil
	case generation < 0 && req.MemberID == "" && req.InstanceID == nil:
		return kerr.UnknownMemberID
	}
	mb, err := g.member(req.MemberID, req.InstanceID)
	switch {
	case err != nil:
		return err
	case generation != g.generation:
		return kerr.IllegalGeneration
	case g.phase == completing:
		return kerr.RebalanceInProgress
	}
	m.arm(e, in, g, mb)
	return nil
}

// OffsetFetch gives committed offsets; -1 where there is none. A null topic list is all of them.
func (m *Machine) OffsetFetch(in statelog.Input, req *kmsg.OffsetFetchRequest) statelog.Effects {
	var e statelog.Effects
	resp := req.ResponseKind().(*kmsg.OffsetFetchResponse)
	if req.Version >= 8 {
		for _, g := range req.Groups {
			resp.Groups = append(resp.Groups, m.fetchGroup(g, req.RequireStable))
		}
		reply(&e, in.Ticket, resp)
		return e
	}
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group = req.Group
	if req.Topics != nil {
		one.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
	}
	for _, t := range req.Topics {
		asked := kmsg.NewOffsetFetchRequestGroupTopic()
		asked.Topic, asked.Partitions = t.Topic, t.Partitions
		one.Topics = append(one.Topics, asked)
	}
	for _, t := range m.fetchGroup(one, req.RequireStable).Topics {
		out := kmsg.NewOffsetFetchResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetFetchResponseTopicPartition()
			answer.Partition, answer.Offset, answer.LeaderEpoch, answer.Metadata = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata
			answer.ErrorCode = p.ErrorCode
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	reply(&e, in.Ticket, resp)
	return e
}

// fetchGroup gives the offsets of a group. With stable, one that an open transaction may change is
// not given: the caller asks again (KIP-447).
func (m *Machine) fetchGroup(asked kmsg.OffsetFetchRequestGroup, stable bool) kmsg.OffsetFetchResponseGroup {
	var pending map[partition]bool
	if stable {
		pending = m.pendingOf(asked.Group)
	}
	out := kmsg.NewOffsetFetchResponseGroup()
	out.Group = asked.Group
	topics := asked.Topics
	if topics == nil {
		topics = m.committed(asked.Group)
	}
	for _, t := range topics {
		to := kmsg.NewOffsetFetchResponseGroupTopic()
		to.Topic, to.TopicID = t.Topic, t.TopicID
		for _, index := range t.Partitions {
			p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = index, -1, -1, kmsg.StringPtr("")
			if pending[partition{t.Topic, index}] {
				p.ErrorCode = kerr.UnstableOffsetCommit.Code
			} else if o := m.offsets[asked.Group][partition{t.Topic, index}]; o != nil {
				p.Offset, p.LeaderEpoch, p.Metadata = o.at, o.leaderEpoch, kmsg.StringPtr(o.metadata)
			}
			to.Partitions = append(to.Partitions, p)
		}
		out.Topics = append(out.Topics, to)
	}
	return out
}

// committed lists what a group has offsets for, in order.
func (m *Machine) committed(group string) []kmsg.OffsetFetchRequestGroupTopic {
	var all []partition
	for p := range m.offsets[group] {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b partition) int {
		if c := strings.Compare(a.topic, b.topic); c != 0 {
			return c
		}
		return int(a.index) - int(b.index)
	})
	var topics []kmsg.OffsetFetchRequestGroupTopic
	for _, p := range all {
		if n := len(topics); n == 0 || topics[n-1].Topic != p.topic {
			t := kmsg.NewOffsetFetchRequestGroupTopic()
			t.Topic = p.topic
			topics = append(topics, t)
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, p.index)
	}
	return topics
}

// OffsetDelete forgets offsets of topics that nobody in the group reads (KIP-496).
func (m *Machine) OffsetDelete(in statelog.Input, req *kmsg.OffsetDeleteRequest) statelog.Effects {
	var e statelog.Effects
	resp := req.ResponseKind().(*kmsg.OffsetDeleteResponse)
	g := m.groups[req.Group]
	switch {
	case req.Group == "":
		resp.ErrorCode = kerr.InvalidGroupID.Code
	case g == nil && m.offsets[req.Group] == nil:
		resp.ErrorCode = kerr.GroupIDNotFound.Code
	case g != nil && len(g.members) > 0 && g.protocolType != consumerProtocol:
		resp.ErrorCode = kerr.NonEmptyGroup.Code
	}
	if resp.ErrorCode != 0 {
		reply(&e, in.Ticket, resp)
		return e
	}
	subscribed := g.subscribed()
	for _, t := range req.Topics {
		out := kmsg.NewOffsetDeleteResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			answer := kmsg.NewOffsetDeleteResponseTopicPartition()
			answer.Partition = p.Partition
			key := partition{t.Topic, p.Partition}
			switch {
			case subscribed.has(t.Topic):
				answer.ErrorCode = kerr.GroupSubscribedToTopic.Code
			case m.offsets[req.Group][key] != nil:
				e.Records = append(e.Records, forgetOffset(req.Group, key))
			}
			out.Partitions = append(out.Partitions, answer)
		}
		resp.Topics = append(resp.Topics, out)
	}
	reply(&e, in.Ticket, resp)
	return e
}

// TopicDeleted forgets the offsets of a topic in every group.
func (m *Machine) TopicDeleted(in statelog.Input, topic string) statelog.Effects {
	var e statelog.Effects
	for group, offsets := range m.offsets {
		for p := range offsets {
			if p.topic == topic {
				e.Records = append(e.Records, forgetOffset(group, p))
			}
		}
	}
	e.Replies = append(e.Replies, statelog.Reply{To: in.Ticket})
	return e
}
