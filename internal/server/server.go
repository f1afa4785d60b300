// Package server accepts connections and carries requests to handlers and replies back. Each
// connection has a goroutine that reads and handles requests in arrival order. Replies leave in the
// same order: waits overlap, replies do not overtake. A writer exists only while there is something
// to write or to wait for, and buffers only while they hold something, so an idle connection costs
// little more than its goroutine.
//
// Invariants: one client's fault ends one connection, with one log line; nothing is buffered
// beyond the named limits; Close returns when no goroutine is left. A request's memory is used
// again only after its reply's wait has returned and nothing below can still read it.
package server

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"kelp/internal/api"
)

// Limits of the server; each has its default in withDefaults.
type Limits struct {
	FrameBytes    int           // largest request, as socket.request.max.bytes: 100 MiB
	Connections   int           // open connections, further ones are closed at once: 10,000
	InFlight      int           // unanswered requests of a connection; the next is not read: 100
	InFlightBytes int64         // bytes of all unanswered requests; further ones wait for room, one that is larger until it is alone: 64 MiB
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
	table  map[int16]*api.Entry
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

	quietAfter time.Duration // shorter in tests
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
		l.InFlightBytes = 64 << 20
	}
	s := &Server{
		o: o, table: make(map[int16]*api.Entry, len(o.Table)), conns: map[net.Conn]struct{}{},
		room: semaphore.NewWeighted(l.InFlightBytes), m: newMetrics(o.Metrics, o.Table), drain: make(chan struct{}), quietAfter: quietAfter,
	}
	for i := range o.Table {
		s.table[o.Table[i].Key.Int16()] = &o.Table[i]
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
		s.wg.Add(1) // until the connection's end
		go s.serve(c)
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
