package seaweedmq

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/seaweed"
	"kelp/internal/seaweed/mq"
	"kelp/internal/storage"
)

// followEvery is how often the topics and their configs are looked at.
const followEvery = 500 * time.Millisecond

// rateOver is the time that a rate in the status is taken over.
const rateOver = 10 * time.Second

// Options of a mirror.
type Options struct {
	Image     func() *cluster.Image
	Partition func(context.Context, storage.Partition) (Log, error)
	Client    *mq.Client
	// Filer connects to the filer that the brokers write to; it is asked again until it succeeds.
	Filer       func(context.Context) (*seaweed.Client, error)
	Registry    schema.Registry // nil: there is none
	Formats     map[schema.Type]schema.Format
	Checkpoints Checkpoints
	DeadLetters DeadLetters
	Agent       string // address of the agent that takes what an agent can take; empty: brokers take all
	Namespace   string // of topics that do not say
	Logger      *slog.Logger
	Now         func() time.Time
}

// Mirror publishes all topics whose configs ask for it.
type Mirror struct {
	o Options

	connecting sync.Mutex // guards connected; held while connecting
	connected  *seaweed.Client

	settling sync.Mutex  // held while the brokers are waited for
	settled  atomic.Bool // no broker was lost since

	mu     sync.Mutex // guards topics and rates
	topics map[string]*mirrored
	wants  map[string]want
	rates  map[string]rate
}

// rate is how many records a topic had published when.
type rate struct {
	at        time.Time
	published int64
	perSecond float64
}

// New makes a mirror; Run works.
func New(o Options) *Mirror {
	return &Mirror{o: o, topics: map[string]*mirrored{}, wants: map[string]want{}, rates: map[string]rate{}}
}

// Run follows the topics until ctx ends, and returns when all publishers have ended.
func (m *Mirror) Run(ctx context.Context) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		m.follow(ctx)
		m.measure()
		select {
		case <-ctx.Done():
			m.endAll()
			return
		case <-tick.C:
		}
	}
}

// follow starts and ends publishers as the configs say.
func (m *Mirror) follow(ctx context.Context) {
	img := m.o.Image()
	wanted := map[string]want{}
	for name, t := range img.ByName {
		if cluster.Reserved(storage.Partition{Topic: t.ID}) {
			continue
		}
		if mode := Mode(t.Config.SeaweedMQPublish); mode == Raw || mode == Structured {
			wanted[name] = want{
				t.ID, t.Partitions, mode, Undecodable(t.Config.SeaweedMQUndecodable), t.Config.SeaweedMQDeadLetters, m.targetOf(t),
			}
		}
	}
	m.mu.Lock()
	var ending []*mirrored
	for name, x := range m.topics {
		if m.wants[name] != wanted[name] {
			ending = append(ending, x)
			delete(m.topics, name)
			delete(m.wants, name)
			delete(m.rates, name)
		}
	}
	m.mu.Unlock()
	for _, x := range ending {
		x.end()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, w := range wanted {
		if m.topics[name] == nil && ctx.Err() == nil {
			m.topics[name], m.wants[name] = m.start(ctx, img.ByName[name], w), w
		}
	}
}

// Lag is how many offsets of a partition are not in SeaweedMQ; -1 while it is not followed.
func (m *Mirror) Lag(topic [16]byte, partition int32) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, x := range m.topics {
		if x.topic.ID == topic && int(partition) < len(x.publishers) {
			if p := x.publishers[partition]; p.log.Load() != nil {
				return p.lag()
			}
		}
	}
	return -1
}

// targetOf names a topic in SeaweedMQ: its own name in the default namespace, or what its config says.
func (m *Mirror) targetOf(t cluster.Topic) mq.Topic {
	name := cmp.Or(t.Config.SeaweedMQTopic, t.Name)
	if namespace, rest, ok := strings.Cut(name, "/"); ok {
		return mq.Topic{Namespace: namespace, Name: rest}
	}
	return mq.Topic{Namespace: m.o.Namespace, Name: name}
}

func (m *Mirror) endAll() {
	for _, x := range m.all() {
		x.end()
	}
	m.connecting.Lock()
	defer m.connecting.Unlock()
	if m.connected != nil {
		_ = m.connected.Close()
	}
}

// all are the topics that are published, by name.
func (m *Mirror) all() []*mirrored {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*mirrored
	for _, x := range m.topics {
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b *mirrored) int { return strings.Compare(a.topic.Name, b.topic.Name) })
	return all
}

// filer connects once.
func (m *Mirror) filer(ctx context.Context) (*seaweed.Client, error) {
	m.connecting.Lock()
	defer m.connecting.Unlock()
	if m.connected == nil {
		c, err := m.o.Filer(ctx)
		if err != nil {
			return nil, err
		}
		m.connected = c
	}
	return m.connected, nil
}

// settle waits, at the start and after a broker was lost, until brokers may be asked about topics.
func (m *Mirror) settle(ctx context.Context) error {
	m.settling.Lock()
	defer m.settling.Unlock()
	if m.settled.Load() {
		return nil
	}
	if err := m.o.Client.Settle(ctx); err != nil {
		return err
	}
	m.settled.Store(true)
	return nil
}

func (m *Mirror) unsettle() { m.settled.Store(false) }

// measure keeps the rates up.
func (m *Mirror) measure() {
	now := m.o.Now()
	for _, x := range m.all() {
		var published int64
		for _, p := range x.publishers {
			published += p.stats.published.Load()
		}
		m.mu.Lock()
		r, known := m.rates[x.topic.Name]
		switch took := now.Sub(r.at); {
		case !known:
			m.rates[x.topic.Name] = rate{at: now, published: published}
		case took >= rateOver:
			m.rates[x.topic.Name] = rate{at: now, published: published, perSecond: float64(published-r.published) / took.Seconds()}
		}
		m.mu.Unlock()
	}
}
