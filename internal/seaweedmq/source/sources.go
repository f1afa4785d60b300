package source

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kelp/internal/cluster"
	"kelp/internal/seaweed/mq"
)

// Sources follows all topics whose configs name one in SeaweedMQ.
type Sources struct {
	o       Options
	metrics *metrics
}

// New makes the sources; Run works.
func New(o Options) *Sources { return &Sources{o: o, metrics: newMetrics(o.Metrics)} }

// want is a topic that is to be followed.
type want struct {
	id                       [16]byte
	name                     string
	partitions               int32
	source, format, registry string
}

// Run follows the topics until ctx ends, and returns when all followers have ended.
func (s *Sources) Run(ctx context.Context) {
	running := map[string]*followers{}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		s.look(ctx, running)
		select {
		case <-ctx.Done():
			for _, f := range running {
				f.end()
			}
			return
		case <-tick.C:
		}
	}
}

// followers are those of one topic.
type followers struct {
	want   want
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func (f *followers) end() {
	f.cancel()
	f.wg.Wait()
}

// look starts and ends followers as the configs say.
func (s *Sources) look(ctx context.Context, running map[string]*followers) {
	img := s.o.Image()
	for name, f := range running {
		if t, ok := img.ByName[name]; !ok || f.want != wantOf(t) {
			f.end()
			delete(running, name)
			if !ok {
				s.metrics.forget(name)
			}
		}
	}
	for name, t := range img.ByName {
		w := wantOf(t)
		if w.source == "" || running[name] != nil || ctx.Err() != nil {
			continue
		}
		running[name] = s.start(ctx, w)
	}
}

func wantOf(t cluster.Topic) want {
	return want{t.ID, t.Name, t.Partitions, t.Config.SeaweedMQSource, t.Config.SeaweedMQFormat, t.Config.SchemaRegistry}
}

func (s *Sources) start(ctx context.Context, w want) *followers {
	all := &followers{want: w}
	ctx, all.cancel = context.WithCancel(ctx)
	namespace, name, _ := strings.Cut(w.source, "/")
	for i := range w.partitions {
		f := &follower{
			o: &s.o, want: w, source: mq.Topic{Namespace: namespace, Name: name}, partition: i, metrics: s.metrics,
		}
		all.wg.Go(func() { f.run(ctx) })
	}
	return all
}

// metrics of the sources. Their topics are as many as an operator has named.
type metrics struct {
	records, repeats, skipped, unfitted, errors *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "kelp", Subsystem: "seaweedmq_source", Name: name, Help: help,
		}, []string{"topic"})
	}
	m := &metrics{
		records: counter("records_total", "Records that were read from SeaweedMQ."),
		repeats: counter("repeated_entries_total", "Entries of SeaweedMQ that were left out, as another one has the same offset."),
		skipped: counter("missing_offsets_total", "Offsets that SeaweedMQ has no entry for."),
		unfitted: counter("unfitted_values_total",
			"Values that the newest schema of the topic did not fit and that became JSON (kelp.seaweedmq.source.format=schema)."),
		errors: counter("errors_total", "Failed attempts to read from SeaweedMQ."),
	}
	if r != nil {
		r.MustRegister(m.records, m.repeats, m.skipped, m.unfitted, m.errors)
	}
	return m
}

func (m *metrics) took(topic string, records, repeats, skipped, unfitted int64) {
	m.records.WithLabelValues(topic).Add(float64(records))
	m.repeats.WithLabelValues(topic).Add(float64(repeats))
	m.skipped.WithLabelValues(topic).Add(float64(skipped))
	m.unfitted.WithLabelValues(topic).Add(float64(unfitted))
}

func (m *metrics) forget(topic string) {
	for _, v := range []*prometheus.CounterVec{m.records, m.repeats, m.skipped, m.unfitted, m.errors} {
		v.DeleteLabelValues(topic)
	}
}
