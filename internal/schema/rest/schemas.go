package rest

import "kelp/internal/schema"

func searchSchemas(c *call) (any, error) {
	f := schema.Active
	if c.flag("deleted") {
		f = schema.WithDeleted
	}
	listed, err := c.h.registry.Search(c.ctx(), c.values.Get("subjectPrefix"), f, c.flag("latestOnly"), c.flag("aliases"))
	if err != nil {
		return nil, err
	}
	ruleType := c.values.Get("ruleType")
	bodies := []versionBody{}
	for _, l := range listed {
		if ruleType != "" && !l.RuleSet.HasType(ruleType) {
			continue
		}
		b := full(l.Version)
		b.Aliases = l.Aliases
		bodies = append(bodies, b)
	}
	return page(c, bodies, maxSchemasPage)
}

func getByID(c *call) (any, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	v, err := c.h.registry.ByID(c.ctx(), c.values.Get("subject"), id)
	if err != nil {
		return nil, err
	}
	b, err := c.shown(v, byID(v))
	if err == nil && c.flag("fetchMaxId") {
		var highest int32
		highest, err = c.h.registry.MaxID(c.ctx(), v.Subject)
		b.MaxID = &highest
	}
	return b, err
}

func getTextByID(c *call) (any, error) {
	b, err := getByID(c)
	if err != nil {
		return nil, err
	}
	return rawText(b.(versionBody).Schema), nil
}

// holders lists who has the id of the path.
func (c *call) holders() ([]*schema.Version, error) {
	id, err := c.id()
	if err != nil {
		return nil, err
	}
	return c.h.registry.Holders(c.ctx(), id, c.values.Get("subject"), c.flag("deleted"))
}

func subjectsOfID(c *call) (any, error) {
	versions, err := c.holders()
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, v := range versions {
		if n := len(names); n == 0 || names[n-1] != v.Subject {
			names = append(names, v.Subject)
		}
	}
	return page(c, names, noLimit)
}

func versionsOfID(c *call) (any, error) {
	versions, err := c.holders()
	if err != nil {
		return nil, err
	}
	pairs := []subjectVersion{}
	for _, v := range versions {
		pairs = append(pairs, subjectVersion{v.Subject, v.Number})
	}
	return page(c, pairs, noLimit)
}

func getByGUID(c *call) (any, error) {
	g, ok := schema.ParseGUID(c.path["guid"])
	if !ok {
		return nil, schema.UnknownSchema(c.path["guid"])
	}
	v, err := c.h.registry.ByGUID(c.ctx(), g)
	if err != nil {
		return nil, err
	}
	b := byID(v)
	b.Subject, b.Version = "", 0
	return c.shown(v, b)
}

func idsOfGUID(c *call) (any, error) {
	g, ok := schema.ParseGUID(c.path["guid"])
	if !ok {
		return []schema.ContextID{}, nil
	}
	return c.h.registry.IDs(c.ctx(), g)
}

func listTypes(c *call) (any, error) { return c.h.registry.Types(), nil }
