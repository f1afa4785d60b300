package rest

import (
	"errors"

	"kelp/internal/schema"
	"kelp/internal/schema/registry"
	"kelp/internal/schema/tags"
)

// maxVersionsPage and the others are the registry's own default pages.
const maxSchemasPage = 1000

func (c *call) filter() schema.Filter {
	return schema.FilterOf(c.flag("deleted"), c.flag("deletedOnly"))
}

func listSubjects(c *call) (any, error) {
	prefix := schema.AnyContext
	if c.values.Has("subjectPrefix") {
		prefix = c.values.Get("subjectPrefix")
	}
	names, err := c.h.registry.Subjects(c.ctx(), prefix, c.filter())
	if err != nil {
		return nil, err
	}
	return page(c, names, noLimit)
}

func listVersions(c *call) (any, error) {
	f := c.filter()
	negative := c.flag("deletedAsNegative")
	if negative {
		f = schema.WithDeleted
	}
	versions, err := c.h.registry.Versions(c.ctx(), c.subject(), f)
	if err != nil {
		return nil, err
	}
	numbers := []int32{}
	for _, v := range versions {
		if negative && v.Deleted {
			numbers = append(numbers, -v.Number)
		} else {
			numbers = append(numbers, v.Number)
		}
	}
	return page(c, numbers, noLimit)
}

func getVersion(c *call) (any, error) {
	number, err := c.version()
	if err != nil {
		return nil, err
	}
	v, err := c.h.registry.FindVersion(c.ctx(), c.subject(), number, c.flag("deleted"))
	if err != nil {
		return nil, err
	}
	b := full(v)
	return c.shown(v, b)
}

// shown finishes an answer: the text in the form asked for, references qualified, tags found.
func (c *call) shown(v *schema.Version, b versionBody) (versionBody, error) {
	var err error
	if b.Schema, err = c.h.registry.View(c.ctx(), v, c.values.Get("format")); err != nil {
		return b, err
	}
	if c.values.Get("referenceFormat") == "qualified" {
		references := make([]schema.Reference, len(v.References))
		for i, r := range v.References {
			references[i] = r
			references[i].Subject = schema.QualifiedBy(v.Subject, r.Subject).String()
		}
		b.References = references
	}
	if wanted := c.values["findTags"]; len(wanted) > 0 {
		b.SchemaTags, err = tags.Find(v.Type, v.Text, wanted)
	}
	return b, err
}

func getVersionText(c *call) (any, error) {
	b, err := getVersion(c)
	if err != nil {
		return nil, err
	}
	return rawText(b.(versionBody).Schema), nil
}

func referencedBy(c *call) (any, error) {
	number, err := c.version()
	if err != nil {
		return nil, err
	}
	ids, err := c.h.registry.ReferencedBy(c.ctx(), c.subject(), number, c.flag("deleted"))
	if err != nil {
		return nil, err
	}
	return page(c, ids, maxSchemasPage)
}

func register(c *call) (any, error) {
	var b draftBody
	if err := c.body(&b); err != nil {
		return nil, err
	}
	d, err := c.tagged(&b)
	if err != nil {
		return nil, err
	}
	v, err := c.h.registry.RegisterForced(c.ctx(), c.subject(), d, c.flag("normalize"), c.flag("force"))
	if err != nil {
		return nil, err
	}
	answer := plain(v)
	answer.Subject = ""
	answer.Schema, err = c.h.registry.View(c.ctx(), v, c.values.Get("format"))
	return answer, err
}

// tagged is the draft of a registration with its tags added and removed.
func (c *call) tagged(b *draftBody) (schema.Draft, error) {
	d := b.draft()
	var err error
	if b.PropagateSchemaTags {
		if d.Text, err = c.propagate(d); err != nil {
			return d, err
		}
	}
	if len(b.SchemaTagsToAdd) == 0 && len(b.SchemaTagsToRemove) == 0 {
		return d, nil
	}
	d.Text, err = tags.Edit(d.Type, d.Text, b.SchemaTagsToAdd, b.SchemaTagsToRemove)
	if d.Version == 0 {
		d.Version = schema.Latest // so that the version is noted in the metadata
	}
	return d, err
}

// propagate copies the tags of the latest version into a text.
func (c *call) propagate(d schema.Draft) (string, error) {
	latest, err := c.h.registry.Version(c.ctx(), c.subject(), schema.Latest)
	if schema.IsNotFound(err) || err == nil && latest.Type != d.Type {
		return d.Text, nil
	}
	if err != nil {
		return "", err
	}
	found, err := tags.Find(latest.Type, latest.Text, []string{"*"})
	if err != nil || len(found) == 0 {
		return d.Text, err
	}
	return tags.Edit(d.Type, d.Text, found, nil)
}

func lookUp(c *call) (any, error) {
	var b draftBody
	if err := c.body(&b); err != nil {
		return nil, err
	}
	v, err := c.h.registry.LookupDeleted(c.ctx(), c.subject(), b.draft(), c.flag("normalize"), c.flag("deleted"))
	if err != nil {
		return nil, err
	}
	answer := plain(v)
	answer.Schema, err = c.h.registry.View(c.ctx(), v, c.values.Get("format"))
	return answer, err
}

func withMetadata(c *call) (any, error) {
	keys, values := c.values["key"], c.values["value"]
	properties := map[string]string{}
	for i := range min(len(keys), len(values)) {
		properties[keys[i]] = values[i]
	}
	v, err := c.h.registry.WithMetadata(c.ctx(), c.subject(), properties, c.flag("deleted"))
	if err != nil {
		return nil, err
	}
	return c.shown(v, full(v))
}

func deleteSubject(c *call) (any, error) {
	return c.h.registry.DeleteSubject(c.ctx(), c.subject(), c.flag("permanent"))
}

func deleteVersion(c *call) (any, error) {
	number, err := c.version()
	if err != nil {
		return nil, err
	}
	return c.h.registry.DeleteVersion(c.ctx(), c.subject(), number, c.flag("permanent"))
}

func checkVersion(c *call) (any, error) {
	number, err := c.version()
	if err != nil {
		return nil, err
	}
	return check(c, number)
}

func checkSubject(c *call) (any, error) { return check(c, 0) }

func check(c *call, number int32) (any, error) {
	var b draftBody
	if err := c.body(&b); err != nil {
		return nil, err
	}
	verbose := c.flag("verbose")
	verdict, plan, err := c.h.registry.CheckPlanned(c.ctx(), c.subject(), number, b.draft(), registry.CheckOptions{
		Normalize: c.flag("normalize"), Plan: verbose,
	})
	var refusal *schema.Error
	if verbose && errors.As(err, &refusal) && refusal.Code == schema.CodeInvalidSchema {
		return levelBody{Messages: &[]string{refusal.Message}}, nil
	}
	if err != nil {
		return nil, err
	}
	answer := levelBody{Compatible: verdict.Compatible}
	if !verbose {
		return answer, nil
	}
	messages := append([]string{}, verdict.Messages...)
	answer.Messages = &messages
	for _, f := range verdict.Findings {
		answer.Differences = append(answer.Differences, differenceBody{
			Version: f.Version, Direction: f.Direction, Type: f.Type, Path: f.Path, Warning: f.Warning,
			Message: f.Sentence(b.draft().Type), Reader: f.Reader, Writer: f.Writer, Why: f.Why, Advice: f.Advice,
		})
	}
	if plan != nil {
		answer.Migration = &migrationBody{plan.Holds, plan.Strongest, plan.First, plan.Steps}
	}
	return answer, nil
}
