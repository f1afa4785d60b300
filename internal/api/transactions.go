package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
	"kelp/internal/statelog"
	"kelp/internal/txn"
)

// TransactionCoordinator runs steps on the transaction machine.
type TransactionCoordinator interface {
	Submit(step func(*txn.Machine, statelog.Input) statelog.Effects) *statelog.Answer
}

// transactions answers for transactional producers: what needs the catalog is checked here, the
// rest is the machine's.
type transactions struct {
	coordinator TransactionCoordinator
	groups      Coordinator
	catalog     *cluster.Catalog
	markers     Markers
}

// groupOffsets is the partition that keeps the offsets of all groups, as part of a transaction.
var groupOffsets = txn.Partition{Topic: cluster.ConsumerOffsets.Name}

func (t *transactions) submit(step func(*txn.Machine, statelog.Input) statelog.Effects) Reply {
	answer := t.coordinator.Submit(step)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp, err := waitFor(ctx, answer)
		if err != nil {
			return nil, err
		}
		return resp.(kmsg.Response), nil
	}).When(answer.Notify)
}

// submitWithID runs a step that may turn out to need a fresh producer id, which most do not.
func (t *transactions) submitWithID(step func(m *txn.Machine, in statelog.Input, fresh int64) statelog.Effects) Reply {
	with := func(id int64) *statelog.Answer {
		return t.coordinator.Submit(func(m *txn.Machine, in statelog.Input) statelog.Effects { return step(m, in, id) })
	}
	answer := with(-1)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp, err := waitFor(ctx, answer)
		if errors.Is(err, txn.ErrNeedsProducerID) {
			id, failed := t.catalog.Next(ctx)
			if failed != nil {
				return nil, failed
			}
			resp, err = waitFor(ctx, with(id))
		}
		if err != nil {
			return nil, err
		}
		return resp.(kmsg.Response), nil
	})
}

// waitFor waits for what a machine answers. One that is gone has moved, as far as clients know.
func waitFor(ctx context.Context, answer *statelog.Answer) (any, error) {
	resp, err := answer.Wait(ctx)
	if errors.Is(err, statelog.ErrMoved) || errors.Is(err, statelog.ErrClosed) {
		return nil, kerr.NotCoordinator
	}
	return resp, err
}
