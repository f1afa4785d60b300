package seaweedmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"kelp/internal/schema/record"
	"kelp/internal/seaweed/mq"
)

// Limits of the agent's transport.
const (
	stallLimit  = 30 * time.Second // without anything new in the filer while records are on their way
	finishLimit = 10 * time.Second // for the agent to hand over what it was sent
)

// errStalled says that records went to an agent and none of them has arrived for a while. The agent says
// nothing when it has lost its broker, and keeps taking records.
var errStalled = errors.New("nothing of what the agent was sent arrives in SeaweedMQ")

// sender takes the messages of one partition. Close may be called again.
type sender interface {
	Send(m mq.Message) error
	Receive() (int64, error) // an acknowledgement, which counts for nothing, or why the stream has ended
	Close()
}

// viaAgent says whether the topic goes through the agent. An agent takes records and not bytes, and chooses
// the partition by the hash of the key: so it is one for structured topics of one partition.
func (x *mirrored) viaAgent() bool {
	return x.m.o.Agent != "" && x.mode == Structured && x.topic.Partitions == 1
}

func (x *mirrored) transport() string {
	if x.viaAgent() {
		return "agent"
	}
	return "broker"
}

// stallLimit is 0 where the stream itself says when it is broken.
func (x *mirrored) stallLimit() time.Duration {
	if x.viaAgent() {
		return stallLimit
	}
	return 0
}

// connect opens the stream that the messages go to.
func (s *stream) connect(ctx context.Context, name string) (sender, error) {
	t := s.p.t
	if !t.viaAgent() {
		pub, err := t.m.o.Client.OpenPublisher(ctx, t.target, s.a, name)
		if err != nil {
			return nil, err
		}
		return pub, nil
	}
	c := mq.Config{Partitions: 1, RecordType: t.shapes.recordType()}
	session, err := t.m.o.Client.OpenSession(context.WithoutCancel(ctx), t.m.o.Agent, t.target, c, name)
	if err != nil {
		return nil, err
	}
	a := &agentSender{session: session}
	context.AfterFunc(ctx, a.Close) // so that a send that waits for the agent ends too
	return a, nil
}

// agentSender publishes through an agent's session.
type agentSender struct {
	session *mq.Session
	once    sync.Once
}

// Send leaves the timestamp to the agent: structured entries are told apart by their column.
func (a *agentSender) Send(m mq.Message) error {
	var v record.RecordValue
	if err := proto.Unmarshal(m.Value, &v); err != nil {
		return fmt.Errorf("a row is no record: %w", err)
	}
	return a.session.Send(m.Key, &v)
}

// Receive waits for the end: an agent acknowledges nothing.
func (a *agentSender) Receive() (int64, error) { return 0, a.session.Wait() }

// Close has the agent leave the brokers, so that the next stream need not wait for this one.
func (a *agentSender) Close() {
	a.once.Do(func() { _ = a.session.Finish(finishLimit) }) // that it failed shows when the next stream waits
}

// moving tells records that take their time from such that do not arrive.
type moving struct {
	limit time.Duration // 0: none
	next  int64
	since time.Time
}

// check is told how many records are on their way and which is the first.
func (m *moving) check(waiting int, next int64, now time.Time) error {
	if waiting == 0 || next != m.next || m.since.IsZero() {
		m.next, m.since = next, now
		return nil
	}
	if m.limit > 0 && now.Sub(m.since) >= m.limit {
		return fmt.Errorf("%w: offset %d for %s", errStalled, next, m.limit)
	}
	return nil
}

func (s *shapes) recordType() *record.RecordType {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.columns.recordType()
}
