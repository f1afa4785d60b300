// Package server accepts connections and carries requests to handlers and replies back. Each
// connection has a reader that handles requests in arrival order and a writer that waits for the
// replies in the same order: waits overlap, replies do not overtake.
//
// Invariants: one client's fault ends one connection, with one log line; nothing is buffered
// beyond the named limits; Close returns when no goroutine is left.
package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/semaphore"

	"kelp/internal/api"
	"kelp/internal/wire"
)

// Limits of the server; each has its default in withDefaults.
type Limits struct {
	FrameBytes    int           // largest request, as socket.request.max.bytes: 100 MiB
	Connections   int           // open connections, further ones are closed at once: 10,000
	InFlight      int           // unanswered requests of a connection; the next is not read: 100
	InFlightBytes int64         // bytes of all unanswered requests; further ones wait for room: 1 GiB
	FrameTimeout  time.Duration // a request must arrive whole within this after its first byte: 1 minute
	IdleTimeout   time.Duration // as connections.max.idle.ms: 10 minutes
	WriteTimeout  time.Duration // a client that takes nothing for this long is closed: 2 minutes
}

// Options of a server.
type Options struct {
	Table  []api.Entry
	Limits Limits
	Logger *slog.Logger
	// Metrics is where the server's metrics are registered; nil keeps them to itself.
	Metrics prometheus.Registerer
}

// Server serves the table on any number of listeners.
type Server struct {
	o      Options
	table  map[int16]api.Entry
	ctx    context.Context // ends every wait when the server closes
	cancel context.CancelFunc
	wg     sync.WaitGroup
	nextID atomic.Uint64
	room   *semaphore.Weighted // of Limits.InFlightBytes
	m      *metrics
	drain  chan struct{} // closed when no further request is read

	mu        sync.Mutex // guards listeners and conns
	listeners []net.Listener
	conns     map[net.Conn]struct{}
}

// New makes a server of the table.
func New(o Options) *Server {
	l := &o.Limits
	for p, d := range map[*int]int{&l.FrameBytes: 100 << 20, &l.Connections: 10_000, &l.InFlight: 100} {
		if *p == 0 {
			*p = d
		}
	}
	if l.IdleTimeout == 0 {
		l.IdleTimeout = 10 * time.Minute
	}
	if l.WriteTimeout == 0 {
		l.WriteTimeout = 2 * time.Minute
	}
	if l.FrameTimeout == 0 {
		l.FrameTimeout = time.Minute
	}
	if l.InFlightBytes == 0 {
		l.InFlightBytes = 1 << 30
	}
	l.InFlightBytes = max(l.InFlightBytes, int64(l.FrameBytes)) // or the largest request could never be read
	s := &Server{
		o: o, table: make(map[int16]api.Entry, len(o.Table)), conns: map[net.Conn]struct{}{},
		room: semaphore.NewWeighted(l.InFlightBytes), m: newMetrics(o.Metrics, o.Table), drain: make(chan struct{}),
	}
	for _, e := range o.Table {
		s.table[e.Key.Int16()] = e
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve accepts on l until Close; it returns nil then.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	for {
		c, err := l.Accept()
		if err != nil {
			if s.draining() {
				return nil
			}
			return err
		}
		if !s.track(c) {
			s.m.refused.Inc()
			s.o.Logger.Warn("connection refused: the limit is reached", "remote", c.RemoteAddr(), "limit", s.o.Limits.Connections)
			_ = c.Close()
			continue
		}
		s.wg.Go(func() { s.connection(c) })
	}
}

func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining() || len(s.conns) >= s.o.Limits.Connections {
		return false
	}
	s.conns[c] = struct{}{}
	s.m.connections.Inc()
	return true
}

func (s *Server) draining() bool {
	select {
	case <-s.drain:
		return true
	default:
		return false
	}
}

// Drain stops listening and reading, and waits until what was read is answered or ctx ends.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	if !s.draining() {
		close(s.drain)
	}
	for _, l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.conns {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close ends listeners, waits and connections.
func (s *Server) Close() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = s.Drain(ended)
	s.cancel()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// answer is one reply on its way out.
type answer struct {
	id    int32
	req   kmsg.Request
	entry api.Entry
	reply api.Reply
	bytes int64 // of the request, held until it is answered
	since time.Time
}

func (s *Server) connection(c net.Conn) {
	answers := make(chan answer, s.o.Limits.InFlight)
	places := make(chan struct{}, s.o.Limits.InFlight) // one taken for each request that is not answered
	ctx, cancel := context.WithCancel(s.ctx)
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write(ctx, c, answers, places)
	}()
	err := s.read(ctx, c, answers, places)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !s.draining() {
		s.m.broken.Inc()
		s.o.Logger.Info("connection closed", "remote", c.RemoteAddr(), "reason", err)
	}
	close(answers)
	if !s.draining() {
		cancel() // nobody waits for answers any more
	}
	<-written
	cancel()
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.m.connections.Dec()
	_ = c.Close()
}

func (s *Server) served(key, version int16) (ok, known bool) {
	e, known := s.table[key]
	return known && version >= e.Min && version <= e.Max, known
}

func (s *Server) read(ctx context.Context, c net.Conn, answers chan<- answer, places chan<- struct{}) (err error) {
	held := int64(0) // bytes of the request that the writer does not have yet
	defer func() {
		s.release(held)
		if p := recover(); p != nil {
			s.o.Logger.Error("a handler panicked", "remote", c.RemoteAddr(), "panic", p)
			err = errors.New("internal error")
		}
	}()
	r, id := bufio.NewReaderSize(c, 64<<10), s.nextID.Add(1)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		frame, err := s.readFrame(ctx, c, r)
		if err != nil {
			return err
		}
		held = int64(len(frame))
		a := answer{bytes: held, since: time.Now()}
		if err := s.handle(ctx, c, id, frame, &a); err != nil {
			return err
		}
		answers <- a // there is room: it has a place
		held = 0     // the writer's now
	}
}

// readFrame reads one request once there is room for its bytes, which the caller releases.
func (s *Server) readFrame(ctx context.Context, c net.Conn, r *bufio.Reader) ([]byte, error) {
	if err := s.readUntil(c, s.o.Limits.IdleTimeout); err != nil {
		return nil, err
	}
	n, err := wire.ReadSize(r, s.o.Limits.FrameBytes)
	if err != nil {
		return nil, err
	}
	if r.Buffered() < n {
		if err := s.readUntil(c, s.o.Limits.FrameTimeout); err != nil {
			return nil, err
		}
	}
	held := int64(0)
	frame, err := wire.ReadBody(r, n, func(bytes int) error {
		// Only bytes that arrive are charged: a claimed length must not starve others.
		if err := s.acquire(ctx, int64(bytes)); err != nil {
			return fmt.Errorf("no room for a request of %d bytes: %w", n, err)
		}
		held += int64(bytes)
		return nil
	})
	if err != nil {
		s.release(held)
		return nil, err
	}
	s.m.received.Add(float64(n + 4))
	return frame, nil
}

// readUntil bounds the next reads; none are made any more while draining. Drain says so before it
// moves deadlines into the past: one of the two is seen, whichever deadline is set last.
func (s *Server) readUntil(c net.Conn, d time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	if s.draining() {
		return io.EOF
	}
	return nil
}

// acquire takes room for bytes of a request, waiting for it as long as a request may take to arrive.
func (s *Server) acquire(ctx context.Context, bytes int64) error {
	if !s.room.TryAcquire(bytes) {
		ctx, cancel := context.WithTimeout(ctx, s.o.Limits.FrameTimeout)
		defer cancel()
		if err := s.room.Acquire(ctx, bytes); err != nil {
			return err
		}
	}
	s.m.inFlight.Add(float64(bytes))
	return nil
}

func (s *Server) release(bytes int64) {
	s.room.Release(bytes)
	s.m.inFlight.Sub(float64(bytes))
}

// handle runs the ordered part of a request.
func (s *Server) handle(ctx context.Context, c net.Conn, id uint64, frame []byte, a *answer) error {
	req, err := wire.Decode(frame, s.served)
	if err != nil {
		return err
	}
	a.id, a.req, a.entry = req.CorrelationID, req.Body, s.table[req.Key]
	switch {
	case req.Body != nil:
		a.reply = a.entry.Handle(ctx, &api.Request{
			Body: req.Body, ClientID: req.ClientID, ConnID: id, LocalAddr: c.LocalAddr(), RemoteAddr: c.RemoteAddr(),
		})
	case req.Key == kmsg.ApiVersions.Int16():
		a.reply = api.Now(unsupportedApiVersions(a.entry))
	default:
		return fmt.Errorf("%s v%d: %w", kmsg.NameForKey(req.Key), req.Version, kerr.UnsupportedVersion)
	}
	return nil
}

// unsupportedApiVersions tells a client of another version, in the oldest body, what to ask with.
func unsupportedApiVersions(e api.Entry) kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = e.Key.Int16(), e.Min, e.Max
	resp.ApiKeys = append(resp.ApiKeys, k)
	return resp
}

func (s *Server) write(ctx context.Context, c net.Conn, answers <-chan answer, places <-chan struct{}) {
	w, broken := bufio.NewWriterSize(&counted{c, s.m.sent}, 32<<10), false
	for a := range answers {
		if !broken { // else waits end by the context; replies have nowhere to go
			err := s.writeOne(ctx, c, w, a)
			s.m.answered(a.entry.Key.Int16(), a.since)
			if err == nil && len(answers) == 0 {
				err = w.Flush()
			}
			if err != nil {
				broken = true
				_ = c.Close()
			}
		}
		s.release(a.bytes)
		<-places
	}
	_ = w.Flush()
}

func (s *Server) writeOne(ctx context.Context, c net.Conn, w *bufio.Writer, a answer) error {
	if !a.reply.Ready() && w.Buffered() > 0 {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	resp, err := a.reply.Wait(ctx)
	if a.reply.Silent() {
		return err
	}
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		s.m.errors.WithLabelValues(kmsg.NameForKey(a.entry.Key.Int16())).Inc()
		resp = a.entry.Refuse(a.req, err)
	}
	if err := c.SetWriteDeadline(time.Now().Add(s.o.Limits.WriteTimeout)); err != nil {
		return err
	}
	f, ok := resp.(*api.Fetched)
	if !ok {
		return wire.WriteResponse(w, a.id, resp, nil)
	}
	return writeFetched(w, a.id, f)
}

// counted counts the bytes that go out.
type counted struct {
	net.Conn
	sent prometheus.Counter
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(float64(n))
	return n, err
}

func writeFetched(w *bufio.Writer, id int32, f *api.Fetched) error {
	var spans []wire.Span
	i := 0
	for t := range f.Topics {
		for p := range f.Topics[t].Partitions {
			if s := f.Spans[i]; s != nil {
				defer s.Release()
				f.Topics[t].Partitions[p].RecordBatches = wire.Marker()
				spans = append(spans, s)
			}
			i++
		}
	}
	return wire.WriteResponse(w, id, f.FetchResponse, spans)
}
