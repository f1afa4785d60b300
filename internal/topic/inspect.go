package topic

import (
	"kelp/internal/batch"
	"kelp/internal/cluster"
)

// Inspection looks at the records of one batch by rules that this package does not know, such as
// those of schemas. It is used again when the batch is tried again.
type Inspection interface {
	// Reset is called before the first record, each time.
	Reset()
	// See is called for each record in order, with what [batch.Validate] shows of it.
	See(index int32, r batch.Record)
	// Verdict is asked for once all records were seen. It gives the headers to add to records, in
	// order; or a *[Rejected], which keeps the batch out; or an *[Undecided].
	Verdict() ([]batch.Mark, error)
}

// Undecided is a verdict that needs what is not here yet. Nothing of the batch is stored, and it can be
// given to Produce again after Wait.
type Undecided struct {
	// Wait returns after a bounded time, when another try will come further.
	Wait func()
}

func (*Undecided) Error() string { return "the batch cannot be judged yet" }

// inspected asks an inspection about a batch that is good otherwise, and marks records. Marks that
// would make the batch too large are left out.
func inspected(records []byte, h batch.Header, of Inspection, config *cluster.TopicConfig) ([]byte, batch.Header, error) {
	marks, err := of.Verdict()
	if err != nil || len(marks) == 0 {
		return records, h, err
	}
	var marked []byte
	err = batch.InTurn(func(maxBytes int) (err error) {
		marked, err = batch.AddHeaders(records, marks, maxBytes)
		return err
	})
	if err != nil {
		return nil, h, fault(err)
	}
	if len(marked) > config.MaxMessageBytes {
		return records, h, nil
	}
	h, err = batch.ReadHeader(marked)
	return marked, h, err
}
