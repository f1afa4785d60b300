package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sys/unix"

	"kelp/bench/bare"
	"kelp/bench/turns"
)

const requestConns = 64

// requests is one record per request, each connection waiting for its answer.
func requests(s Size) turns.Scenario {
	sc := turns.Scenario{
		Name: "requests", Doc: "Produce requests of one record of 100 bytes on 64 connections over 8 partitions, acks=all, each connection waiting for " +
			"its answer. Bare sockets served by one thread with epoll.",
	}
	sc.Run = func(_ context.Context, t *turns.Turn) error {
		if err := bare.CreateTopic(t.Addr, sc.Name, producers); err != nil {
			return err
		}
		p, err := newPoller(t.Addr, sc.Name)
		if err != nil {
			return err
		}
		defer p.close()
		if _, err := p.run(s.Duration); err != nil { // warm
			return err
		}
		var n int
		u, err := t.Measure(func() (err error) {
			n, err = p.run(s.Duration)
			return err
		})
		if err != nil {
			return err
		}
		t.Record("requests/s", float64(n)/u.Elapsed.Seconds())
		t.Record("CPU µs/request", float64(u.CPU.Microseconds())/float64(n))
		t.Record("peak MB", float64(u.PeakBytes)/1e6)
		RecordPercentiles(t, p.took)
		return nil
	}
	return sc
}

// poller drives all connections from one thread.
type poller struct {
	epoll int
	conns map[int32]*polled
	took  []time.Duration
}

type polled struct {
	fd    int
	frame []byte
	buf   [512]byte
	have  int
	sent  time.Time
}

func newPoller(addr, topic string) (*poller, error) {
	epoll, err := unix.EpollCreate1(0)
	if err != nil {
		return nil, err
	}
	p := &poller{epoll: epoll, conns: map[int32]*polled{}}
	batch := bare.Batch(bare.Values(1, 100, 1), false, time.Now().UnixMilli())
	for i := range requestConns {
		c, err := bare.Dial(addr)
		if err != nil {
			return nil, err
		}
		fd, err := c.Detach()
		if err != nil {
			return nil, err
		}
		p.conns[int32(fd)] = &polled{fd: fd, frame: bare.Produce(topic, int32(i%producers), batch)}
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *poller) close() {
	for _, c := range p.conns {
		_ = unix.Close(c.fd)
	}
	_ = unix.Close(p.epoll)
}

func (c *polled) send() error {
	c.sent, c.have = time.Now(), 0
	_, err := unix.Write(c.fd, c.frame) // a small frame fits the socket's buffer whole
	return err
}

// run sends for the duration and counts the answers.
func (p *poller) run(d time.Duration) (n int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p.took = p.took[:0]
	end, open := time.Now().Add(d), len(p.conns)
	for _, c := range p.conns {
		if err := c.send(); err != nil {
			return 0, err
		}
	}
	events := make([]unix.EpollEvent, requestConns)
	for open > 0 {
		ready, err := unix.EpollWait(p.epoll, events, 30_000)
		if err == unix.EINTR { //nolint:errorlint // an errno as it comes from the kernel
			continue
		}
		if err != nil || ready == 0 {
			return n, fmt.Errorf("no answer within 30 s: %w", err)
		}
		for _, e := range events[:ready] {
			c := p.conns[e.Fd]
			whole, err := c.receive()
			if err != nil {
				return n, err
			}
			if !whole {
				continue
			}
			n++
			now := time.Now()
			p.took = append(p.took, now.Sub(c.sent))
			if now.After(end) {
				open--
				continue
			}
			if err := c.send(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (c *polled) receive() (whole bool, err error) {
	n, err := unix.Read(c.fd, c.buf[c.have:])
	if err != nil || n == 0 {
		return false, fmt.Errorf("the server closed the connection: %w", err)
	}
	c.have += n
	if c.have < 4 || c.have < 4+int(binary.BigEndian.Uint32(c.buf[:])) {
		return false, nil
	}
	return true, kerr.ErrorForCode(bare.ProduceError(c.buf[4:c.have]))
}
