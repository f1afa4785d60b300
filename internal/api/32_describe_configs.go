package api

import (
	"context"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
)

// DescribeConfigs: v0-4
//
// Behavior: topics show every key with the value in force and, when asked, all that could be;
// brokers show the same keys under the brokers' names and what the broker was started with. The
// broker "" is the default of all brokers: just what was set there. Groups show their own keys,
// whether or not the group is there.
//
// Version notes: v1 sources and synonyms. v3 types and documentation.
func (t *topics) describeConfigs(_ context.Context, r *Request) Reply {
	req := r.Body.(*kmsg.DescribeConfigsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for _, asked := range req.Resources {
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = asked.ResourceType, asked.ResourceName
		out.ErrorMessage = noError()
		configs, err := t.configsOf(asked)
		if err != nil {
			out.ErrorCode, out.ErrorMessage = codeOf(err)
		}
		for _, c := range configs {
			if len(asked.ConfigNames) > 0 && !slices.Contains(asked.ConfigNames, c.Name) {
				continue
			}
			if !req.IncludeSynonyms {
				c.ConfigSynonyms = nil
			}
			if !req.IncludeDocumentation {
				c.Documentation = nil
			}
			out.Configs = append(out.Configs, c)
		}
		resp.Resources = append(resp.Resources, out)
	}
	return Now(resp)
}

func (t *topics) configsOf(asked kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	img := t.catalog.Image()
	switch asked.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if err := legalTopicName(asked.ResourceName); err != nil {
			return nil, err
		}
		known, ok := img.ByName[asked.ResourceName]
		if !ok {
			return nil, refuse(kerr.UnknownTopicOrPartition, "topic %s is not there", asked.ResourceName)
		}
		return topicConfigs(img, known), nil
	case kmsg.ConfigResourceTypeBroker:
		if asked.ResourceName == "" {
			return setForAll(img), nil
		}
		if err := t.checkBroker(asked.ResourceName); err != nil {
			return nil, err
		}
		return slices.Concat(brokerConfigs(img), coordinatorConfigs(img), t.startConfigs()), nil
	case kmsg.ConfigResourceTypeGroupConfig:
		if asked.ResourceName == "" {
			return nil, refuse(kerr.InvalidRequest, "the group's name is empty")
		}
		return groupConfigs(img, asked.ResourceName), nil
	default:
		return nil, refuse(kerr.InvalidRequest, "configs of resource type %s are not kept here", asked.ResourceType)
	}
}

func (t *topics) checkBroker(name string) error {
	if name != strconv.Itoa(int(t.nodeID)) {
		return refuse(kerr.InvalidRequest, "unexpected broker id %q, this is broker %d", name, t.nodeID)
	}
	return nil
}

func topicConfigs(img *cluster.Image, known cluster.Topic) []kmsg.DescribeConfigsResponseResourceConfig {
	var all []kmsg.DescribeConfigsResponseResourceConfig
	for _, k := range cluster.TopicKeys() {
		c := shownConfig(k.Name, k.Kind, k.Doc, img.ConfigSynonyms(known, k))
		value, source := img.ConfigValue(known, k)
		c.Value, c.Source, c.IsDefault = &value, kmsg.ConfigSource(source), source != cluster.FromTopic
		all = append(all, c)
	}
	return all
}

func brokerConfigs(img *cluster.Image) []kmsg.DescribeConfigsResponseResourceConfig {
	var all []kmsg.DescribeConfigsResponseResourceConfig
	for _, k := range cluster.TopicKeys() {
		if k.Broker != "" {
			all = append(all, shownConfig(k.Broker, k.Kind, k.Doc, img.BrokerSynonyms(k)))
		}
	}
	return all
}

// setForAll shows what was set for all brokers.
func setForAll(img *cluster.Image) []kmsg.DescribeConfigsResponseResourceConfig {
	var all []kmsg.DescribeConfigsResponseResourceConfig
	for name, value := range img.DefaultConfigs {
		k, _ := cluster.BrokerKey(name)
		all = append(all, shownConfig(name, k.Kind, k.Doc, []cluster.Synonym{{Name: name, Value: value, Source: cluster.FromClusterDefault}}))
	}
	return all
}

// startConfigs shows what the broker was started with, which cannot be changed while it runs.
func (t *topics) startConfigs() []kmsg.DescribeConfigsResponseResourceConfig {
	var all []kmsg.DescribeConfigsResponseResourceConfig
	for _, s := range t.settings {
		source := cluster.FromStatic
		if s.Default {
			source = cluster.FromDefault
		}
		c := shownConfig(s.Name, s.Kind, s.Doc, []cluster.Synonym{{Name: s.Name, Value: s.Value, Source: source}})
		c.ReadOnly = true
		all = append(all, c)
	}
	return all
}

func shownConfig(name string, kind cluster.Kind, doc string, synonyms []cluster.Synonym) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.ConfigType, c.Documentation, c.Source = name, kmsg.ConfigType(kind), &doc, kmsg.ConfigSource(cluster.FromDefault)
	for i, s := range synonyms {
		if i == 0 {
			c.Value, c.Source = &s.Value, kmsg.ConfigSource(s.Source)
		}
		shown := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
		shown.Name, shown.Value, shown.Source = s.Name, &s.Value, kmsg.ConfigSource(s.Source)
		c.ConfigSynonyms = append(c.ConfigSynonyms, shown)
	}
	c.IsDefault = c.Source == kmsg.ConfigSource(cluster.FromDefault)
	return c
}

func refuseDescribeConfigs(req kmsg.Request, err error) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for _, asked := range req.(*kmsg.DescribeConfigsRequest).Resources {
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = asked.ResourceType, asked.ResourceName
		out.ErrorCode, out.ErrorMessage = codeOf(err)
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}
