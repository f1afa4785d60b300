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
	refused, at := m.mayCommit(&e, in, req)
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
			case at != nil && at.stale(m.o.Topics(), t.Topic, p.Partition, req.Generation) != nil:
				answer.ErrorCode = at.wrongEpoch().Code
			case len(o.metadata) > m.o.MaxMetadataBytes:
				answer.ErrorCode = kerr.OffsetMetadataTooLarge.Code
			default:
				m.counted.commits++
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

// mayCommit says why a commit is refused (ClassicGroup.validateOffsetCommit). It gives the member of
// a consumer group that speaks of an earlier epoch, whose partitions are then looked at one by one.
func (m *Machine) mayCommit(e *statelog.Effects, in statelog.Input, req *kmsg.OffsetCommitRequest) (*kerr.Error, *consumerMember) {
	generation := req.Generation
	if req.Version < 1 {
		generation = -1
	}
	if !fits(req.Group) {
		return kerr.InvalidGroupID, nil
	}
	if g := m.consumers[req.Group]; g != nil {
		return g.mayCommit(req, generation)
	}
	g := m.groups[req.Group]
	switch {
	case g == nil && generation >= 0 && m.offsets[req.Group] != nil: // it has offsets and no members
		return kerr.UnknownMemberID, nil
	case g == nil && generation >= 0 && req.Version >= 9:
		return kerr.GroupIDNotFound, nil
	case g == nil && generation >= 0:
		return kerr.IllegalGeneration, nil
	case g == nil, generation < 0 && g.phase == empty:
		return nil, nil
	case generation < 0 && req.MemberID == "" && req.InstanceID == nil:
		return kerr.UnknownMemberID, nil
	}
	mb, err := g.member(req.MemberID, req.InstanceID)
	switch {
	case err != nil:
		return err, nil
	case generation != g.generation:
		return kerr.IllegalGeneration, nil
	case g.phase == completing:
		return kerr.RebalanceInProgress, nil
	}
	m.arm(e, in, g, mb)
	return nil, nil
}

// mayCommit is that of a consumer group: the member's epoch, or an earlier one for what it has had
// since then (KIP-1251).
func (g *consumerGroup) mayCommit(req *kmsg.OffsetCommitRequest, epoch int32) (*kerr.Error, *consumerMember) {
	if epoch < 0 && len(g.members) == 0 {
		return nil, nil
	}
	if mb := g.members[req.MemberID]; mb != nil && mb.classic == nil && req.Version < 9 {
		return kerr.UnsupportedVersion, nil
	}
	return g.memberAt(req.MemberID, epoch)
}

// memberAt finds a member that speaks of an epoch: nobody when it is its own, itself when it is one
// before.
func (g *consumerGroup) memberAt(id string, epoch int32) (*kerr.Error, *consumerMember) {
	mb := g.members[id]
	switch {
	case mb == nil:
		return kerr.UnknownMemberID, nil
	case epoch == mb.epoch:
		return nil, nil
	case epoch > mb.epoch:
		return mb.wrongEpoch(), nil
	}
	return nil, mb
}

// wrongEpoch is how a member is told that its epoch is not ours, in the words of its protocol.
func (mb *consumerMember) wrongEpoch() *kerr.Error {
	if mb.classic != nil {
		return kerr.IllegalGeneration
	}
	return kerr.StaleMemberEpoch
}

// stale refuses a commit of an earlier epoch for a partition that the member did not have then.
func (mb *consumerMember) stale(all Topics, topic string, index, epoch int32) *kerr.Error {
	t, _ := all.ByName(topic)
	for _, h := range []held{mb.assigned, mb.revoke} {
		if since, has := h[t.ID][index]; has && epoch >= since {
			return nil
		}
	}
	return mb.wrongEpoch()
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
	if err := m.mayFetch(asked); err != nil {
		out.ErrorCode = err.Code
		return out
	}
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

// mayFetch checks a member of a consumer group that names itself, so that one which is out does not
// go on from offsets that are no longer its own.
func (m *Machine) mayFetch(asked kmsg.OffsetFetchRequestGroup) *kerr.Error {
	g := m.consumers[asked.Group]
	if g == nil || asked.MemberID == nil && asked.MemberEpoch < 0 {
		return nil
	}
	var mb *consumerMember
	if asked.MemberID != nil {
		mb = g.members[*asked.MemberID]
	}
	switch {
	case mb == nil:
		return kerr.UnknownMemberID
	case mb.epoch != asked.MemberEpoch:
		return mb.wrongEpoch()
	}
	return nil
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
	g, cg := m.groups[req.Group], m.consumers[req.Group]
	switch {
	case req.Group == "":
		resp.ErrorCode = kerr.InvalidGroupID.Code
	case g == nil && cg == nil && m.offsets[req.Group] == nil:
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
			case subscribed.has(t.Topic), cg != nil && cg.reads(t.Topic):
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
