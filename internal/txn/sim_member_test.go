package txn_test

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/group"
	"kelp/internal/statelog"
)

// sessionTimeout is after how long a silent member loses its inputs.
const sessionTimeout = 6 * time.Second

// member is how a client gets its inputs: always the same one, or from a group whose members come and go.
type member interface {
	group() string
	consumer() bool
	name() (id string, epoch int32) // with which offsets are committed
	inputs(c *client) ([]int, error)
}

func newMember(kind, n int) member {
	switch kind {
	case alone:
		return fixed(n)
	case consumerGroup:
		return &consumerMember{}
	}
	return &classicMember{generation: -1}
}

// The kinds of members.
const (
	alone = iota
	consumerGroup
	classicGroup
	kinds
)

// fixed has the input of its number, as clients before KIP-447 must: the transactional id alone keeps others from it.
type fixed int

func (fixed) group() string                   { return "fixed" }
func (fixed) consumer() bool                  { return false }
func (fixed) name() (string, int32)           { return "", -1 }
func (f fixed) inputs(*client) ([]int, error) { return []int{int(f)}, nil }

// asked sends a request to the groups and waits for an answer that they may hold back.
func (c *client) asked(step func(statelog.Input) statelog.Effects) (kmsg.Response, error) {
	var ticket statelog.Ticket
	life := 0
	err := c.ask(func() error {
		in := c.s.input()
		ticket, life = in.Ticket, c.s.life
		c.s.commit(groups, step(in))
		return nil
	})
	for range 1000 {
		if err != nil || c.s.life != life {
			return nil, errLost
		}
		if r, answered := c.s.replies[ticket]; answered {
			resp, _ := r.Response.(kmsg.Response)
			return resp, r.Err
		}
		c.pause()
	}
	return nil, errLost
}

// consumerMember is one of the consumer protocol (KIP-848). It has its inputs in hand between two transactions only.
type consumerMember struct {
	id    string
	epoch int32
	own   []int
}

func (*consumerMember) group() string           { return "consumers" }
func (*consumerMember) consumer() bool          { return true }
func (m *consumerMember) name() (string, int32) { return m.id, m.epoch }

func (m *consumerMember) inputs(c *client) ([]int, error) {
	if m.id == "" {
		id := c.s.input().NewID()
		m.id, m.epoch, m.own = string(id[:4]), 0, nil
	}
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = 1, m.group(), m.id, m.epoch, 5000
	req.SubscribedTopicNames, req.Topics = []string{input.Name}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	if len(m.own) > 0 {
		t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
		t.TopicID, t.Partitions = input.ID, indexes(m.own)
		req.Topics = append(req.Topics, t)
	}
	answer, err := c.asked(func(in statelog.Input) statelog.Effects {
		return c.s.groups.ConsumerGroupHeartbeat(in, group.Client{ID: c.name()}, req)
	})
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.ConsumerGroupHeartbeatResponse)
	if err := codeError(resp.ErrorCode); err != nil {
		m.id = ""
		return nil, err
	}
	if m.epoch != resp.MemberEpoch {
		c.s.did.rebalances++
	}
	m.epoch = resp.MemberEpoch
	if resp.Assignment != nil {
		m.own = nil
		for _, t := range resp.Assignment.Topics {
			m.own = append(m.own, numbers(t.Partitions)...)
		}
	}
	return m.own, nil
}

func indexes(inputs []int) (all []int32) {
	for _, in := range inputs {
		all = append(all, int32(in))
	}
	return all
}

func numbers(partitions []int32) (all []int) {
	for _, p := range partitions {
		all = append(all, int(p))
	}
	return all
}

// classicMember is one of the classic protocol; its leader deals the inputs out.
type classicMember struct {
	id         string
	generation int32
	joined     bool
	own        []int
}

func (*classicMember) group() string           { return "classic" }
func (*classicMember) consumer() bool          { return false }
func (m *classicMember) name() (string, int32) { return m.id, m.generation }

func (m *classicMember) inputs(c *client) ([]int, error) {
	if !m.joined {
		if err := m.join(c); err != nil {
			if err != errLost && err != kerr.RebalanceInProgress { //nolint:errorlint // they are never wrapped here
				m.id = ""
			}
			return nil, err
		}
		m.joined = true
		c.s.did.rebalances++
		return m.own, nil
	}
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.Generation = 4, m.group(), m.id, m.generation
	answer, err := c.asked(func(in statelog.Input) statelog.Effects { return c.s.groups.Heartbeat(in, req) })
	if err != nil {
		return nil, err
	}
	if err := codeError(answer.(*kmsg.HeartbeatResponse).ErrorCode); err != nil {
		m.joined, m.own = false, nil
		if err != kerr.RebalanceInProgress { //nolint:errorlint // it is never wrapped here
			m.id = ""
		}
		return nil, err
	}
	return m.own, nil
}

func (m *classicMember) join(c *client) error {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version, req.Group, req.MemberID, req.ProtocolType = 9, m.group(), m.id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(sessionTimeout.Milliseconds()), 5000
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics = 3, []string{input.Name}
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", meta.AppendTo(nil)
	req.Protocols = append(req.Protocols, p)
	answer, err := c.asked(func(in statelog.Input) statelog.Effects {
		return c.s.groups.JoinGroup(in, group.Client{ID: c.name()}, req)
	})
	if err != nil {
		return err
	}
	resp := answer.(*kmsg.JoinGroupResponse)
	if resp.ErrorCode == kerr.MemberIDRequired.Code {
		m.id = resp.MemberID
		return errLost // and again
	}
	if err := codeError(resp.ErrorCode); err != nil {
		return err
	}
	m.id, m.generation = resp.MemberID, resp.Generation
	return m.sync(c, resp)
}

func (m *classicMember) sync(c *client, joined *kmsg.JoinGroupResponse) error {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version, req.Group, req.MemberID, req.Generation = 5, m.group(), m.id, m.generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	if joined.LeaderID == m.id {
		first := c.s.r.IntN(len(joined.Members))
		for i, mb := range joined.Members {
			a := kmsg.NewConsumerMemberAssignment()
			t := kmsg.NewConsumerMemberAssignmentTopic()
			t.Topic = input.Name
			for in := range producers {
				if (in+first)%len(joined.Members) == i {
					t.Partitions = append(t.Partitions, int32(in))
				}
			}
			a.Topics = append(a.Topics, t)
			g := kmsg.NewSyncGroupRequestGroupAssignment()
			g.MemberID, g.MemberAssignment = mb.MemberID, a.AppendTo(nil)
			req.GroupAssignment = append(req.GroupAssignment, g)
		}
	}
	answer, err := c.asked(func(in statelog.Input) statelog.Effects { return c.s.groups.SyncGroup(in, req) })
	if err != nil {
		return err
	}
	resp := answer.(*kmsg.SyncGroupResponse)
	if err := codeError(resp.ErrorCode); err != nil {
		return err
	}
	a := kmsg.NewConsumerMemberAssignment()
	if len(resp.MemberAssignment) > 0 {
		if err := a.ReadFrom(resp.MemberAssignment); err != nil {
			c.s.t.Fatal(err)
		}
	}
	m.own = nil
	for _, t := range a.Topics {
		m.own = slices.Concat(m.own, numbers(t.Partitions))
	}
	return nil
}
