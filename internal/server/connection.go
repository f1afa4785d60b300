package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/api"
	"kelp/internal/wire"
)

var (
	errInternal = errors.New("internal error")
	// errQuiet ends the reading of a connection for as long as nothing comes.
	errQuiet = errors.New("nothing has come for a while")
)

// quietAfter so long without a request a connection waits in a goroutine of its own that does nothing else:
// on a stack of the smallest size, while that on which requests were handled has grown to several times it.
const quietAfter = 100 * time.Millisecond

// connection is one client. One goroutine at a time reads or waits; writers come and go.
type connection struct {
	net.Conn
	s      *Server
	id     uint64
	ctx    context.Context // ends the waits of its answers
	cancel context.CancelFunc
	in     *wire.Reader
	queue  *queue

	held    int64 // of the budget, for a request that the queue does not have yet; the reader's own
	readBy  time.Time
	writeBy time.Time // the writer's own
	broken  bool      // nothing can be written any more; the writer's own
}

func (s *Server) serve(conn net.Conn) {
	c := &connection{Conn: conn, s: s, id: s.nextID.Add(1), in: wire.NewReader(conn, s.o.Limits.FrameBytes)}
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.queue = newQueue(s.o.Limits.InFlight, func() { go c.write() })
	c.run()
}

// run handles requests until none come for a while, and leaves the waiting to another goroutine then, or until the end.
func (c *connection) run() {
	err := c.read()
	if errors.Is(err, errQuiet) {
		if err = c.readUntil(c.s.o.Limits.IdleTimeout - c.s.quietAfter); err == nil {
			c.s.m.resting.Inc()
			go c.rest()
			return
		}
	}
	c.end(err)
}

// rest runs on when there is something to read.
func (c *connection) rest() {
	err := c.in.Wait()
	c.s.m.resting.Dec()
	if err != nil {
		c.end(err)
		return
	}
	c.run()
}

// end lets the connection go, once what was read is answered.
func (c *connection) end(err error) {
	defer c.s.wg.Done()
	s := c.s
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !s.draining() {
		s.m.broken.Inc()
		s.o.Logger.Info("connection closed", "remote", c.RemoteAddr(), "reason", err)
	}
	if !s.draining() {
		c.cancel() // nobody waits for answers any more
	}
	c.queue.finish()
	c.cancel()
	c.in.Close()
	s.mu.Lock()
	delete(s.conns, c.Conn)
	s.mu.Unlock()
	s.m.connections.Dec()
	_ = c.Close()
}

func (c *connection) read() (err error) {
	defer func() {
		c.s.release(c.held)
		if p := recover(); p != nil {
			c.s.o.Logger.Error("a handler panicked", "remote", c.RemoteAddr(), "panic", p)
			err = errInternal
		}
	}()
	for {
		c.queue.waitForRoom()
		frame, began, err := c.readFrame()
		if err != nil {
			return err
		}
		a := &answer{frame: frame, held: c.held, arrived: time.Now()}
		if err := c.handle(a); err != nil {
			return err
		}
		a.handled = time.Now()
		c.s.m.received.Add(float64(len(frame.Bytes()) + 4))
		a.stages = c.s.m.stagesOf(a.entry.Key.Int16())
		a.stages.receive.Observe(a.arrived.Sub(began).Seconds())
		a.stages.local.Observe(a.handled.Sub(a.arrived).Seconds())
		c.held = 0 // the queue's now
		if c.queue.put(a, c.in.Buffered() == 0) {
			c.writeFrom(a)
		}
	}
}

// readFrame reads one request once there is room for its bytes, which are then held.
func (c *connection) readFrame() (frame *wire.Buffer, began time.Time, err error) {
	n, err := c.readSize()
	if err != nil {
		return nil, began, err
	}
	began = time.Now()
	if c.in.Buffered() < n {
		if err := c.readUntil(c.s.o.Limits.FrameTimeout); err != nil {
			return nil, began, err
		}
	}
	frame, err = c.in.Body(n, func(bytes int) error {
		// Only bytes that arrive are charged: a claimed length must not starve others. A request of more
		// than there is room for in all takes all of it.
		bytes = int(min(int64(bytes), c.s.o.Limits.InFlightBytes-c.held))
		if err := c.s.acquire(c.ctx, int64(bytes)); err != nil {
			return fmt.Errorf("no room for a request of %d bytes: %w", n, err)
		}
		c.held += int64(bytes)
		return nil
	})
	return frame, began, err
}

// readSize waits for the next request, for a while where the waiting can be left to a goroutine of its own.
func (c *connection) readSize() (int, error) {
	if c.in.CanWait() && c.in.Buffered() == 0 && c.s.quietAfter < c.s.o.Limits.IdleTimeout {
		if err := c.readUntil(c.s.quietAfter); err != nil {
			return 0, err
		}
		n, err := c.in.Size()
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded) || c.s.draining():
			return n, err
		case c.in.Buffered() == 0:
			return 0, errQuiet
		}
	}
	if err := c.readUntil(c.s.o.Limits.IdleTimeout); err != nil {
		return 0, err
	}
	return c.in.Size()
}

// deadlineSlack is the part of a timeout by which a deadline may be early: within it the one that
// is set already stays, as moving it for every request costs more than reading a small one.
const deadlineSlack = 16

// readUntil bounds the next reads; none are made any more while draining. Drain says so before it
// moves deadlines into the past: one of the two is seen, whichever deadline is set last.
func (c *connection) readUntil(d time.Duration) error {
	by := time.Now().Add(d)
	if late := by.Sub(c.readBy); late < 0 || late > d/deadlineSlack {
		if err := c.SetReadDeadline(by); err != nil {
			return err
		}
		c.readBy = by
	}
	if c.s.draining() {
		return io.EOF
	}
	return nil
}

// handle runs the ordered part of a request.
func (c *connection) handle(a *answer) error {
	req, err := wire.Decode(a.frame.Bytes(), c.s.served)
	if err != nil {
		return err
	}
	a.id, a.req, a.entry = req.CorrelationID, req.Body, c.s.table[req.Key]
	switch {
	case req.Body != nil:
		if a.entry.Alone {
			c.queue.waitForNone()
		}
		a.reply = a.entry.Handle(c.ctx, &api.Request{
			Body: req.Body, ClientID: req.ClientID, ConnID: c.id, LocalAddr: c.LocalAddr(), RemoteAddr: c.RemoteAddr(),
		})
	case req.Key == kmsg.ApiVersions.Int16():
		a.reply = api.Now(unsupportedApiVersions(a.entry))
	default:
		return fmt.Errorf("%s v%d: %w", kmsg.NameForKey(req.Key), req.Version, kerr.UnsupportedVersion)
	}
	return nil
}

func (s *Server) served(key, version int16) (ok, known bool) {
	e, known := s.table[key]
	return known && version >= e.Min && version <= e.Max, known
}

// unsupportedApiVersions tells a client of another version, in the oldest body, what to ask with.
func unsupportedApiVersions(e *api.Entry) kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = e.Key.Int16(), e.Min, e.Max
	resp.ApiKeys = append(resp.ApiKeys, k)
	return resp
}
