package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kelp/internal/cluster"
)

// groupConfigs shows the configs of one consumer group.
func groupConfigs(img *cluster.Image, group string) []kmsg.DescribeConfigsResponseResourceConfig {
	var all []kmsg.DescribeConfigsResponseResourceConfig
	for _, k := range cluster.GroupKeys() {
		all = append(all, shownConfig(k.Name, k.Kind, k.Doc, img.GroupSynonyms(group, k)))
	}
	return all
}

// coordinatorConfigs shows the broker's configs of groups, which are given at start.
func coordinatorConfigs(img *cluster.Image) []kmsg.DescribeConfigsResponseResourceConfig {
	var all []kmsg.DescribeConfigsResponseResourceConfig
	for _, k := range cluster.CoordinatorKeys() {
		synonyms := []cluster.Synonym{{Name: k.Name, Value: k.Default, Source: cluster.FromDefault}}
		if v, given := img.Coordinator(k.Name); given {
			synonyms = append([]cluster.Synonym{{Name: k.Name, Value: v, Source: cluster.FromStatic}}, synonyms...)
		}
		c := shownConfig(k.Name, k.Kind, k.Doc, synonyms)
		c.ReadOnly = true
		all = append(all, c)
	}
	return all
}

// configureGroup carries out an edit of a group's configs.
func (t *topics) configureGroup(ctx context.Context, group string, change edit, validateOnly bool) error {
	if group == "" {
		return refuse(kerr.InvalidRequest, "there are no default configs of groups; give the broker its own at start")
	}
	return t.catalog.ConfigureGroup(ctx, group, func(img *cluster.Image) (cluster.Configs, error) {
		return change(img.GroupConfigs[group], func(name string) string {
			k, known := cluster.GroupKey(name)
			if !known {
				return ""
			}
			return img.GroupSynonyms("", k)[0].Value
		})
	}, validateOnly)
}
