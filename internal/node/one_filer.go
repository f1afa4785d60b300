package node

import (
	"context"
	"sync"

	"kelp/internal/seaweed"
)

// oneFiler connects to a filer when it is first needed, once for all who need it.
type oneFiler struct {
	dial func(context.Context) (*seaweed.Client, error)

	mu     sync.Mutex // guards client; held while dialling
	client *seaweed.Client
}

func (o *oneFiler) get(ctx context.Context) (*seaweed.Client, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.client == nil {
		c, err := o.dial(ctx)
		if err != nil {
			return nil, err
		}
		o.client = c
	}
	return o.client, nil
}

func (o *oneFiler) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.client != nil {
		_ = o.client.Close()
	}
}
