package topic

import (
	"cmp"
	"slices"

	"kelp/internal/batch"
)

// cleanedTxns follows the transactions in a run of batches, to say which batches and markers may go
// (Kafka's CleanedTransactionMetadata). A marker goes only after all records of its transaction.
type cleanedTxns struct {
	aborted   []Aborted // not yet met, by first offset
	open      map[int64]*openTxn
	committed map[int64]bool // producers with batches of a transaction that will be committed
	// dead are aborted transactions of which nothing but the marker was there.
	dead []Aborted
}

// openTxn is an aborted transaction between its first offset and its marker.
type openTxn struct {
	Aborted
	seen bool // a batch of it is still there
}

func newCleanedTxns(aborted []Aborted) *cleanedTxns {
	aborted = slices.Clone(aborted)
	slices.SortFunc(aborted, func(a, b Aborted) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
	return &cleanedTxns{aborted: aborted, open: map[int64]*openTxn{}, committed: map[int64]bool{}}
}

func (c *cleanedTxns) upTo(h batch.Header) {
	for len(c.aborted) > 0 && c.aborted[0].FirstOffset <= h.LastOffset() {
		a := c.aborted[0]
		c.aborted = c.aborted[1:]
		if c.open[a.ProducerID] == nil {
			c.open[a.ProducerID] = &openTxn{Aborted: a}
		}
	}
	// Nothing of a transaction lies behind its marker, whether or not that is still there.
	if o := c.open[h.ProducerID]; o != nil && o.LastOffset < h.BaseOffset {
		delete(c.open, h.ProducerID)
	}
}

// data reports that a batch of records was aborted and may go.
func (c *cleanedTxns) data(h batch.Header) bool {
	c.upTo(h)
	if !h.Transactional() {
		return false
	}
	if o := c.open[h.ProducerID]; o != nil {
		o.seen = true
		return true
	}
	c.committed[h.ProducerID] = true
	return false
}

// control reports that no record of the transaction of a control batch is there any more: its marker
// may go in a while. Until the list of aborted transactions has been saved without it, the marker is
// listed and must stay: a reader that is told of an aborted transaction waits for the marker. The
// marker is nil when the batch is empty already.
func (c *cleanedTxns) control(h batch.Header, m *batch.Marker) (unused, listed bool) {
	c.upTo(h)
	switch {
	case m == nil:
		return true, false
	case m.Commit:
		was := c.committed[h.ProducerID]
		delete(c.committed, h.ProducerID)
		return !was, false
	}
	o := c.open[h.ProducerID]
	delete(c.open, h.ProducerID)
	if o == nil {
		return true, false
	}
	if !o.seen {
		c.dead = append(c.dead, o.Aborted)
	}
	return !o.seen, true
}
