package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// InitProducerId: v0-5
//
// Behavior: an idempotent producer gets a fresh id with epoch 0; one that comes with an id and
// epoch (KIP-360) gets a fresh id as well, as Kafka gives producers without a transactional id.
//
// Differs from Kafka: transactional ids are refused with TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
// since there is no transaction coordinator.
func (h *records) initProducerID(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.InitProducerIDRequest)
	if req.TransactionalID != nil {
		return Failed(kerr.TransactionalIDAuthorizationFailed)
	}
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		id, err := h.catalog.Next(ctx)
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
