// Package mq is a client of SeaweedMQ: its brokers, its agent, and the log files that brokers leave
// in the filer. It speaks SeaweedMQ's words (topic with namespace, partition as a range of a ring,
// generation) and knows nothing of Kafka.
//
// [Client] is the entry: topics, their types and who leads which partition. [Publisher] and
// [Subscription] are streams to the leader of one partition, [Session] is one to an agent. [LogFiles]
// reads what has reached the filer: only that survives a broker.
//
// Invariants: what a broker acknowledges is in its memory and no further, and nothing here says
// otherwise. A publisher's acknowledgements come in the order of its messages, one for each. Every
// call has a time limit; streams end with their context.
package mq

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"kelp/internal/schema/record"
	"kelp/internal/seaweed/mqpb"
)

// The errors of this package; each is wrapped with what was asked for and what was answered.
var (
	ErrNoTopic   = errors.New("no such topic in SeaweedMQ")
	ErrNotLeader = errors.New("the broker does not lead this partition")
	// ErrRefused is an answer of a broker or an agent that says why it does not do what it was asked.
	ErrRefused = errors.New("SeaweedMQ refused")
	ErrCorrupt = errors.New("a log file of SeaweedMQ is damaged")
)

// RingSize is how many parts the ring has that brokers give out to partitions, and so the most
// partitions of a topic.
const RingSize = 2520

// Topic names a topic.
type Topic struct{ Namespace, Name string }

// String is namespace.name.
func (t Topic) String() string { return t.Namespace + "." + t.Name }

// Dir is the topic's folder in the filer.
func (t Topic) Dir() string { return "/topics/" + t.Namespace + "/" + t.Name }

func (t Topic) message() *mqpb.Topic { return &mqpb.Topic{Namespace: t.Namespace, Name: t.Name} }

// Partition is a range of the ring in one generation of the topic.
type Partition struct {
	RingSize, Start, Stop int32 // Stop is exclusive
	GenerationNs          int64
}

// Dir is the partition's folder in the filer.
func (p Partition) Dir(t Topic) string {
	return fmt.Sprintf("%s/%s/%s", t.Dir(), time.Unix(0, p.GenerationNs).UTC().Format(generationLayout), p.folder())
}

func (p Partition) folder() string { return fmt.Sprintf("%04d-%04d", p.Start, p.Stop) }

func (p Partition) message() *mqpb.Partition {
	return &mqpb.Partition{RingSize: p.RingSize, RangeStart: p.Start, RangeStop: p.Stop, UnixTimeNs: p.GenerationNs}
}

func partitionOf(p *mqpb.Partition) Partition {
	return Partition{RingSize: p.GetRingSize(), Start: p.GetRangeStart(), Stop: p.GetRangeStop(), GenerationNs: p.GetUnixTimeNs()}
}

// Assignment is a partition and who leads it.
type Assignment struct {
	Partition Partition
	Leader    string // host:port, to be dialled as it is
}

// Description is what a topic is configured to.
type Description struct {
	Topic      Topic
	RecordType *record.RecordType // nil: its records have no type
	KeyColumns []string
	// Assignments are in the order of the ring: the place in the list is the partition's number for
	// those who count, such as Kafka.
	Assignments []Assignment
}

// byStart orders by the place in the ring: answers have any order.
func byStart(a, b Assignment) int { return cmp.Compare(a.Partition.Start, b.Partition.Start) }
