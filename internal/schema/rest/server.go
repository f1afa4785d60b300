package rest

import (
	"encoding/json"
	"strings"

	"kelp/internal/schema"
	"kelp/internal/schema/tags"
)

// identity is what the registry says of itself.
type identity struct {
	version, revision string
	cluster           func() string
}

func getRoot(*call) (any, error) { return struct{}{}, nil }

func getOpenAPI(c *call) (any, error) { return json.RawMessage(c.h.openAPI), nil }

func getClusterID(c *call) (any, error) {
	type scope struct {
		Path     []string          `json:"path"`
		Clusters map[string]string `json:"clusters"`
	}
	clusters := map[string]string{"schema-registry-cluster": "schema-registry"}
	if c.h.identity.cluster != nil {
		clusters["kafka-cluster"] = c.h.identity.cluster()
	}
	return struct {
		ID    string `json:"id"`
		Scope scope  `json:"scope"`
	}{"", scope{[]string{}, clusters}}, nil
}

func getServerVersion(c *call) (any, error) {
	return map[string]string{"version": c.h.identity.version, "commitId": c.h.identity.revision}, nil
}

func listContexts(c *call) (any, error) {
	all, err := c.h.registry.Contexts(c.ctx())
	if err != nil {
		return nil, err
	}
	matching := []string{}
	for _, name := range all {
		if strings.HasPrefix(name, c.values.Get("contextPrefix")) {
			matching = append(matching, name)
		}
	}
	return page(c, matching, noLimit)
}

func deleteContext(c *call) (any, error) {
	prefix, err := schema.ContextPrefix(c.path["context"])
	if err != nil {
		return nil, &schema.Error{Code: 400, Message: err.Error()}
	}
	return noContent{}, c.h.registry.DeleteContext(c.ctx(), prefix)
}

func listAssociations(*call) (any, error) { return []string{}, nil }

// tagsBody asks for a new version that differs in tags, metadata or rules.
type tagsBody struct {
	NewVersion    *int32           `json:"newVersion"`
	TagsToAdd     []tags.Tagged    `json:"tagsToAdd"`
	TagsToRemove  []tags.Tagged    `json:"tagsToRemove"`
	Metadata      *schema.Metadata `json:"metadata"`
	RuleSet       *schema.RuleSet  `json:"ruleSet"`
	RulesToMerge  *schema.RuleSet  `json:"rulesToMerge"`
	RulesToRemove []string         `json:"rulesToRemove"`
}

func modifyTags(c *call) (any, error) {
	number, err := c.version()
	if err != nil {
		return nil, err
	}
	var b tagsBody
	if err := c.body(&b); err != nil {
		return nil, err
	}
	v, err := c.h.registry.Version(c.ctx(), c.subject(), number)
	if err != nil {
		return nil, err
	}
	d := schema.Draft{
		Type: v.Type, Text: v.Text, References: v.References, Metadata: b.Metadata, RuleSet: b.RuleSet,
		ID: schema.NoID, Version: schema.Latest,
	}
	if b.NewVersion != nil {
		d.Version = *b.NewVersion
	}
	if d.Metadata == nil {
		d.Metadata = v.Metadata
	}
	if b.RulesToMerge != nil || b.RulesToRemove != nil {
		d.RuleSet = schema.MergeRules(v.RuleSet, b.RulesToMerge).Without(b.RulesToRemove)
	}
	if len(b.TagsToAdd)+len(b.TagsToRemove) > 0 {
		if d.Text, err = tags.Edit(v.Type, v.Text, b.TagsToAdd, b.TagsToRemove); err != nil {
			return nil, err
		}
	}
	v, err = c.h.registry.Register(c.ctx(), v.Subject, d, false)
	if err != nil {
		return nil, err
	}
	answer := plain(v)
	answer.Subject = ""
	return answer, nil
}
