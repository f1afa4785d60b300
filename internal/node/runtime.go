package node

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"time"
)

// gcPercent lets garbage grow to several times the little that is live, as long as the limit is far:
// collections are rarer than with Go's own 100, and most of what is large is pooled anyway.
const gcPercent = 400

// limitMemory tells the garbage collector what the process aims to stay under, less what it does not
// count: the binary and mapped files. The operator's own GOMEMLIMIT and GOGC, when set, are left alone.
func limitMemory(bytes int64) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(bytes / 16 * 13)
	}
	if before := debug.SetGCPercent(gcPercent); before != 100 {
		debug.SetGCPercent(before)
	}
}

// servePprof serves Go's profiles, on a listener of its own so that they are never in reach of
// those who may read the metrics.
func (n *Node) servePprof(address string) error {
	if address == "" {
		return nil
	}
	l, err := listener.Listen(n.life, "tcp", address)
	if err != nil {
		return fmt.Errorf("pprof: %w; free the address or choose another", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	n.Pprof, n.pprof = l.Addr(), &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	n.wg.Go(func() {
		if err := n.pprof.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.errs <- err
		}
	})
	return nil
}
