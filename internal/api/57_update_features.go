package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
)

// The ways in which UpdateFeatures may change a level (FeatureUpdate.UpgradeType).
const (
	upgradeOnly     = 1
	safeDowngrade   = 2
	unsafeDowngrade = 3
)

// UpdateFeatures: v0-2
//
// Behavior: makes levels of features the cluster's, all or none, durably. Clients see them in ApiVersions.
//
// Version notes: v0 only raises levels, as in Apache Kafka, which reads its allow downgrade and takes no notice. v1 kinds of
// upgrade and validate only. v2 answers with one error for all.
func (t *topics) updateFeatures(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.UpdateFeaturesRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		changes := make([]cluster.LevelChange, 0, len(req.FeatureUpdates))
		for _, u := range req.FeatureUpdates {
			down := false
			if req.Version >= 1 {
				if u.UpgradeType < upgradeOnly || u.UpgradeType > unsafeDowngrade {
					return nil, fmt.Errorf("%w: the kind of upgrade %d is not known", cluster.ErrFeatureLevel, u.UpgradeType)
				}
				down = u.UpgradeType != upgradeOnly
			}
			changes = append(changes, cluster.LevelChange{Name: u.Feature, Level: u.MaxVersionLevel, Down: down})
		}
		errs, err := t.catalog.FinalizeLevels(ctx, changes, req.ValidateOnly)
		if err != nil {
			return nil, err
		}
		if t.featuresChanged != nil && !req.ValidateOnly {
			t.featuresChanged(ctx)
		}
		return featuresAnswer(req, errs), nil
	})
}

func featuresAnswer(req *kmsg.UpdateFeaturesRequest, errs []error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	if err := errors.Join(errs...); err != nil || req.Version >= 2 {
		resp.ErrorCode, resp.ErrorMessage = codeOf(err)
		return resp
	}
	for _, u := range req.FeatureUpdates {
		out := kmsg.NewUpdateFeaturesResponseResult()
		out.Feature, out.ErrorMessage = u.Feature, noError()
		resp.Results = append(resp.Results, out)
	}
	return resp
}

func refuseUpdateFeatures(r kmsg.Request, err error) kmsg.Response {
	resp := r.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	resp.ErrorCode, resp.ErrorMessage = codeOf(err)
	return resp
}
