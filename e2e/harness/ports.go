package harness

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
)

// The ports of servers lie below those that systems give to connections: a server that is started again must find its own free.
const (
	firstPort = 12_000
	ports     = 18_000
)

// given are the ports that this process has handed out. None is given twice: its server may be down for a moment, or not up yet.
var (
	givenMu sync.Mutex
	given   = map[int]bool{}
)

// freePort chooses a port that nobody listens on.
func freePort() (int, error) { return choose(ports, 0) }

// choose chooses one of n ports that nobody listens on, nor on the one that lies so much higher.
func choose(n, higher int) (int, error) {
	givenMu.Lock()
	defer givenMu.Unlock()
	for range 100 {
		port := firstPort + rand.IntN(n)
		if free(port) && free(port+higher) {
			given[port], given[port+higher] = true, true
			return port, nil
		}
	}
	return 0, errors.New("choose a port: a hundred were taken")
}

// free says whether a port is neither given nor in use. givenMu is held.
func free(port int) bool {
	if given[port] {
		return false
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	return err == nil && l.Close() == nil
}

// FreePort is a port for a server that a test starts itself.
func FreePort() (int, error) { return freePort() }

// grpcAbove is by how much the gRPC port of a server of SeaweedFS lies above its own, unless it is told otherwise.
const grpcAbove = 10_000

// FreeWeedPort is a port for a server of SeaweedFS that a test starts itself; its gRPC port is free, too.
func FreeWeedPort() (int, error) { return choose(ports-grpcAbove, grpcAbove) }

// FreeAddr is an address for a server that a test starts itself, perhaps more than once.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
