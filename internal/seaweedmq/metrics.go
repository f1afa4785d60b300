package seaweedmq

import "github.com/prometheus/client_golang/prometheus"

// counter is a number of every publisher, shown as the sum over a topic's partitions since the start.
type counter struct {
	name, help string
	kind       prometheus.ValueType
	of         func(*publisher) int64
}

var counters = []counter{
	{
		name: "published_records_total", help: "Records sent to SeaweedMQ.",
		kind: prometheus.CounterValue, of: func(p *publisher) int64 { return p.stats.published.Load() },
	},
	{
		name: "published_bytes_total", help: "Bytes of keys and values sent to SeaweedMQ.",
		kind: prometheus.CounterValue, of: func(p *publisher) int64 { return p.stats.bytes.Load() },
	},
	{
		name: "acknowledged_records_total", help: "Records that a broker of SeaweedMQ has taken into its memory.",
		kind: prometheus.CounterValue, of: func(p *publisher) int64 { return p.stats.acknowledged.Load() },
	},
	{
		name: "repeated_records_total", help: "Entries found in the filer that were there already.",
		kind: prometheus.CounterValue, of: func(p *publisher) int64 { return p.stats.repeats.Load() },
	},
	{
		name: "foreign_records_total", help: "Entries found in the filer that were not published from here.",
		kind: prometheus.CounterValue, of: func(p *publisher) int64 { return p.stats.foreign.Load() },
	},
	{
		name: "undecodable_records_total", help: "Records whose value is not what its schema says.",
		kind: prometheus.CounterValue, of: func(p *publisher) int64 { return p.stats.undecodable.Load() },
	},
	{
		name: "dead_letter_records_total", help: "Undecodable records written to the dead-letter topic.",
		kind: prometheus.CounterValue, of: func(p *publisher) int64 { return p.stats.deadLetters.Load() },
	},
	{
		name: "skipped_records_total", help: "Offsets that were deleted before they were published.",
		kind: prometheus.CounterValue, of: func(p *publisher) int64 { return p.stats.skipped.Load() },
	},
	{
		name: "streams_total", help: "Streams opened to brokers: one for each partition, and one for each time that it was interrupted.",
		kind: prometheus.CounterValue, of: func(p *publisher) int64 { return p.stats.streams.Load() },
	},
	{
		name: "unclear_streams_total", help: "Streams opened although an earlier one might still be flushed, so that records may be there twice.",
		kind: prometheus.CounterValue, of: func(p *publisher) int64 { return p.stats.unclear.Load() },
	},
	{
		name: "errors_total", help: "Failures of publishing or of looking at the filer; all are tried again.",
		kind: prometheus.CounterValue, of: func(p *publisher) int64 { return p.stats.errors.Load() },
	},
	{
		name: "waiting_records", help: "Records that were sent and not yet seen in the filer.",
		kind: prometheus.GaugeValue, of: func(p *publisher) int64 { return p.stats.waiting.Load() },
	},
	{
		name: "lag_records", help: "Offsets from the last stable one back to where everything is in the filer.",
		kind: prometheus.GaugeValue, of: (*publisher).lag,
	},
	{
		name: "streaming_partitions", help: "Partitions with an open stream to a broker.",
		kind: prometheus.GaugeValue, of: func(p *publisher) int64 {
			if p.stats.up.Load() {
				return 1
			}
			return 0
		},
	},
}

// Describe sends nothing: topics come and go.
func (m *Mirror) Describe(chan<- *prometheus.Desc) {}

// Collect shows the numbers of all topics that are published.
func (m *Mirror) Collect(to chan<- prometheus.Metric) {
	for _, x := range m.all() {
		for _, c := range counters {
			var sum int64
			for _, p := range x.publishers {
				sum += c.of(p)
			}
			desc := prometheus.NewDesc("kelp_seaweedmq_"+c.name, c.help, []string{"topic"}, nil)
			to <- prometheus.MustNewConstMetric(desc, c.kind, float64(sum), x.topic.Name)
		}
	}
}
