package api

import (
	"context"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type versions struct {
	table     []Entry
	clusterID func() string
	nodeID    int32
}

// features are the levels of what is more than a key's version (KIP-584). Level 0 is the oldest behaviour:
// groups of the classic protocol, transactions not served yet.
var features = []kmsg.ApiVersionsResponseSupportedFeature{{Name: "group.version"}, {Name: "transaction.version"}}

// softwareName is what a client may call itself and its version (KIP-511).
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// ApiVersions: v0-5
//
// Behavior: lists the table. A version that is not served never gets here: the server answers it
// in a v0 body with UNSUPPORTED_VERSION, so that the newest clients can fall back.
//
// Version notes: v3 carries the client's software name and version, and answers features. v5 carries the cluster and
// broker that the client means to speak to; another one is told to bootstrap again (KIP-1242).
func (v *versions) apiVersions(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.ApiVersionsRequest)
	if err := v.check(req); err != nil {
		return Failed(err)
	}
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	for _, e := range v.table {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = e.Key.Int16(), e.Min, e.Max
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	slices.SortFunc(resp.ApiKeys, func(a, b kmsg.ApiVersionsResponseApiKey) int { return int(a.ApiKey) - int(b.ApiKey) })
	resp.FinalizedFeaturesEpoch = 0
	if req.Version >= 4 { // clients before cannot read a lowest level of 0 (KIP-1022)
		resp.SupportedFeatures = features
	}
	return Now(resp)
}

func (v *versions) check(req *kmsg.ApiVersionsRequest) error {
	if req.Version >= 3 && (!softwareName.MatchString(req.ClientSoftwareName) || !softwareName.MatchString(req.ClientSoftwareVersion)) {
		return kerr.InvalidRequest
	}
	if req.Version < 5 || req.ClusterID == nil && req.NodeID < 0 {
		return nil
	}
	switch {
	case req.ClusterID == nil || req.NodeID < 0:
		return kerr.InvalidRequest
	case *req.ClusterID != v.clusterID() || req.NodeID != v.nodeID:
		return kerr.RebootstrapRequired
	}
	return nil
}

func refuseApiVersions(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
