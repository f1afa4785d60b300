package txn_test

import (
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"kelp/internal/cluster"
	"kelp/internal/group"
	"kelp/internal/statelog"
	"kelp/internal/storage"
	"kelp/internal/storage/memory"
	"kelp/internal/topic"
	"kelp/internal/txn"
)

// The two machines and their logs.
const (
	coordinator = iota
	groups
)

// server is the coordinator, the groups and the output partitions of one simulated server. A crash loses everything but
// the records of the machines and what the store of the partitions has.
type server struct {
	t      *testing.T
	r      *rand.Rand
	level  int16 // of transaction.version
	now    time.Time
	ticket statelog.Ticket
	nextID int64
	life   int // goes up with every start

	txns    *txn.Machine
	groups  *group.Machine
	logs    [2][]statelog.Record    // of both machines
	timers  [2]map[string]time.Time // by key
	replies map[statelog.Ticket]statelog.Reply
	calls   []txn.WriteMarkers // not yet delivered

	store storage.Store
	parts [outputs]*topic.Partition
	ends  [outputs]int64 // after the newest marker
	did   struct{ crashes, torn, rebalances, refused int }
}

func newServer(t *testing.T, r *rand.Rand) *server {
	s := &server{t: t, r: r, now: time.UnixMilli(1_000_000), store: memory.New(), level: int16(min(2, r.IntN(6)))}
	s.start()
	return s
}

func (s *server) input() statelog.Input {
	s.ticket++
	return statelog.Input{Now: s.now, Ticket: s.ticket, NewID: func() (id [16]byte) {
		for i := range id {
			id[i] = byte(s.r.Uint32())
		}
		return id
	}}
}

// start replays everything, as after a crash.
func (s *server) start() {
	o := txn.Defaults()
	o.AbortCheck = time.Second
	if s.r.IntN(2) == 0 {
		o.HoldFor = 0
	}
	g := group.Defaults()
	g.InitialRebalanceDelay = 100 * time.Millisecond
	g.Topics = func() group.Topics { return inputTopic{} }
	g.Settings = func(string) group.Settings {
		return group.Settings{SessionTimeout: sessionTimeout, HeartbeatInterval: sessionTimeout / 3}
	}
	s.life++
	s.txns, s.groups = txn.New(o, s.level), group.New(g)
	s.replies, s.calls = map[statelog.Ticket]statelog.Reply{}, nil
	for i, m := range s.machines() {
		s.timers[i] = map[string]time.Time{}
		for _, r := range s.logs[i] {
			if err := m.Apply(r); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	for i := range s.parts {
		p, err := topic.Open(s.t.Context(), s.store, storage.Partition{Topic: [16]byte{9}, Index: int32(i)}, topic.Options{
			Now: func() time.Time { return s.now }, ProducerExpirationMs: 1 << 40,
			Config: func() *cluster.TopicConfig { return config },
		})
		if err != nil {
			s.t.Fatal(err)
		}
		s.parts[i] = p
	}
	for i, m := range s.machines() {
		s.surviving(func() { s.commit(i, m.Loaded(s.input())) })
	}
}

func (s *server) machines() [2]statelog.Machine { return [2]statelog.Machine{s.txns, s.groups} }

// inputTopic is what the groups read: a topic with a partition for each producer.
type inputTopic struct{}

var input = group.Topic{ID: [16]byte{7}, Name: "in", Partitions: producers}

func (inputTopic) ByName(name string) (group.Topic, bool) { return input, name == input.Name }
func (inputTopic) ByID(id [16]byte) (group.Topic, bool)   { return input, id == input.ID }
func (inputTopic) Names() iter.Seq[string]                { return slices.Values([]string{input.Name}) }

var config = func() *cluster.TopicConfig {
	var img cluster.Image
	return img.ConfigOf(cluster.Schemas.ID)
}()

// crash is the panic that ends the server in the middle of something.
type crash struct{}

// moment is one at which the server may crash.
func (s *server) moment() {
	if s.r.IntN(crashEvery) == 0 {
		panic(crash{})
	}
}

// surviving does something during which the server may crash, and starts it again when it did.
func (s *server) surviving(do func()) (survived bool) {
	defer func() {
		e := recover()
		if e == nil {
			return
		}
		if e != (crash{}) {
			panic(e)
		}
		s.did.crashes++
		s.start()
	}()
	do()
	return true
}

// commit makes the effects of a step durable and applies them. A crash may come before and after every record, also in the
// middle of an append. The groups' records of one kind share a batch, of which all is there or nothing.
func (s *server) commit(log int, e statelog.Effects) {
	m := s.machines()[log]
	s.moment()
	for i, r := range e.Records {
		whole := log == groups && i > 0 && r.Transaction == nil && e.Records[i-1].Transaction == nil
		if i > 0 && !whole && s.r.IntN(tearEvery) == 0 {
			s.did.torn++
			panic(crash{})
		}
		s.logs[log] = append(s.logs[log], r)
	}
	for _, r := range e.Records {
		if err := m.Apply(r); err != nil {
			s.t.Fatal(err)
		}
	}
	s.moment()
	for _, r := range e.Replies {
		s.replies[r.To] = r
	}
	for _, c := range e.Calls {
		s.calls = append(s.calls, c.(txn.WriteMarkers))
	}
	for _, t := range e.Timers {
		if s.timers[log][t.Key] = t.At; t.At.IsZero() {
			delete(s.timers[log], t.Key)
		}
	}
}

// due runs the timers whose time has come.
func (s *server) due() {
	for i, m := range s.machines() {
		for _, key := range slices.Sorted(maps.Keys(s.timers[i])) {
			at, set := s.timers[i][key]
			if !set || at.After(s.now) {
				continue
			}
			delete(s.timers[i], key)
			if !s.surviving(func() { s.commit(i, m.Timeout(s.input(), key)) }) {
				return
			}
		}
	}
}

// txnStep runs a step of the coordinator; ok is false when it holds the answer back.
func (s *server) txnStep(step func(statelog.Input) statelog.Effects) (statelog.Reply, bool) {
	in := s.input()
	s.commit(coordinator, step(in))
	reply, ok := s.replies[in.Ticket]
	return reply, ok
}

func (s *server) groupStep(step func(statelog.Input) statelog.Effects) statelog.Reply {
	in := s.input()
	s.commit(groups, step(in))
	return s.replies[in.Ticket]
}

// deliver writes the markers of a decided transaction, in one partition after the other, and may be cut off.
func (s *server) deliver(i int) {
	w := s.calls[i]
	for _, p := range w.Partitions {
		if s.r.IntN(8) == 0 {
			return // this try fails here; the call stays
		}
		m := topic.Marker{ProducerID: w.ID, ProducerEpoch: w.Epoch, Commit: w.Commit, TransactionVersion: w.Version}
		if p.Topic == cluster.ConsumerOffsets.Name {
			s.groupStep(func(in statelog.Input) statelog.Effects {
				return s.groups.EndTxn(in, group.TxnMarker{
					ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch, Commit: m.Commit, Version: m.TransactionVersion,
				})
			})
			continue
		}
		s.moment()
		a, err := s.parts[p.Index].WriteMarker(m)
		if err == nil {
			err = a.Pending.Wait(s.t.Context())
		}
		if err != nil {
			s.t.Fatalf("marker of %+v: %v", w, err)
		}
		s.ends[p.Index] = a.BaseOffset + 1
		s.moment()
	}
	s.calls = slices.Delete(s.calls, i, i+1)
	s.txnStep(func(in statelog.Input) statelog.Effects { return s.txns.MarkersWritten(in, w) })
}
