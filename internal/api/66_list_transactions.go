package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
	"kelp/internal/txn"
)

// ListTransactions: v0-2
//
// Behavior: the transactional ids that are known, in order, filtered by state and producer id.
//
// Version notes: v1 filter by how long a transaction is open (KIP-994). v2 by a pattern of the whole id (KIP-1152).
func (t *transactions) listTransactions(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.ListTransactionsRequest)
	return t.submit(func(m *txn.Machine, in statelog.Input) statelog.Effects { return m.List(in, req) })
}

func refuseListTransactions(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListTransactionsResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
