package rest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"kelp/internal/schema"
)

// route is one operation: how it is called, what it takes and gives, for the OpenAPI description
// too. {names} in the path stand for one segment each, which may contain escaped slashes.
type route struct {
	method, path string
	name         string // operation id, in Confluent's words where they have one
	summary      string
	query        []string // names in the table parameters
	body, result string   // component names of the OpenAPI description; empty: none
	refusals     []int
	handle       func(*call) (any, error)
}

// route finds what a request asks for: first the context is taken off the path, then a subject's
// alias is followed.
func (c *call) route() error {
	escaped := c.URL.EscapedPath()
	if len(escaped) > maxPathBytes {
		return httpError(http.StatusRequestURITooLong)
	}
	values, err := url.ParseQuery(c.URL.RawQuery)
	if err != nil {
		return &schema.Error{Code: http.StatusBadRequest, Message: "the query cannot be read: " + err.Error()}
	}
	c.values = values
	segments, err := split(escaped)
	if err != nil {
		return err
	}
	if segments, err = c.enterContext(segments); err != nil {
		return err
	}
	for i := range c.h.routes {
		r := &c.h.routes[i]
		path, ok := r.match(segments)
		if !ok {
			continue
		}
		c.allow = append(c.allow, r.method)
		if r.method == c.Method || r.method == http.MethodGet && c.Method == http.MethodHead {
			c.name, c.path, c.handle, c.allow = r.name, path, r.handle, nil
			return c.followAlias(segments)
		}
	}
	switch {
	case len(c.allow) == 0:
		return httpError(http.StatusNotFound)
	case c.Method == http.MethodOptions:
		c.allow = append(c.allow, http.MethodOptions)
		c.handle = func(*call) (any, error) { return noContent{}, nil }
		return nil
	}
	return httpError(http.StatusMethodNotAllowed)
}

// split decodes the segments of an escaped path.
func split(escaped string) ([]string, error) {
	segments := strings.Split(strings.TrimSuffix(strings.TrimPrefix(escaped, "/"), "/"), "/")
	for i, s := range segments {
		decoded, err := url.PathUnescape(s)
		if err != nil {
			return nil, httpError(http.StatusBadRequest)
		}
		segments[i] = decoded
	}
	return segments, nil
}

// enterContext rewrites /contexts/{c}/… : what follows is about the subjects of c.
func (c *call) enterContext(segments []string) ([]string, error) {
	if segments[0] != "contexts" || len(segments) < 3 {
		return segments, nil
	}
	prefix, err := schema.ContextPrefix(segments[1])
	if err != nil {
		return nil, &schema.Error{Code: http.StatusBadRequest, Message: err.Error()}
	}
	c.context = prefix
	segments = slices.Clone(segments[2:])
	first := segments[0]
	switch {
	case (first == "config" || first == "mode") && len(segments) == 1:
		if prefix != "" {
			segments = append(segments, prefix)
		}
	case (first == "config" || first == "mode" || first == "subjects") && len(segments) > 1:
		segments[1] = c.qualify(segments[1])
	case first == "compatibility" && len(segments) > 2:
		segments[2] = c.qualify(segments[2])
	case first == "schemas" && len(segments) > 1 && segments[1] == "ids":
		c.values.Set("subject", c.qualify(c.values.Get("subject")))
	}
	if len(segments) == 1 && (first == "schemas" || first == "subjects") {
		c.values.Set("subjectPrefix", c.qualify(c.values.Get("subjectPrefix")))
	}
	return segments, nil
}

// qualify puts a subject into the context of the path unless it names one.
func (c *call) qualify(subject string) string {
	if strings.HasPrefix(subject, ":.") || strings.HasPrefix(subject, schema.AnyContext) {
		return subject
	}
	return c.context + subject
}

// followAlias puts the subject that an alias stands for in its place. Config and mode are those of
// the alias itself.
func (c *call) followAlias(segments []string) error {
	var err error
	switch {
	case c.path["subject"] != "" && (segments[0] == "subjects" || segments[0] == "compatibility"):
		c.path["subject"], err = c.h.registry.Alias(c.ctx(), c.path["subject"])
		c.path["subject"] = schema.Normal(c.path["subject"])
	case segments[0] == "schemas" && c.values.Get("subject") != "":
		var subject string
		subject, err = c.h.registry.Alias(c.ctx(), c.values.Get("subject"))
		c.values.Set("subject", subject)
	}
	return err
}

// match compares a path with decoded segments.
func (r *route) match(segments []string) (map[string]string, bool) {
	pattern := strings.Split(strings.TrimPrefix(r.path, "/"), "/")
	if len(pattern) != len(segments) {
		return nil, false
	}
	var path map[string]string
	for i, p := range pattern {
		name, isParameter := strings.CutPrefix(p, "{")
		switch {
		case isParameter && segments[i] != "":
			if path == nil {
				path = map[string]string{}
			}
			path[strings.TrimSuffix(name, "}")] = segments[i]
		case isParameter || p != segments[i]:
			return nil, false
		}
	}
	if path == nil {
		path = map[string]string{}
	}
	return path, true
}
