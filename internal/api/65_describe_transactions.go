package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/statelog"
	"kelp/internal/txn"
)

// DescribeTransactions: v0
//
// Behavior: what the coordinator knows of transactional ids (KIP-664).
func (t *transactions) describeTransactions(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.DescribeTransactionsRequest)
	return t.submit(func(m *txn.Machine, in statelog.Input) statelog.Effects { return m.Describe(in, req) })
}

func refuseDescribeTransactions(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	for _, id := range req.(*kmsg.DescribeTransactionsRequest).TransactionalIDs {
		out := kmsg.NewDescribeTransactionsResponseTransactionState()
		out.TransactionalID = id
		out.ErrorCode, _ = codeOf(err)
		resp.TransactionStates = append(resp.TransactionStates, out)
	}
	return resp
}
