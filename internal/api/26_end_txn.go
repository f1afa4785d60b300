package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
	"kelp/internal/txn"
)

// EndTxn: v0-5
//
// Behavior: answered once the decision is durable; the markers follow.
//
// Version notes: v2 PRODUCER_FENCED. v5 every end bumps the epoch, and the answer brings the id and
// epoch to go on with (KIP-890).
func (t *transactions) endTxn(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.EndTxnRequest)
	return t.submitWithID(func(m *txn.Machine, in statelog.Input, fresh int64) statelog.Effects { return m.EndTxn(in, req, fresh) })
}

func refuseEndTxn(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.EndTxnResponse)
	resp.ErrorCode, _ = codeOf(err)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	return resp
}
