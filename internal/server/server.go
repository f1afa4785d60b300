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
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/api"
	"kelp/internal/wire"
)

// Limits of the server; each has its default in withDefaults.
type Limits struct {
	FrameBytes   int           // largest request, as socket.request.max.bytes: 100 MiB
	Connections  int           // open connections, further ones are closed at once: 10,000
	InFlight     int           // unanswered requests of a connection; the next is not read: 100
	IdleTimeout  time.Duration // as connections.max.idle.ms: 10 minutes
	WriteTimeout time.Duration // a client that takes nothing for this long is closed: 2 minutes
}

// Options of a server.
type Options struct {
	Table  []api.Entry
	Limits Limits
	Logger *slog.Logger
}

// Server serves the table on any number of listeners.
type Server struct {
	o      Options
	table  map[int16]api.Entry
	ctx    context.Context // ends every wait when the server closes
	cancel context.CancelFunc
	wg     sync.WaitGroup
	nextID atomic.Uint64

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
	s := &Server{o: o, table: make(map[int16]api.Entry, len(o.Table)), conns: map[net.Conn]struct{}{}}
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
			if s.ctx.Err() != nil {
				return nil
			}
			return err
		}
		if !s.track(c) {
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
	if s.ctx.Err() != nil || len(s.conns) >= s.o.Limits.Connections {
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

// Close ends listeners, waits and connections.
func (s *Server) Close() {
	s.cancel()
	s.mu.Lock()
	for _, l := range s.listeners {
		_ = l.Close()
	}
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
}

func (s *Server) connection(c net.Conn) {
	answers := make(chan answer, s.o.Limits.InFlight)
	ctx, cancel := context.WithCancel(s.ctx)
	written := make(chan struct{})
	go func() {
		defer close(written)
		s.write(ctx, c, answers)
	}()
	err := s.read(ctx, c, answers)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		s.o.Logger.Info("connection closed", "remote", c.RemoteAddr(), "reason", err)
	}
	close(answers)
	cancel()
	<-written
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.Close()
}

func (s *Server) served(key, version int16) (ok, known bool) {
	e, known := s.table[key]
	return known && version >= e.Min && version <= e.Max, known
}

func (s *Server) read(ctx context.Context, c net.Conn, answers chan<- answer) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.o.Logger.Error("a handler panicked", "remote", c.RemoteAddr(), "panic", p)
			err = errors.New("internal error")
		}
	}()
	r, id := bufio.NewReaderSize(c, 64<<10), s.nextID.Add(1)
	for {
		if err := c.SetReadDeadline(time.Now().Add(s.o.Limits.IdleTimeout)); err != nil {
			return err
		}
		frame, err := wire.ReadFrame(r, s.o.Limits.FrameBytes)
		if err != nil {
			return err
		}
		req, err := wire.Decode(frame, s.served)
		if err != nil {
			return err
		}
		a := answer{id: req.CorrelationID, req: req.Body, entry: s.table[req.Key]}
		switch {
		case req.Body != nil:
			a.reply = a.entry.Handle(ctx, &api.Request{
				Body: req.Body, ClientID: req.ClientID, ConnID: id, LocalAddr: c.LocalAddr(), RemoteAddr: c.RemoteAddr(),
			})
		case req.Key == kmsg.ApiVersions.Int16():
			a.reply = api.Now(unsupportedApiVersions(a.entry))
		default:
			return kerr.UnsupportedVersion
		}
		select {
		case answers <- a:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
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

func (s *Server) write(ctx context.Context, c net.Conn, answers <-chan answer) {
	w, broken := bufio.NewWriterSize(c, 32<<10), false
	for a := range answers {
		if broken {
			continue // waits end by the context; replies have nowhere to go
		}
		if err := s.writeOne(ctx, c, w, a); err != nil {
			broken = true
			_ = c.Close()
			continue
		}
		if len(answers) == 0 && w.Flush() != nil {
			broken = true
			_ = c.Close()
		}
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
