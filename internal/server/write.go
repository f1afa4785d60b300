package server

import (
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/api"
	"kelp/internal/wire"
)

const (
	flushBytes   = 32 << 10 // small responses are gathered up to this much
	pooledOutMax = 1 << 20  // a larger buffer of responses is not kept for the next
)

var outs = sync.Pool{New: func() any { return &out{b: make([]byte, 0, 4<<10)} }}

// out gathers responses that leave together.
type out struct {
	b       []byte
	vectors net.Buffers
	left    net.Buffers // what WriteTo consumes
}

func (c *connection) write() { c.writeFrom(nil) }

// writeFrom is a writer's turn: it writes first, unless that is nil, and what is ready behind it.
func (c *connection) writeFrom(first *answer) {
	o := outs.Get().(*out)
	for a := first; ; {
		if a == nil {
			if a = c.queue.next(); a == nil {
				break
			}
		}
		c.writeOne(o, a)
		if len(o.b) > 0 && (len(o.b) >= flushBytes || !c.queue.more()) {
			c.flush(o)
		}
		c.queue.done()
		a = nil
	}
	if cap(o.b) <= pooledOutMax {
		outs.Put(o)
	}
}

// writeOne waits for a reply and adds it to what goes out, or writes it, and gives back what the
// request held.
func (c *connection) writeOne(o *out, a *answer) {
	if a.blocks {
		c.flush(o)
	}
	resp, err := c.wait(a)
	known := time.Now()
	// Waits that were cut short leave appends under way, which still read the request.
	if c.ctx.Err() == nil {
		defer a.frame.Release()
	}
	defer c.s.release(a.held)
	switch {
	case err != nil && (a.reply.Silent() || c.ctx.Err() != nil):
		c.fail()
	case a.reply.Silent():
	case err != nil:
		c.s.m.errors.WithLabelValues(kmsg.NameForKey(a.entry.Key.Int16())).Inc()
		o.b = wire.AppendResponse(o.b, a.id, a.entry.Refuse(a.req, err))
	default:
		if f, ok := resp.(*api.Fetched); ok {
			c.writeFetched(o, a.id, f)
		} else {
			o.b = wire.AppendResponse(o.b, a.id, resp)
		}
	}
	a.stages.wait.Observe(known.Sub(a.handled).Seconds())
	now := time.Now()
	a.stages.send.Observe(now.Sub(known).Seconds())
	a.stages.total.Observe(now.Sub(a.arrived).Seconds())
}

// wait gives the response to send. A panic, which is a broken invariant, ends the connection alone.
func (c *connection) wait(a *answer) (resp kmsg.Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.s.o.Logger.Error("a handler panicked", "remote", c.RemoteAddr(), "panic", p)
			c.fail()
			err = errInternal
		}
	}()
	return a.reply.Wait(c.ctx)
}

// fail ends the connection; what is still to be answered has nowhere to go.
func (c *connection) fail() {
	if !c.broken {
		c.broken = true
		c.cancel()
		_ = c.Close()
	}
}

// writable bounds the next writes; false when there can be none.
func (c *connection) writable() bool {
	if c.broken {
		return false
	}
	d := c.s.o.Limits.WriteTimeout
	if by := time.Now().Add(d); by.Sub(c.writeBy) > d/deadlineSlack {
		if err := c.SetWriteDeadline(by); err != nil {
			c.fail()
			return false
		}
		c.writeBy = by
	}
	return true
}

// flush writes what was gathered.
func (c *connection) flush(o *out) {
	if len(o.b) > 0 && c.writable() {
		n, err := c.Write(o.b)
		c.sent(int64(n), err)
	}
	o.b = o.b[:0]
}

func (c *connection) sent(n int64, err error) {
	c.s.m.sent.Add(float64(n))
	if err != nil {
		c.fail()
	}
}

// inMemory is a span whose pieces can leave together with the headers (storage.Buffered).
type inMemory interface {
	AppendBuffers(net.Buffers) net.Buffers
}

// writeFetched writes a response with its spans: what lies in memory leaves in one writev together
// with the headers, what lies in files follows by sendfile. Nothing is left in o.
func (c *connection) writeFetched(o *out, id int32, f *api.Fetched) {
	spans := f.Spans[:0:0]
	var lengths []int
	i := 0
	for t := range f.Topics {
		for p := range f.Topics[t].Partitions {
			if s := f.Spans[i]; s != nil {
				f.Topics[t].Partitions[p].RecordBatches = wire.Marker()
				spans, lengths = append(spans, s), append(lengths, s.Len())
			}
			i++
		}
	}
	defer func() {
		for _, s := range spans {
			s.Release()
		}
		f.Written()
	}()
	if len(spans) == 0 {
		o.b = wire.AppendResponse(o.b, id, f.FetchResponse)
		return
	}
	before := len(o.b)
	b, pieces, err := wire.AppendPieces(o.b, id, f.FetchResponse, lengths)
	if err != nil {
		c.s.o.Logger.Error("a response cannot be written", "remote", c.RemoteAddr(), "error", err)
		c.fail()
		return
	}
	o.vectors = o.vectors[:0]
	if before > 0 {
		o.vectors = append(o.vectors, b[:before])
	}
	for i, p := range pieces {
		o.vectors = append(o.vectors, p)
		if i == len(spans) {
			break
		}
		if b, ok := spans[i].(inMemory); ok {
			o.vectors = b.AppendBuffers(o.vectors)
			continue
		}
		c.writeVectors(o)
		if !c.writable() {
			break
		}
		c.sent(spans[i].WriteTo(c.Conn))
	}
	c.writeVectors(o)
	o.b = b[:0]
}

// writeVectors writes the pieces gathered so far in one call.
func (c *connection) writeVectors(o *out) {
	if len(o.vectors) > 0 && c.writable() {
		o.left = o.vectors
		c.sent(o.left.WriteTo(c.Conn))
	}
	clear(o.vectors)
	o.vectors = o.vectors[:0]
}
