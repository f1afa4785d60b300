package seaweedmq

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"kelp/internal/cluster"
	"kelp/internal/schema/record"
	"kelp/internal/seaweed/mq"
)

// mirrored is one topic that is published.
type mirrored struct {
	m           *Mirror
	topic       cluster.Topic
	mode        Mode
	undecodable Undecodable
	deadLetters string // topic of Kafka for undecodable records; empty: none
	target      mq.Topic
	shapes      *shapes // nil when raw
	publishers  []*publisher

	mu          sync.Mutex // guards assignments; held while they are found out, as all publishers need them
	assignments []mq.Assignment
	open        bool // SeaweedMQ has the topic as it should be

	stop context.CancelFunc
	wg   sync.WaitGroup
}

// want is what a topic's configs ask for; a change of any of it starts its publishers anew.
type want struct {
	id          [16]byte
	partitions  int32
	mode        Mode
	undecodable Undecodable
	deadLetters string
	target      mq.Topic
}

func (m *Mirror) start(ctx context.Context, t cluster.Topic, w want) *mirrored {
	x := &mirrored{m: m, topic: t, mode: w.mode, undecodable: w.undecodable, deadLetters: w.deadLetters, target: w.target}
	if w.mode == Structured {
		x.shapes = &shapes{topic: t.Name, registry: m.o.Registry, formats: m.o.Formats, tell: x.configure}
	}
	ctx, x.stop = context.WithCancel(ctx)
	for i := range t.Partitions {
		p := newPublisher(x, i)
		x.publishers = append(x.publishers, p)
		x.wg.Go(func() { p.run(ctx) })
	}
	return x
}

// end stops the publishers and waits for them.
func (x *mirrored) end() {
	x.stop()
	x.wg.Wait()
}

// assignment says who leads a partition, after making sure that SeaweedMQ has the topic.
func (x *mirrored) assignment(ctx context.Context, index int32) (mq.Assignment, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.m.settle(ctx); err != nil {
		return mq.Assignment{}, err
	}
	if !x.open {
		if err := x.prepare(ctx); err != nil {
			return mq.Assignment{}, err
		}
		x.open = true
	}
	if x.assignments == nil {
		found, err := x.m.o.Client.Assignments(ctx, x.target)
		if err != nil {
			x.open = !errors.Is(err, mq.ErrNoTopic)
			return mq.Assignment{}, err
		}
		if len(found) != len(x.publishers) { // configured anew, by somebody else
			x.open = false
			return mq.Assignment{}, fmt.Errorf("%s has %d partitions in SeaweedMQ, not %d", x.target, len(found), len(x.publishers))
		}
		x.assignments = found
	}
	return x.assignments[index], nil
}

// invalidate has the brokers asked again after a stream has failed.
func (x *mirrored) invalidate(why error) {
	if mq.Lost(why) {
		x.m.unsettle()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.assignments, x.open = nil, false
}

// prepare makes the topic in SeaweedMQ, or brings it up to date.
func (x *mirrored) prepare(ctx context.Context) error {
	have, err := x.m.o.Client.Describe(ctx, x.target)
	missing := errors.Is(err, mq.ErrNoTopic)
	switch {
	case err != nil && !missing:
		return err
	case missing:
		have = mq.Description{}
	}
	n := len(x.publishers)
	if !missing && len(have.Assignments) != n {
		// Another number of partitions begins a new generation. That is right for a topic of ours that
		// got more of them, and the end of the readers of anybody else's.
		if known, err := x.known(ctx); err != nil || !known {
			if err == nil {
				err = fmt.Errorf("%w: %s has %d partitions, the topic here %d", errConflict, x.target, len(have.Assignments), n)
			}
			return err
		}
	}
	var t *record.RecordType
	if x.mode == Structured {
		if t, err = x.shapes.open(ctx, have.RecordType); err != nil {
			return err
		}
	}
	if !missing && len(have.Assignments) == n && proto.Equal(t, have.RecordType) {
		return nil
	}
	return x.configure(ctx, t)
}

// known says whether this topic was published to the target before.
func (x *mirrored) known(ctx context.Context) (bool, error) {
	id := hex.EncodeToString(x.topic.ID[:])
	for i := range x.publishers {
		cp, found, err := x.m.o.Checkpoints.Load(ctx, x.topic.Name, int32(i))
		if err != nil || found && cp.Topic == id {
			return err == nil, err
		}
	}
	return false, nil
}

func (x *mirrored) configure(ctx context.Context, t *record.RecordType) error {
	_, err := x.m.o.Client.Configure(ctx, x.target, mq.Config{Partitions: int32(len(x.publishers)), RecordType: t})
	return err
}
