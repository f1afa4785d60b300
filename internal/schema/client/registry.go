package client

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"kelp/internal/schema"
)

// ByID gives the schema of an id.
func (c *Client) ByID(ctx context.Context, subject string, id int32) (*schema.Version, error) {
	return c.cached(ctx, fmt.Sprintf("id %s %d", subject, id), byID, func(ctx context.Context) (*schema.Version, error) {
		query := url.Values{}
		if subject != "" {
			query.Set("subject", subject)
		}
		var b versionBody
		if err := c.do(ctx, request{http.MethodGet, "/schemas/ids/" + strconv.Itoa(int(id)), query, nil}, &b); err != nil {
			return nil, err
		}
		return b.stored(subject, id), nil
	})
}

// ByGUID gives the schema of a guid, without an id: that depends on the context. Registries that know
// no guids have none.
func (c *Client) ByGUID(ctx context.Context, g schema.GUID) (*schema.Version, error) {
	return c.cached(ctx, "guid "+g.String(), byID, func(ctx context.Context) (*schema.Version, error) {
		var b versionBody
		if err := c.do(ctx, request{http.MethodGet, "/schemas/guids/" + g.String(), nil, nil}, &b); err != nil {
			return nil, err
		}
		return b.stored("", 0), nil
	})
}

// Version gives a version of a subject, or its Latest.
func (c *Client) Version(ctx context.Context, subject string, number int32) (*schema.Version, error) {
	kind, name := byID, strconv.Itoa(int(number))
	if number == schema.Latest {
		kind, name = bySubject, "latest"
	}
	return c.cached(ctx, fmt.Sprintf("version %d %s", number, subject), kind, func(ctx context.Context) (*schema.Version, error) {
		var b versionBody
		path := "/subjects/" + url.PathEscape(subject) + "/versions/" + name
		if err := c.do(ctx, request{http.MethodGet, path, nil, nil}, &b); err != nil {
			return nil, err
		}
		return b.stored(subject, 0), nil
	})
}

// Register makes the draft a version of the subject. Older registries answer with the id alone: what
// the version is then takes a look-up.
func (c *Client) Register(ctx context.Context, subject string, d schema.Draft, normalize bool) (*schema.Version, error) {
	return c.cached(ctx, draftKey("register", subject, d, normalize), byID, func(ctx context.Context) (*schema.Version, error) {
		query := url.Values{"normalize": {strconv.FormatBool(normalize)}}
		var b versionBody
		path := "/subjects/" + url.PathEscape(subject) + "/versions"
		if err := c.do(ctx, request{http.MethodPost, path, query, bodyOf(d)}, &b); err != nil {
			return nil, err
		}
		c.cache.drop(fmt.Sprintf("version %d %s", schema.Latest, subject))
		if b.Schema != "" && b.Version > 0 {
			return b.stored(subject, b.ID), nil
		}
		return c.lookUp(ctx, subject, d, normalize)
	})
}

// Lookup finds the version of the subject that the draft is.
func (c *Client) Lookup(ctx context.Context, subject string, d schema.Draft, normalize bool) (*schema.Version, error) {
	return c.cached(ctx, draftKey("look up", subject, d, normalize), bySubject, func(ctx context.Context) (*schema.Version, error) {
		return c.lookUp(ctx, subject, d, normalize)
	})
}

func (c *Client) lookUp(ctx context.Context, subject string, d schema.Draft, normalize bool) (*schema.Version, error) {
	query := url.Values{"normalize": {strconv.FormatBool(normalize)}}
	var b versionBody
	if err := c.do(ctx, request{http.MethodPost, "/subjects/" + url.PathEscape(subject), query, bodyOf(d)}, &b); err != nil {
		return nil, err
	}
	return b.stored(subject, 0), nil
}

// draftKey names a question about a draft.
func draftKey(what, subject string, d schema.Draft, normalize bool) string {
	b, _ := json.Marshal(bodyOf(d)) // plain data
	return fmt.Sprintf("%s %t %x %s", what, normalize, sha256.Sum256(b), subject)
}

// Check compares the draft. Only another Kelp says more than its messages.
func (c *Client) Check(ctx context.Context, subject string, number int32, d schema.Draft) (schema.Verdict, error) {
	path := "/compatibility/subjects/" + url.PathEscape(subject) + "/versions"
	if number != 0 {
		path += "/" + strconv.Itoa(int(number))
	}
	if number == schema.Latest {
		path = "/compatibility/subjects/" + url.PathEscape(subject) + "/versions/latest"
	}
	var b struct {
		Compatible  bool     `json:"is_compatible"`
		Messages    []string `json:"messages"`
		Differences []struct {
			Version                                          int32
			Direction                                        schema.Direction
			Type, Path, Message, Reader, Writer, Why, Advice string
			Warning                                          bool
		} `json:"differences"`
	}
	if err := c.do(ctx, request{http.MethodPost, path, url.Values{"verbose": {"true"}}, bodyOf(d)}, &b); err != nil {
		return schema.Verdict{}, err
	}
	v := schema.Verdict{Compatible: b.Compatible, Messages: b.Messages}
	for _, f := range b.Differences {
		v.Findings = append(v.Findings, schema.Finding{Version: f.Version, Direction: f.Direction, Difference: schema.Difference{
			Type: f.Type, Path: f.Path, Warning: f.Warning, Message: f.Message, Reader: f.Reader, Writer: f.Writer, Why: f.Why, Advice: f.Advice,
		}})
	}
	return v, nil
}

// Source gives a version's text with everything that it refers to. A Protobuf text that a registry
// printed cannot always be parsed (map entries as messages): its descriptor is asked for first.
func (c *Client) Source(ctx context.Context, v *schema.Version) (schema.Source, error) {
	source := schema.Source{Text: v.Text, Stored: true}
	if v.Type == schema.Protobuf {
		var b versionBody
		query := url.Values{"format": {"serialized"}}
		if v.Subject != "" {
			query.Set("subject", v.Subject)
		}
		path := "/schemas/ids/" + strconv.Itoa(int(v.ID))
		if v.ID == 0 {
			path = "/schemas/guids/" + v.GUID.String()
		}
		err := c.do(ctx, request{http.MethodGet, path, query, nil}, &b)
		if err == nil && b.Schema != "" {
			source.Text = b.Schema
		} else if err != nil && !schema.IsNotFound(err) && schema.CodeOf(err) == 0 {
			return source, err
		}
	}
	w := walk{c: c, seen: map[string]bool{}}
	err := w.visit(ctx, v.Subject, v.References, 0)
	source.Dependencies = w.found
	return source, err
}

// walk collects what a version refers to, each text after those that it needs.
type walk struct {
	c     *Client
	seen  map[string]bool
	found []schema.Dependency
}

func (w *walk) visit(ctx context.Context, parent string, references []schema.Reference, depth int) error {
	if depth > schema.MaxDepth || len(w.seen)+len(references) > maxReferences {
		return fmt.Errorf("%w: the references reach more than %d schemas or %d levels", schema.ErrInvalid, maxReferences, schema.MaxDepth)
	}
	for _, r := range references {
		if w.seen[r.Name] {
			continue
		}
		w.seen[r.Name] = true
		subject := schema.QualifiedBy(parent, r.Subject).String()
		v, err := w.c.Version(ctx, subject, r.Version)
		if err != nil {
			return fmt.Errorf("reference %s: %w", r.Name, err)
		}
		if err := w.visit(ctx, subject, v.References, depth+1); err != nil {
			return err
		}
		w.found = append(w.found, schema.Dependency{Name: r.Name, Text: v.Text})
	}
	w.found = slices.Clip(w.found)
	return nil
}
