package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

type versions struct{ table []Entry }

// ApiVersions: v0-5
//
// Behavior: lists the table. A version that is not served never gets here: the server answers it
// in a v0 body with UNSUPPORTED_VERSION, so that the newest clients can fall back.
//
// Version notes: v3 carries the client's software name and version.
func (v *versions) apiVersions(_ context.Context, r *Request) Reply {
	resp := r.Body.ResponseKind().(*kmsg.ApiVersionsResponse)
	for _, e := range v.table {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = e.Key.Int16(), e.Min, e.Max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	slices.SortFunc(resp.ApiKeys, func(a, b kmsg.ApiVersionsResponseApiKey) int { return int(a.ApiKey) - int(b.ApiKey) })
	return Now(resp)
}

func refuseApiVersions(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
