package seaweedmq

import (
	"time"
)

// Status is what a mirror does now, fit for JSON.
type Status struct {
	Topics []TopicStatus `json:"topics"`
}

// TopicStatus is one topic's.
type TopicStatus struct {
	Topic      string            `json:"topic"`
	Target     string            `json:"target"` // namespace.name in SeaweedMQ
	Mode       Mode              `json:"mode"`
	Transport  string            `json:"transport"` // broker or agent
	Columns    int               `json:"columns"`   // of values, when structured
	PerSecond  float64           `json:"recordsPerSecond"`
	Partitions []PartitionStatus `json:"partitions"`
}

// PartitionStatus is one partition's. The numbers of records are since the start of the process.
type PartitionStatus struct {
	Partition    int32  `json:"partition"`
	Streaming    bool   `json:"streaming"`
	Confirmed    int64  `json:"confirmed"` // offset before which everything is in the filer
	Lag          int64  `json:"lag"`       // offsets from there to the last stable one
	Published    int64  `json:"published"`
	Acknowledged int64  `json:"acknowledged"`
	Waiting      int64  `json:"waiting"` // published and not yet seen in the filer
	Repeats      int64  `json:"repeats"`
	Foreign      int64  `json:"foreign"`
	Undecodable  int64  `json:"undecodable"`
	DeadLetters  int64  `json:"deadLetters"`
	Skipped      int64  `json:"skipped"`
	Streams      int64  `json:"streams"`
	Unclear      int64  `json:"unclear"`
	Errors       int64  `json:"errors"`
	Error        string `json:"error,omitempty"`
	ErrorAt      string `json:"errorAt,omitempty"`
	Undecoded    string `json:"undecoded,omitempty"` // why the newest undecodable record is
	UndecodedAt  int64  `json:"undecodedAt,omitempty"`
}

// Status tells of all topics that are published.
func (m *Mirror) Status() Status {
	s := Status{Topics: []TopicStatus{}}
	for _, x := range m.all() {
		t := TopicStatus{Topic: x.topic.Name, Target: x.target.String(), Mode: x.mode, Transport: x.transport()}
		if x.shapes != nil {
			t.Columns = x.shapes.count()
		}
		m.mu.Lock()
		t.PerSecond = m.rates[x.topic.Name].perSecond
		m.mu.Unlock()
		for _, p := range x.publishers {
			t.Partitions = append(t.Partitions, p.status())
		}
		s.Topics = append(s.Topics, t)
	}
	return s
}

func (s *shapes) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.columns == nil {
		return 0
	}
	return len(s.columns.fields)
}

func (p *publisher) status() PartitionStatus {
	s := &p.stats
	out := PartitionStatus{
		Partition: p.index, Streaming: s.up.Load(), Confirmed: s.confirmed.Load(), Published: s.published.Load(),
		Acknowledged: s.acknowledged.Load(), Waiting: s.waiting.Load(), Repeats: s.repeats.Load(), Foreign: s.foreign.Load(),
		Undecodable: s.undecodable.Load(), DeadLetters: s.deadLetters.Load(),
		Skipped: s.skipped.Load(), Streams: s.streams.Load(), Unclear: s.unclear.Load(),
		Errors: s.errors.Load(), Lag: p.lag(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		out.Error, out.ErrorAt = s.err.Error(), s.errAt.UTC().Format(time.RFC3339)
	}
	if s.undecoded != nil {
		out.Undecoded, out.UndecodedAt = s.undecoded.Error(), s.undecodeAt
	}
	return out
}
