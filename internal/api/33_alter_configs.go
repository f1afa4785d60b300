package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
)

// AlterConfigs: v0-2
//
// Behavior: replaces all configs of a resource; what is not named goes back to its default.
func (t *topics) alterConfigs(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.AlterConfigsRequest)
	return Later(func(ctx context.Context) (kmsg.Response, error) {
		resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
		named := map[resource]int{}
		for _, asked := range req.Resources {
			named[resource{asked.ResourceType, asked.ResourceName}]++
		}
		for _, asked := range req.Resources {
			out := kmsg.NewAlterConfigsResponseResource()
			out.ResourceType, out.ResourceName = asked.ResourceType, asked.ResourceName
			of := resource{asked.ResourceType, asked.ResourceName}
			err := refuse(kerr.InvalidRequest, "the resource is named twice")
			if named[of] == 1 {
				err = t.configure(ctx, of, replaceBy(asked.Configs), req.ValidateOnly)
			}
			out.ErrorCode, out.ErrorMessage = codeOf(err)
			resp.Resources = append(resp.Resources, out)
		}
		return resp, nil
	})
}

// resource names whose configs are changed.
type resource struct {
	kind kmsg.ConfigResourceType
	name string
}

// edit makes new configs of those set now; inForce gives a key's value when nothing is set.
type edit func(now cluster.Configs, inForce func(name string) string) (cluster.Configs, error)

func replaceBy(configs []kmsg.AlterConfigsRequestResourceConfig) edit {
	return func(cluster.Configs, func(string) string) (cluster.Configs, error) {
		next := cluster.Configs{}
		for _, c := range configs {
			if c.Value == nil {
				return nil, refuse(kerr.InvalidConfig, "null value for %s", c.Name)
			}
			next[c.Name] = *c.Value
		}
		return next, nil
	}
}

// configure carries out an edit.
func (t *topics) configure(ctx context.Context, of resource, change edit, validateOnly bool) error {
	switch of.kind {
	case kmsg.ConfigResourceTypeTopic:
		if of.name == "" {
			return refuse(kerr.InvalidRequest, "there are no default configs of topics; set those of brokers")
		}
		return t.catalog.ConfigureTopic(ctx, of.name, func(known cluster.Topic, img *cluster.Image) (cluster.Configs, error) {
			return change(known.Configs, func(name string) string {
				k, _ := cluster.TopicKey(name)
				v, _ := img.ConfigValue(cluster.Topic{}, k)
				return v
			})
		}, validateOnly)
	case kmsg.ConfigResourceTypeBroker:
		if of.name != "" {
			if err := t.checkBroker(of.name); err != nil {
				return err
			}
		}
		return t.configureBroker(ctx, of.name == "", change, validateOnly)
	case kmsg.ConfigResourceTypeGroupConfig:
		return t.configureGroup(ctx, of.name, change, validateOnly)
	default:
		return refuse(kerr.InvalidRequest, "configs of resource type %s are not kept here", of.kind)
	}
}

func (t *topics) configureBroker(ctx context.Context, all bool, change edit, validateOnly bool) error {
	return t.catalog.ConfigureBroker(ctx, all, func(img *cluster.Image) (cluster.Configs, error) {
		now := img.BrokerConfigs
		if all {
			now = img.DefaultConfigs
		}
		next, err := change(now, func(name string) string {
			k, _ := cluster.BrokerKey(name)
			return k.Default
		})
		if err != nil {
			return nil, err
		}
		checked := cluster.Configs{}
		for name, value := range next {
			k, ok := cluster.BrokerKey(name)
			if !ok {
				return nil, refuse(kerr.InvalidConfig, "%s is not a config that a running broker can change", name)
			}
			if checked[name], err = k.Check(value); err != nil {
				return nil, err
			}
		}
		return checked, nil
	}, validateOnly)
}

func refuseAlterConfigs(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	for _, asked := range req.(*kmsg.AlterConfigsRequest).Resources {
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = asked.ResourceType, asked.ResourceName
		out.ErrorCode, out.ErrorMessage = codeOf(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}
