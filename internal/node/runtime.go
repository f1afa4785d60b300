package node

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"
)

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
