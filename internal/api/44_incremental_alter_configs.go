package api

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
)

// IncrementalAlterConfigs: v0-1
//
// Behavior: sets, deletes, appends to or subtracts from single keys (KIP-339); a resource's
// changes are made together or not at all.
func (t *topics) incrementalAlterConfigs(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.IncrementalAlterConfigsRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		named := map[resource]int{}
		for _, asked := range req.Resources {
			named[resource{asked.ResourceType, asked.ResourceName}]++
		}
		for _, asked := range req.Resources {
			out := kmsg.NewIncrementalAlterConfigsResponseResource()
			out.ResourceType, out.ResourceName = asked.ResourceType, asked.ResourceName
			of := resource{asked.ResourceType, asked.ResourceName}
			err := refuse(kerr.InvalidRequest, "the resource is named twice")
			if named[of] == 1 {
				err = t.configure(ctx, of, changeBy(asked.Configs), req.ValidateOnly)
			}
			out.ErrorCode, out.ErrorMessage = codeOf(err)
			resp.Resources = append(resp.Resources, out)
		}
		return resp, nil
	})
}

func changeBy(changes []kmsg.IncrementalAlterConfigsRequestResourceConfig) edit {
	return func(now cluster.Configs, inForce func(string) string) (cluster.Configs, error) {
		next := maps.Clone(now)
		if next == nil {
			next = cluster.Configs{}
		}
		seen := map[string]bool{}
		for _, c := range changes {
			if seen[c.Name] {
				return nil, refuse(kerr.InvalidRequest, "%s is changed twice", c.Name)
			}
			seen[c.Name] = true
			if err := changeOne(next, c, inForce); err != nil {
				return nil, err
			}
		}
		return next, nil
	}
}

func changeOne(next cluster.Configs, c kmsg.IncrementalAlterConfigsRequestResourceConfig, inForce func(string) string) error {
	if c.Op == kmsg.IncrementalAlterConfigOpDelete { // of what is not known, too
		delete(next, c.Name)
		return nil
	}
	if c.Value == nil {
		return refuse(kerr.InvalidRequest, "null value for %s", c.Name)
	}
	k, known := cluster.TopicKey(c.Name)
	if !known {
		k, known = cluster.BrokerKey(c.Name)
	}
	if !known {
		k, known = cluster.GroupKey(c.Name)
	}
	if !known {
		return refuse(kerr.InvalidConfig, "unknown config %s", c.Name)
	}
	current, set := next[c.Name]
	if !set {
		current = inForce(c.Name)
	}
	words, given := cluster.SplitList(current), cluster.SplitList(*c.Value)
	switch c.Op {
	case kmsg.IncrementalAlterConfigOpSet:
		next[c.Name] = *c.Value
		return nil
	case kmsg.IncrementalAlterConfigOpAppend:
		for _, w := range given {
			if !slices.Contains(words, w) {
				words = append(words, w)
			}
		}
	case kmsg.IncrementalAlterConfigOpSubtract:
		words = slices.DeleteFunc(words, func(w string) bool { return slices.Contains(given, w) })
	default:
		return refuse(kerr.InvalidRequest, "unknown operation %d on %s", c.Op, c.Name)
	}
	if k.Kind != cluster.List {
		return refuse(kerr.InvalidConfig, "%s is not a list: nothing can be appended or subtracted", c.Name)
	}
	next[c.Name] = strings.Join(words, ",")
	return nil
}

func refuseIncrementalAlterConfigs(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	for _, asked := range req.(*kmsg.IncrementalAlterConfigsRequest).Resources {
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = asked.ResourceType, asked.ResourceName
		out.ErrorCode, out.ErrorMessage = codeOf(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}
