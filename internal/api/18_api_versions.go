package api

import (
	"context"
	"regexp"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
)

type versions struct {
	table   []Entry
	catalog *cluster.Catalog
	nodeID  int32
}

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
	v.features(resp, req.Version)
	return Now(resp)
}

// features tells the levels of what is more than a key's version (KIP-584): what this broker can do,
// and what the cluster has settled on. Level 0 is the absence of the feature.
func (v *versions) features(resp *kmsg.ApiVersionsResponse, version int16) {
	img := v.catalog.Image()
	resp.FinalizedFeaturesEpoch = img.FeaturesEpoch
	for _, f := range cluster.Features {
		if version >= 4 { // clients before cannot read a lowest level of 0 (KIP-1022)
			s := kmsg.NewApiVersionsResponseSupportedFeature()
			s.Name, s.MinVersion, s.MaxVersion = f.Name, f.Min, f.Max
			resp.SupportedFeatures = append(resp.SupportedFeatures, s)
		}
		if level := img.Level(f); level > 0 {
			out := kmsg.NewApiVersionsResponseFinalizedFeature()
			out.Name, out.MinVersionLevel, out.MaxVersionLevel = f.Name, level, level
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, out)
		}
	}
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
	case *req.ClusterID != v.catalog.Image().ClusterID || req.NodeID != v.nodeID:
		return kerr.RebootstrapRequired
	}
	return nil
}

func refuseApiVersions(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	resp.ErrorCode, _ = codeOf(err)
	return resp
}
