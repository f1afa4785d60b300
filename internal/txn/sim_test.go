package txn_test

import (
	"flag"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/group"
	"kelp/internal/statelog"
	"kelp/internal/storage"
	"kelp/internal/storage/memory"
	"kelp/internal/topic"
	"kelp/internal/txn"
)

var (
	seeds = flag.Int("seeds", 15, "how many seeds the simulation runs")
	seed  = flag.Uint64("seed", 0, "run this seed alone")
)

// The shape of the simulation: each producer copies one input partition of inputs records to both outputs.
const (
	producers = 3
	inputs    = 12
	outputs   = 2
	maxSteps  = 40_000
)

// server is the coordinator, the groups and the output partitions of one simulated server. A crash loses everything but
// the records of the machines and what the store of the partitions has.
type server struct {
	t      *testing.T
	r      *rand.Rand
	now    time.Time
	ticket statelog.Ticket
	nextID int64

	txns    *txn.Machine
	groups  *group.Machine
	logs    [2][]statelog.Record // of both machines
	replies map[statelog.Ticket]statelog.Reply
	calls   []txn.WriteMarkers // not yet delivered

	store storage.Store
	parts [outputs]*topic.Partition
	ends  [outputs]int64 // after the newest marker
}

func newServer(t *testing.T, r *rand.Rand) *server {
	s := &server{t: t, r: r, now: time.UnixMilli(1_000_000), store: memory.New()}
	s.start()
	return s
}

func (s *server) input() statelog.Input {
	s.ticket++
	return statelog.Input{Now: s.now, Ticket: s.ticket, NewID: func() [16]byte { return [16]byte{byte(s.r.Uint32())} }}
}

// start replays everything, as after a crash.
func (s *server) start() {
	o := txn.Defaults()
	if s.r.IntN(2) == 0 {
		o.HoldFor = 0
	}
	s.txns, s.groups = txn.New(o, cluster.TransactionVersion.Standard), group.New(group.Defaults())
	s.replies, s.calls = map[statelog.Ticket]statelog.Reply{}, nil
	for i, apply := range []func(statelog.Record) error{s.txns.Apply, s.groups.Apply} {
		for _, r := range s.logs[i] {
			if err := apply(r); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	s.commit(0, s.txns.Loaded(s.input()), s.txns.Apply)
	s.groups.Loaded(s.input())
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
}

var config = func() *cluster.TopicConfig {
	var img cluster.Image
	return img.ConfigOf(cluster.Schemas.ID)
}()

// commit makes the effects of a step durable and applies them.
func (s *server) commit(log int, e statelog.Effects, apply func(statelog.Record) error) {
	for _, r := range e.Records {
		s.logs[log] = append(s.logs[log], r)
		if err := apply(r); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, r := range e.Replies {
		s.replies[r.To] = r
	}
	for _, c := range e.Calls {
		s.calls = append(s.calls, c.(txn.WriteMarkers))
	}
}

// txnStep runs a step of the coordinator; ok is false when it holds the answer back.
func (s *server) txnStep(step func(statelog.Input) statelog.Effects) (statelog.Reply, bool) {
	in := s.input()
	s.commit(0, step(in), s.txns.Apply)
	reply, ok := s.replies[in.Ticket]
	return reply, ok
}

func (s *server) groupStep(step func(statelog.Input) statelog.Effects) statelog.Reply {
	in := s.input()
	s.commit(1, step(in), s.groups.Apply)
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
		a, err := s.parts[p.Index].WriteMarker(m)
		if err == nil {
			err = a.Pending.Wait(s.t.Context())
		}
		if err != nil {
			s.t.Fatalf("marker of %+v: %v", w, err)
		}
		s.ends[p.Index] = a.BaseOffset + 1
	}
	s.calls = slices.Delete(s.calls, i, i+1)
	s.txnStep(func(in statelog.Input) statelog.Effects { return s.txns.MarkersWritten(in, w) })
}

// errLost is what a client sees of a request that was lost, or whose answer was.
var errLost = fmt.Errorf("lost")

// client is one instance of a producer.
type client struct {
	s     *server
	n     int // which producer: its input partition and transactional id
	yield func(struct{}) bool

	id       int64
	epoch    int16
	sequence [outputs]int32
	tags     int
}

func (c *client) name() string { return "producer-" + strconv.Itoa(c.n) }

// ask sends a request over a network that loses and repeats, to a server that may crash at any moment.
func (c *client) ask(request func() error) error {
	if !c.yield(struct{}{}) {
		panic(stopped{})
	}
	r := c.s.r
	switch r.IntN(12) {
	case 0:
		return errLost
	case 1:
		_ = request()
		return errLost
	case 2:
		_ = request()
		return request()
	}
	return request()
}

type stopped struct{}

// run copies until the input is done; what fails begins anew.
func (c *client) run(done func()) iter.Seq[struct{}] {
	return func(yield func(struct{}) bool) {
		defer func() {
			if e := recover(); e != nil && e != (stopped{}) {
				panic(e)
			}
		}()
		c.yield = yield
		for {
			if err := c.init(); err != nil {
				continue
			}
			for {
				at, err := c.position()
				if err != nil {
					break
				}
				if at == inputs {
					done()
					return
				}
				if err := c.transact(at, min(1+int64(c.s.r.IntN(3)), inputs-at)); err != nil {
					break
				}
			}
		}
	}
}

// retry asks again while the request is lost or the server says to; anything else is the answer.
func (c *client) retry(request func() error) error {
	for range 100 {
		err := c.ask(request)
		if !slices.Contains([]error{errLost, kerr.ConcurrentTransactions, kerr.UnstableOffsetCommit, kerr.NotEnoughReplicas}, err) {
			return err
		}
	}
	return errLost
}

func (c *client) init() error {
	return c.retry(func() error {
		req := kmsg.NewPtrInitProducerIDRequest()
		name := c.name()
		req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 5, &name, 60_000
		reply, ok := c.s.txnStep(func(in statelog.Input) statelog.Effects {
			c.s.nextID++
			return c.s.txns.InitProducerID(in, req, c.s.nextID)
		})
		if !ok {
			return errLost
		}
		resp := reply.Response.(*kmsg.InitProducerIDResponse)
		c.id, c.epoch, c.sequence = resp.ProducerID, resp.ProducerEpoch, [outputs]int32{}
		return codeError(resp.ErrorCode)
	})
}

func codeError(code int16) error { return kerr.ErrorForCode(code) }

func (c *client) position() (at int64, err error) {
	err = c.retry(func() error {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Version, req.Group, req.RequireStable = 7, "g", true
		req.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "in", Partitions: []int32{int32(c.n)}}}
		resp := c.s.groupStep(func(in statelog.Input) statelog.Effects { return c.s.groups.OffsetFetch(in, req) }).Response
		p := resp.(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0]
		at = max(p.Offset, 0)
		return codeError(p.ErrorCode)
	})
	return at, err
}

func (c *client) transact(at, count int64) error {
	c.tags++
	tag := fmt.Sprintf("%d/%d/%d", c.id, c.epoch, c.tags)
	for out := range outputs {
		if err := c.produce(out, at, count, tag); err != nil {
			return err
		}
	}
	if err := c.retry(func() error { return c.offsets(at + count) }); err != nil {
		return err
	}
	commit := c.s.r.IntN(5) > 0
	return c.retry(func() error { return c.end(commit) })
}

// produce writes count records to an output; each says its input, its number and its transaction.
func (c *client) produce(out int, at, count int64, tag string) error {
	id, epoch, sequence := c.id, c.epoch, c.sequence[out]
	err := c.retry(func() error {
		var recs []batch.Record
		for i := at; i < at+count; i++ {
			recs = append(recs, batch.Record{TimestampMs: 1_000_000, Key: []byte(tag), Value: fmt.Appendf(nil, "%d:%d", c.n, i)})
		}
		b := batch.Encode(recs, batch.Options{ProducerID: id, ProducerEpoch: epoch, BaseSequence: sequence, Transactional: true})
		a, err := c.s.parts[out].Produce(b, topic.Client{Transactional: true, Implicit: true})
		if err != nil {
			return bare(err)
		}
		if a.Verify != nil {
			by := txn.Producer{TransactionalID: c.name(), ID: id, Epoch: epoch}
			part := txn.Partition{Topic: "out", Index: int32(out)}
			reply, ok := c.s.txnStep(func(in statelog.Input) statelog.Effects { return c.s.txns.Join(in, by, part) })
			if !ok {
				a.Verify.Done(kerr.ConcurrentTransactions) // the client does not wait for it; it may still be added
				return errLost
			}
			a.Verify.Done(reply.Err)
		}
		if a.Pending == nil {
			return nil
		}
		return bare(a.Pending.Wait(c.s.t.Context()))
	})
	c.sequence[out] += int32(count)
	return err
}

// bare is the code in an error.
func bare(err error) error {
	for e := err; e != nil; {
		if k, ok := e.(*kerr.Error); ok { //nolint:errorlint // walks the chain
			return k
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	return err
}

func (c *client) offsets(at int64) error {
	guard := c.s.groupStep(func(in statelog.Input) statelog.Effects { return c.s.groups.TxnGuard(in, c.id, c.epoch) }).Response.(group.Guard)
	if !guard.Open {
		by := txn.Producer{TransactionalID: c.name(), ID: c.id, Epoch: c.epoch}
		reply, ok := c.s.txnStep(func(in statelog.Input) statelog.Effects {
			return c.s.txns.Join(in, by, txn.Partition{Topic: cluster.ConsumerOffsets.Name})
		})
		if !ok {
			return errLost
		}
		if reply.Err != nil {
			return reply.Err
		}
	}
	for len(c.s.calls) > 0 && c.s.r.IntN(3) == 0 { // markers may come between the question and the commit
		c.s.deliver(c.s.r.IntN(len(c.s.calls)))
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = 5, "g", c.id, c.epoch, -1
	req.Topics = []kmsg.TxnOffsetCommitRequestTopic{{
		Topic: "in", Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{{Partition: int32(c.n), Offset: at, LeaderEpoch: -1}},
	}}
	resp := c.s.groupStep(func(in statelog.Input) statelog.Effects { return c.s.groups.TxnOffsetCommit(in, req, guard) }).Response
	return codeError(resp.(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
}

func (c *client) end(commit bool) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version, req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = 5, c.name(), c.id, c.epoch, commit
	reply, ok := c.s.txnStep(func(in statelog.Input) statelog.Effects {
		c.s.nextID++
		return c.s.txns.EndTxn(in, req, c.s.nextID)
	})
	if !ok {
		return errLost
	}
	resp := reply.Response.(*kmsg.EndTxnResponse)
	if err := codeError(resp.ErrorCode); err != nil {
		return err
	}
	c.id, c.epoch, c.sequence = resp.ProducerID, resp.ProducerEpoch, [outputs]int32{}
	return nil
}

// TestReadersSeeWholeTransactionsOnce copies inputs with several producers, some of which are replaced while they go on as
// zombies, on a server that crashes; and checks what a reader of committed records sees.
func TestReadersSeeWholeTransactionsOnce(t *testing.T) {
	from, n := uint64(1), *seeds
	if *seed != 0 {
		from, n = *seed, 1
	}
	for i := range uint64(n) {
		t.Run(fmt.Sprint("seed ", from+i), func(t *testing.T) { simulate(t, from+i) })
	}
}

func simulate(t *testing.T, seed uint64) {
	t.Logf("repeat with: go test ./internal/txn -run %s -seed %d", "TestReadersSeeWholeTransactionsOnce", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	s := newServer(t, r)
	defer s.store.Close()
	var running []func() (struct{}, bool)
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	done := map[int]bool{}
	begin := func(n int) {
		c := &client{s: s, n: n}
		next, stop := iter.Pull(c.run(func() { done[n] = true }))
		running, stops = append(running, next), append(stops, stop)
	}
	for n := range producers {
		begin(n)
	}
	for step := 0; len(done) < producers || len(s.calls) > 0; step++ {
		if step > maxSteps {
			t.Fatalf("after %d steps only %v are done, %d markers are left", step, done, len(s.calls))
		}
		s.now = s.now.Add(time.Duration(r.IntN(20)) * time.Millisecond)
		switch at := r.IntN(60); {
		case at == 0:
			s.start()
		case at == 1 && len(running) < 2*producers:
			begin(r.IntN(producers)) // whoever had the id goes on as a zombie
		case at == 2 && r.IntN(6) == 0:
			s.now = s.now.Add(time.Minute)
			s.txnStep(func(in statelog.Input) statelog.Effects { return s.txns.Timeout(in, "abort") })
		case at < 15 && len(s.calls) > 0:
			s.deliver(r.IntN(len(s.calls)))
		case len(running) > 0:
			i := r.IntN(len(running))
			if _, more := running[i](); !more {
				running = slices.Delete(running, i, i+1)
			}
		}
	}
	for range 2 * producers { // what zombies left open is aborted in time
		s.now = s.now.Add(time.Hour)
		s.txnStep(func(in statelog.Input) statelog.Effects { return s.txns.Timeout(in, "abort") })
		for len(s.calls) > 0 {
			s.deliver(0)
		}
	}
	s.check()
}

// check reads the outputs as a reader of committed records does.
func (s *server) check() {
	tags := [outputs]map[string]bool{}
	for out, p := range s.parts {
		tags[out] = map[string]bool{}
		for give := time.After(10 * time.Second); p.LastStableOffset() < s.ends[out]; { // the store tells the end a little later
			select {
			case <-time.After(time.Millisecond):
			case <-give:
				s.t.Fatalf("output %d: a transaction hangs from %d, the last ended at %d", out, p.LastStableOffset(), s.ends[out])
			}
		}
		next := map[string]int{}
		for _, r := range s.committed(p) {
			tags[out][string(r.Key)] = true
			var n, i int
			if _, err := fmt.Sscanf(string(r.Value), "%d:%d", &n, &i); err != nil {
				s.t.Fatal(err)
			}
			if key := strconv.Itoa(n); next[key] != i {
				s.t.Errorf("output %d: record %s of input %d comes at offset %d, want %d", out, r.Value, n, r.Offset, next[key])
			}
			next[strconv.Itoa(n)]++
		}
		for n := range producers {
			if next[strconv.Itoa(n)] != inputs {
				s.t.Errorf("output %d: %d of %d records of input %d", out, next[strconv.Itoa(n)], inputs, n)
			}
		}
	}
	if !maps.Equal(tags[0], tags[1]) {
		s.t.Errorf("half of a transaction is there: %v, %v", tags[0], tags[1])
	}
}

func (s *server) committed(p *topic.Partition) (out []batch.Record) {
	stable := p.LastStableOffset()
	aborted := map[int64][]topic.Aborted{}
	for _, a := range p.Aborted(0, stable) {
		aborted[a.ProducerID] = append(aborted[a.ProducerID], a)
	}
	for at := int64(0); at < stable; {
		span, err := p.Read(s.t.Context(), at, 1, true)
		if err != nil {
			s.t.Fatal(err)
		}
		b, err := span.Bytes()
		if err != nil {
			s.t.Fatal(err)
		}
		h, err := batch.ReadHeader(b)
		if err != nil {
			s.t.Fatal(err)
		}
		at = h.LastOffset() + 1
		gone := slices.ContainsFunc(aborted[h.ProducerID], func(a topic.Aborted) bool {
			return a.FirstOffset <= h.BaseOffset && h.BaseOffset < a.LastOffset
		})
		if !h.Control() && !gone {
			for r, err := range batch.Records(b, 1<<20) {
				if err != nil {
					s.t.Fatal(err)
				}
				r.Key, r.Value = slices.Clone(r.Key), slices.Clone(r.Value)
				out = append(out, r)
			}
		}
		span.Release()
	}
	return out
}
