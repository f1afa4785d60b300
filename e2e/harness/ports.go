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
func freePort() (int, error) {
	givenMu.Lock()
	defer givenMu.Unlock()
	var lc net.ListenConfig
	for range 100 {
		port := firstPort + rand.IntN(ports)
		if given[port] {
			continue
		}
		l, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		given[port] = true
		return port, l.Close()
	}
	return 0, errors.New("choose a port: a hundred were taken")
}

// FreePort is a port for a server that a test starts itself.
func FreePort() (int, error) { return freePort() }

// FreeAddr is an address for a server that a test starts itself, perhaps more than once.
func FreeAddr(tb testing.TB) string {
	tb.Helper()
	port, err := freePort()
	if err != nil {
		tb.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
