package topic

import "sync"

// watchers are those who want to know when there is more to read.
type watchers struct {
	mu  sync.Mutex
	all map[*func()]struct{}
}

// wake calls all of them.
func (w *watchers) wake() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for f := range w.all {
		(*f)()
	}
}

// Watch has f called whenever the high watermark or the last stable offset moves. f is called from
// the log's goroutine under a lock: it must not block and must not call the partition.
func (p *Partition) Watch(f func()) (cancel func()) {
	w := &p.watchers
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[*func()]struct{}{}
	}
	w.all[&f] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.all, &f)
	}
}
