package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/api"
)

const patience = time.Minute

// gate is a handler of Metadata whose answers wait until let is closed, and one of ApiVersions at once.
type gate struct {
	let   chan struct{}
	began chan struct{} // one for each Metadata that was handled
}

func newGate() *gate { return &gate{let: make(chan struct{}), began: make(chan struct{}, 100)} }

func (g *gate) table() []api.Entry {
	refuse := func(req kmsg.Request, _ error) kmsg.Response { return req.ResponseKind() }
	return []api.Entry{
		{Key: kmsg.ApiVersions, Max: 3, Refuse: refuse, Handle: func(_ context.Context, r *api.Request) api.Reply {
			return api.Now(r.Body.ResponseKind())
		}},
		{Key: kmsg.Metadata, Max: 8, Refuse: refuse, Handle: func(_ context.Context, r *api.Request) api.Reply {
			g.began <- struct{}{}
			return api.Later(func(ctx context.Context) (kmsg.Response, error) {
				select {
				case <-g.let:
					return r.Body.ResponseKind(), nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			})
		}},
		{Key: kmsg.Heartbeat, Max: 1, Refuse: refuse, Handle: func(context.Context, *api.Request) api.Reply { panic("a broken invariant") }},
	}
}

func start(t *testing.T, g *gate, l Limits) (*Server, string) {
	t.Helper()
	return serve(t, New(Options{Table: g.table(), Limits: l, Logger: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()}))
}

func serve(t *testing.T, s *Server) (*Server, string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.quietAfter = time.Millisecond // so that connections come to rest in every test
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if held := testutil.ToFloat64(s.m.inFlight); held != 0 {
			t.Errorf("%v bytes are held after everything has ended", held)
		}
	})
	return s, listener.Addr().String()
}

// until looks again and again until it is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

type client struct {
	*testing.T
	net.Conn
}

func dial(t *testing.T, addr string) client {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return client{t, conn}
}

func (c client) send(id int32, req kmsg.Request) {
	c.Helper()
	if _, err := c.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, id)); err != nil {
		c.Fatal(err)
	}
}

// TestLargeAnswersAreBuiltOneAtATime: who asks again and again and reads nothing gets one built.
func TestLargeAnswersAreBuiltOneAtATime(t *testing.T) {
	g := newGate()
	table := g.table()
	for i := range table {
		table[i].Alone = table[i].Key == kmsg.Metadata
	}
	_, addr := serve(t, New(Options{Table: table, Logger: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()}))
	c := dial(t, addr)
	for id := range int32(3) {
		c.send(id, kmsg.NewPtrMetadataRequest())
	}
	c.send(3, kmsg.NewPtrApiVersionsRequest())
	await(t, g.began, "the first request")
	other := dial(t, addr) // while the server does other things
	for id := range int32(20) {
		other.send(id, kmsg.NewPtrApiVersionsRequest())
		other.expect(id)
	}
	select {
	case <-g.began:
		t.Fatal("the second was handled before the first was answered")
	default:
	}
	close(g.let)
	c.expect(0, 1, 2, 3)
}

// answered reads one response and gives its correlation id.
func (c client) answered() (int32, error) {
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return 0, err
	}
	_, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head[:]))-4)
	return int32(binary.BigEndian.Uint32(head[4:])), err
}

func (c client) expect(ids ...int32) {
	c.Helper()
	for _, want := range ids {
		if got, err := c.answered(); err != nil || got != want {
			c.Fatalf("answer %d, %v, want %d", got, err, want)
		}
	}
}

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("%s: waited in vain", what)
	}
}

func TestWaitsOverlapAndRepliesKeepTheirOrder(t *testing.T) {
	g := newGate()
	_, addr := start(t, g, Limits{})
	c := dial(t, addr)
	c.send(1, kmsg.NewPtrMetadataRequest())
	c.send(2, kmsg.NewPtrMetadataRequest())
	c.send(3, kmsg.NewPtrApiVersionsRequest())
	await(t, g.began, "the first request")
	await(t, g.began, "the second, while the first waits")
	other := dial(t, addr)
	other.send(9, kmsg.NewPtrApiVersionsRequest())
	other.expect(9) // another connection is not held up
	close(g.let)
	c.expect(1, 2, 3)
}

// told is a handler whose answers say when they are ready; f is what they were asked to call.
type told struct {
	asked chan func()
	let   chan struct{}
}

func (g *told) table() []api.Entry {
	refuse := func(req kmsg.Request, _ error) kmsg.Response { return req.ResponseKind() }
	return []api.Entry{
		{Key: kmsg.ApiVersions, Max: 3, Refuse: refuse, Handle: func(_ context.Context, r *api.Request) api.Reply {
			return api.Now(r.Body.ResponseKind())
		}},
		{Key: kmsg.Metadata, Max: 8, Refuse: refuse, Handle: func(_ context.Context, r *api.Request) api.Reply {
			return api.Later(func(ctx context.Context) (kmsg.Response, error) {
				select {
				case <-g.let:
					return r.Body.ResponseKind(), nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}).When(func(f func()) { g.asked <- f })
		}},
	}
}

func (g *told) next(t *testing.T) func() {
	t.Helper()
	select {
	case f := <-g.asked:
		return f
	case <-time.After(patience):
		t.Fatal("nobody asked to be told")
		return nil
	}
}

func TestAnswersThatTellAreWaitedForByNobody(t *testing.T) {
	g := &told{asked: make(chan func(), 10), let: make(chan struct{})}
	s := New(Options{Table: g.table(), Logger: slog.New(slog.DiscardHandler)})
	_, addr := serve(t, s)
	c := dial(t, addr)
	c.send(1, kmsg.NewPtrMetadataRequest())
	c.send(2, kmsg.NewPtrApiVersionsRequest())
	c.send(3, kmsg.NewPtrMetadataRequest())
	first, third := g.next(t), g.next(t)
	third() // not its turn: nobody may block on the first for it
	close(g.let)
	quiet := make([]byte, 1)
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(quiet); err == nil {
		t.Fatal("an answer overtook the first, or came before it was ready")
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	first()
	c.expect(1, 2, 3)
	first() // again is fine
	c.send(4, kmsg.NewPtrApiVersionsRequest())
	c.expect(4)
}

// TestAClientThatLeavesEndsAnswersThatNeverTell: the connection's end is not waited for.
func TestAClientThatLeavesEndsAnswersThatNeverTell(t *testing.T) {
	g := &told{asked: make(chan func(), 10), let: make(chan struct{})}
	s := New(Options{Table: g.table(), Logger: slog.New(slog.DiscardHandler)})
	_, addr := serve(t, s)
	c := dial(t, addr)
	c.send(1, kmsg.NewPtrMetadataRequest())
	c.send(2, kmsg.NewPtrMetadataRequest())
	late := g.next(t)
	g.next(t)
	_ = c.Close()
	until(t, "the connection is still there", func() bool { return testutil.ToFloat64(s.m.connections) == 0 })
	late() // of a connection that is gone
}

func TestDrainAnswersWhatWasRead(t *testing.T) {
	g := newGate()
	s, addr := start(t, g, Limits{})
	c, idle := dial(t, addr), dial(t, addr)
	idle.send(1, kmsg.NewPtrApiVersionsRequest())
	idle.expect(1)
	c.send(7, kmsg.NewPtrMetadataRequest())
	await(t, g.began, "the request")
	short, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Drain(short); !errors.Is(err, context.Canceled) {
		t.Fatalf("drained while a request waits: %v", err)
	}
	close(g.let)
	c.expect(7)
	long, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Drain(long); err != nil {
		t.Fatal(err)
	}
	for _, ended := range []client{c, idle} {
		if _, err := ended.answered(); !errors.Is(err, io.EOF) {
			t.Errorf("a connection is open after the drain: %v", err)
		}
	}
	if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr); err == nil {
		t.Error("a drained server takes connections")
	}
}

func TestConnectionsBeyondTheLimitAreClosed(t *testing.T) {
	_, addr := start(t, newGate(), Limits{Connections: 1})
	first := dial(t, addr)
	first.send(1, kmsg.NewPtrApiVersionsRequest())
	first.expect(1)
	if _, err := dial(t, addr).answered(); err == nil {
		t.Error("the second connection was served")
	}
	first.send(2, kmsg.NewPtrApiVersionsRequest())
	first.expect(2)
}

func TestRequestsWaitForRoomInTheByteBudget(t *testing.T) {
	g := newGate()
	_, addr := start(t, g, Limits{FrameBytes: 1000, InFlightBytes: 1000})
	large := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(string(make([]byte, 800)))
	large.Topics = append(large.Topics, topic)
	first, second := dial(t, addr), dial(t, addr)
	first.send(1, large)
	await(t, g.began, "the first request")
	second.send(2, large)
	select {
	case <-g.began:
		t.Fatal("two requests of 800 bytes are in flight in a budget of 1000")
	case <-time.After(100 * time.Millisecond):
	}
	close(g.let)
	first.expect(1)
	await(t, g.began, "the second request, once there is room")
	second.expect(2)
}

func TestARequestBeyondTheBudgetIsReadWhenItIsAlone(t *testing.T) {
	g := newGate()
	_, addr := start(t, g, Limits{FrameBytes: 1 << 20, InFlightBytes: 1000})
	large := kmsg.NewPtrMetadataRequest()
	for range 20 {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(string(make([]byte, 30_000)))
		large.Topics = append(large.Topics, topic)
	}
	first, second := dial(t, addr), dial(t, addr)
	first.send(1, kmsg.NewPtrMetadataRequest())
	await(t, g.began, "the small request")
	go func() { _, _ = second.Write(kmsg.NewRequestFormatter().AppendRequest(nil, large, 2)) }()
	select {
	case <-g.began:
		t.Fatal("a request larger than the budget was read beside another")
	case <-time.After(100 * time.Millisecond):
	}
	close(g.let)
	first.expect(1)
	await(t, g.began, "the large request, once it is alone")
	second.expect(2)
}

func TestUnansweredRequestsOfAConnectionAreBounded(t *testing.T) {
	g := newGate()
	_, addr := start(t, g, Limits{InFlight: 2})
	c := dial(t, addr)
	for i := range int32(10) {
		c.send(i, kmsg.NewPtrMetadataRequest())
	}
	for range 2 {
		await(t, g.began, "a request within the limit")
	}
	select {
	case <-g.began:
		t.Fatal("a third request was read")
	case <-time.After(100 * time.Millisecond):
	}
	close(g.let)
	c.expect(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
}

func TestAPanicEndsItsConnectionAlone(t *testing.T) {
	_, addr := start(t, newGate(), Limits{})
	bystander, c := dial(t, addr), dial(t, addr)
	c.send(1, kmsg.NewPtrHeartbeatRequest())
	if _, err := c.answered(); !errors.Is(err, io.EOF) {
		t.Errorf("after a panic: %v", err)
	}
	bystander.send(1, kmsg.NewPtrApiVersionsRequest())
	bystander.expect(1)
}

func TestSilentAndHalfSentRequestsEnd(t *testing.T) {
	_, addr := start(t, newGate(), Limits{IdleTimeout: 50 * time.Millisecond, FrameTimeout: 50 * time.Millisecond})
	half := dial(t, addr)
	if _, err := half.Write([]byte{0, 0, 1, 0, 0, 3}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []client{dial(t, addr), half} {
		if _, err := c.answered(); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("still open: %v", err)
		}
	}
}
