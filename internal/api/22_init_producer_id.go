package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
	"kelp/internal/txn"
)

// InitProducerId: v0-5
//
// Behavior: an idempotent producer gets a fresh id with epoch 0, also one that comes with an id and
// epoch (KIP-360). A transactional id gets its id with the next epoch, which fences whoever had it;
// an open transaction is aborted first, and CONCURRENT_TRANSACTIONS says to ask again.
//
// Version notes: v3 id and epoch of a producer that goes on. v4 PRODUCER_FENCED in place of INVALID_PRODUCER_EPOCH.
func (t *transactions) initProducerID(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.InitProducerIDRequest)
	if (req.ProducerID == -1) != (req.ProducerEpoch == -1) {
		return Failed(kerr.InvalidRequest)
	}
	if req.TransactionalID != nil {
		return t.submitWithID(func(m *txn.Machine, in statelog.Input, fresh int64) statelog.Effects {
			return m.InitProducerID(in, req, fresh)
		})
	}
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		id, err := t.catalog.Next(ctx)
		if err != nil {
			return nil, err
		}
		resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
		resp.ProducerID, resp.ProducerEpoch = id, 0
		return resp, nil
	})
}

func refuseInitProducerID(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ErrorCode, _ = codeOf(err)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	return resp
}
