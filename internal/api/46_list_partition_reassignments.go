package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ListPartitionReassignments: v0
//
// Behavior: with one broker nothing is ever being reassigned.
func (t *topics) listPartitionReassignments(_ context.Context, r *Request) Reply {
	return Now(r.Body.ResponseKind())
}

func refuseListPartitionReassignments(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	resp.ErrorCode, resp.ErrorMessage = codeOf(err)
	return resp
}
