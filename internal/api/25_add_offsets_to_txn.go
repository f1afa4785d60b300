package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
	"kelp/internal/txn"
)

// AddOffsetsToTxn: v0-4
//
// Behavior: the partition of __consumer_offsets that keeps the group's offsets becomes part of the transaction.
//
// Version notes: v2 PRODUCER_FENCED. v4 TRANSACTION_ABORTABLE may come.
func (t *transactions) addOffsetsToTxn(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.AddOffsetsToTxnRequest)
	return t.submit(func(m *txn.Machine, in statelog.Input) statelog.Effects { return m.AddOffsets(in, req, groupOffsets) })
}

func refuseAddOffsetsToTxn(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
