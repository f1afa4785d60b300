package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// Proxy stands between nodes and a filer with its volume server. It loses calls, lets them take place and loses the
// answer, closes after a request was sent, holds calls up and repeats them; and it can cut one process off.
type Proxy struct {
	Filer string // the filer's address through the proxy, for ?filer=

	filer, volume string // host:port of the real ones
	self          string // of the proxied volume server
	conn          *grpc.ClientConn

	mu     sync.Mutex // guards what follows
	random *rand.Rand
	share  float64
	cut    map[int]bool // process ids
	healed chan struct{}
	Counts map[string]int
}

// StartProxy starts one that does no harm yet, and ends it with the test.
func StartProxy(tb testing.TB, filer, volume *Weed, seed uint64) *Proxy {
	tb.Helper()
	p := &Proxy{
		filer: filer.GRPC, volume: volume.HTTP, random: rand.New(rand.NewPCG(seed, 9)), cut: map[int]bool{}, healed: make(chan struct{}),
		Counts: map[string]int{},
	}
	var err error
	p.conn, err = grpc.NewClient(p.filer, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		tb.Fatal(err)
	}
	server := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(p.call), grpc.MaxRecvMsgSize(64<<20))
	l, port := p.listen(tb)
	// Nobody listens at the HTTP port of this address: nodes speak gRPC to filers.
	p.Filer = fmt.Sprintf("127.0.0.1:1.%d", port)
	go func() { _ = server.Serve(l) }()
	web, port := p.listen(tb)
	p.self = "127.0.0.1:" + strconv.Itoa(port)
	side := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	go func() { _ = side.Serve(web) }()
	tb.Cleanup(func() {
		p.Heal()
		server.Stop()
		_ = side.Close()
		_ = p.conn.Close()
	})
	return p
}

func (p *Proxy) listen(tb testing.TB) (net.Listener, int) {
	tb.Helper()
	port, err := FreePort()
	if err != nil {
		tb.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		tb.Fatal(err)
	}
	return listener{l, p}, port
}

// Harm makes a share of the calls go wrong.
func (p *Proxy) Harm(share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share = share
}

// Cut stops all traffic of a process, on connections that there are and those to come, until Heal.
func (p *Proxy) Cut(pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut[pid] = true
}

// Heal lets everything through again, also what was held.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.cut)
	close(p.healed)
	p.healed = make(chan struct{})
}

// harm draws what becomes of a call.
func (p *Proxy) harm() (kind string, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.random.Float64() >= p.share {
		return "", 0
	}
	kind = []string{"lost", "unanswered", "late", "repeated", "held up"}[p.random.IntN(5)]
	p.Counts[kind]++
	return kind, time.Duration(p.random.Int64N(int64(2 * time.Second)))
}

// raw passes messages on as they are.
type raw struct{}

func (raw) Name() string                  { return "proto" }
func (raw) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(b)
	return nil
}

var errHarmed = status.Error(codes.Unavailable, "the proxy did harm")

// call is one call of a node.
func (p *Proxy) call(_ any, s grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(s)
	var req []byte
	if err := s.RecvMsg(&req); err != nil {
		return err
	}
	kind, delay := p.harm()
	if kind == "lost" {
		return errHarmed
	}
	if strings.HasSuffix(method, "/ListEntries") {
		return p.stream(s, method, &req)
	}
	send := func(ctx context.Context) ([]byte, error) {
		var resp []byte
		err := p.conn.Invoke(ctx, method, &req, &resp)
		return resp, err
	}
	later := func() {
		time.Sleep(delay)
		_, _ = send(context.Background())
	}
	switch kind {
	case "late":
		go later()
		return errHarmed
	case "repeated":
		go later()
	case "held up":
		time.Sleep(delay)
	}
	resp, err := send(s.Context())
	if err != nil {
		return err
	}
	if kind == "unanswered" {
		return errHarmed
	}
	// Addresses have the same length, so the message stays whole.
	resp = bytes.ReplaceAll(resp, []byte(p.volume), []byte(p.self))
	return s.SendMsg(&resp)
}

func (p *Proxy) stream(s grpc.ServerStream, method string, req *[]byte) error {
	c, err := p.conn.NewStream(s.Context(), &grpc.StreamDesc{ServerStreams: true}, method)
	if err == nil {
		err = c.SendMsg(req)
	}
	if err == nil {
		err = c.CloseSend()
	}
	for err == nil {
		var resp []byte
		if err = c.RecvMsg(&resp); err == nil {
			err = s.SendMsg(&resp)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// ServeHTTP passes a request on to the volume server.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	kind, delay := p.harm()
	to := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: p.volume})
	to.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	again := func(ctx context.Context) *http.Request {
		c := r.Clone(ctx)
		c.Body, c.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return c
	}
	later := func() {
		time.Sleep(delay)
		defer func() { _ = recover() }()
		to.ServeHTTP(discard{http.Header{}}, again(context.Background()))
	}
	switch kind {
	case "lost":
		panic(http.ErrAbortHandler)
	case "late":
		go later()
		panic(http.ErrAbortHandler)
	case "unanswered":
		to.ServeHTTP(discard{http.Header{}}, again(r.Context()))
		panic(http.ErrAbortHandler)
	case "repeated":
		go later()
	case "held up":
		time.Sleep(delay)
	}
	to.ServeHTTP(w, again(r.Context()))
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// listener gives connections that can be cut.
type listener struct {
	net.Listener
	p *Proxy
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, p: l.p, inode: inode(c.RemoteAddr(), c.LocalAddr())}, nil
}

// conn is a node's connection.
type conn struct {
	net.Conn
	p     *Proxy
	inode string // of the node's end
}

// wait returns once the process that has the other end is not cut off.
func (c *conn) wait() {
	for {
		c.p.mu.Lock()
		healed, cut := c.p.healed, false
		for pid := range c.p.cut {
			cut = cut || holds(pid, c.inode)
		}
		c.p.mu.Unlock()
		if !cut {
			return
		}
		<-healed
	}
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.wait()
	return n, err
}

func (c *conn) Write(b []byte) (int, error) {
	c.wait()
	return c.Conn.Write(b)
}

// inode finds the socket of a connection's other end on this machine.
func inode(local, remote net.Addr) string {
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	in := func(a net.Addr) string {
		t := a.(*net.TCPAddr)
		ip := t.IP.To4()
		return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], t.Port)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 9 && f[1] == in(local) && f[2] == in(remote) {
			return f[9]
		}
	}
	return ""
}

// holds says whether a process has a socket open.
func holds(pid int, inode string) bool {
	if inode == "" {
		return false
	}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}
