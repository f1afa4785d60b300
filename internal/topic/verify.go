package topic

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/storage"
)

// Limits of batches whose transaction is being looked up.
const (
	maxQueuedBatches  = 128    // of one producer in one partition
	maxUnverifiedKept = 10_000 // producers of a partition whose verification failed are remembered
)

// Client says how the request came that brings a batch.
type Client struct {
	Messages      bool // before version 3: message sets
	Transactional bool // it names a transactional id
	Implicit      bool // from version 12 on: its partitions join the transaction by themselves (KIP-890)
	// Inspection looks at the records, nil for none.
	Inspection Inspection
}

// Verification is the question that the first batch of a transaction raises: is this partition part
// of the transaction that its producer has ongoing? The coordinator knows. Whoever is handed one
// asks it, without holding up the requests behind, and calls Done once. Until then the batch and
// those of its producer that follow wait in order; a marker that is written meanwhile refuses them,
// so that an answer about one transaction never opens the next (KIP-890).
type Verification struct {
	ProducerID    int64
	ProducerEpoch int16

	p *Partition
	v *verifying
}

// verifying is the state of one producer that has no transaction open here but sends batches of
// one (Kafka's VerificationStateEntry).
type verifying struct {
	epoch   int16
	lowest  int32 // sequence that was seen: later ones must not pass it
	sinceMs int64
	queue   []*queued // not empty while the coordinator is being asked
}

// queued is a batch that waits for its transaction to be verified. It is its own Pending.
type queued struct {
	records []byte
	h       batch.Header
	client  Client

	decided chan struct{} // closed once result and err are set
	result  Appended
	err     error

	doneOnce sync.Once
	done     chan struct{}
}

func (q *queued) Wait(ctx context.Context) error {
	select {
	case <-q.decided:
	case <-ctx.Done():
		return ctx.Err()
	}
	if q.err != nil || q.result.Pending == nil {
		return q.err
	}
	return q.result.Pending.Wait(ctx)
}

func (q *queued) Done() <-chan struct{} {
	q.doneOnce.Do(func() {
		q.done = make(chan struct{})
		go func() {
			defer close(q.done)
			_ = q.Wait(context.Background())
		}()
	})
	return q.done
}

var _ storage.Pending = (*queued)(nil)

// unverified reports that a batch may not enter before the coordinator was asked. The partition's
// lock is held.
func (p *Partition) unverified(h batch.Header) bool {
	if !h.Transactional() {
		return false
	}
	known := p.find(h.ProducerID)
	// Another epoch is another transaction: the one that is open here has ended and only waits for its marker.
	return known == nil || known.txnStart == none || known.epoch != h.ProducerEpoch
}

// verify queues the first batch of a transaction and, when nobody is asking yet, hands out the
// question. The partition's lock is held.
func (p *Partition) verify(records []byte, h batch.Header, client Client) (Appended, error) {
	if known := p.find(h.ProducerID); known != nil {
		if h.ProducerEpoch < known.epoch {
			return Appended{}, reject(kerr.InvalidProducerEpoch, "epoch %d, the newest is %d", h.ProducerEpoch, known.epoch)
		}
		if repeat := known.repeated(h); repeat != nil && h.ProducerEpoch == known.epoch {
			return p.repeat(repeat), nil
		}
	}
	if !client.Transactional {
		return Appended{}, reject(kerr.InvalidTxnState, "the batch is not part of an ongoing transaction")
	}
	v := p.verifying[h.ProducerID]
	switch {
	case v == nil || h.ProducerEpoch > v.epoch:
		p.drop(h.ProducerID, reject(kerr.InvalidProducerEpoch, "the producer has a newer epoch, %d", h.ProducerEpoch))
		p.forgetUnverified()
		v = &verifying{epoch: h.ProducerEpoch, lowest: h.BaseSequence, sinceMs: p.o.Now().UnixMilli()}
		p.verifying[h.ProducerID] = v
	case h.ProducerEpoch < v.epoch:
		return Appended{}, reject(kerr.InvalidProducerEpoch, "epoch %d, the newest is %d", h.ProducerEpoch, v.epoch)
	case len(v.queue) >= maxQueuedBatches:
		return Appended{}, reject(kerr.NotEnoughReplicas, "%d batches of the producer wait for their transaction", len(v.queue))
	}
	v.lowest = min(v.lowest, h.BaseSequence)
	q := &queued{records: records, h: h, client: client, decided: make(chan struct{})}
	v.queue = append(v.queue, q)
	a := Appended{BaseOffset: none, LogAppendTimeMs: -1, LogStartOffset: none, Pending: q, queued: q}
	if len(v.queue) == 1 {
		a.Verify = &Verification{ProducerID: h.ProducerID, ProducerEpoch: h.ProducerEpoch, p: p, v: v}
	}
	return a, nil
}

// Done gives the coordinator's answer: nil lets the batches in, an error is theirs.
func (a *Verification) Done(err error) {
	p := a.p
	p.mu.Lock()
	defer p.mu.Unlock()
	queue := a.v.queue
	a.v.queue = nil
	for _, q := range queue {
		q.err = err
		if err == nil {
			q.result, q.err = p.place(q.records, q.h, a.v, q.client)
		}
		close(q.decided)
	}
}

// unexpected refuses a batch that would skip one whose verification failed, or that begins in the
// middle of a producer's first epoch here. The partition's lock is held.
func (p *Partition) unexpected(h batch.Header, v *verifying, client Client) error {
	known := p.find(h.ProducerID)
	switch {
	case client.Implicit && h.BaseSequence != 0 && (known == nil || len(known.batches) == 0):
		return reject(kerr.OutOfOrderSequenceNumber, "sequence %d of a producer that is not known here, not 0", h.BaseSequence)
	case h.BaseSequence > v.lowest && (known == nil || known.txnStart == none):
		return reject(kerr.OutOfOrderSequenceNumber, "sequence %d, but %d was seen and is not here yet", h.BaseSequence, v.lowest)
	}
	return nil
}

// drop ends what is known of a producer's verification and refuses the batches that wait. The
// partition's lock is held.
func (p *Partition) drop(producerID int64, why error) {
	v := p.verifying[producerID]
	if v == nil {
		return
	}
	delete(p.verifying, producerID)
	for _, q := range v.queue {
		q.err = why
		close(q.decided)
	}
	v.queue = nil
}

// forgetUnverified keeps the number of failed verifications bounded.
func (p *Partition) forgetUnverified() {
	if len(p.verifying) < maxUnverifiedKept {
		return
	}
	for id, v := range p.verifying {
		if len(v.queue) == 0 {
			delete(p.verifying, id)
		}
	}
}
