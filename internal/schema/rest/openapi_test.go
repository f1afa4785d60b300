package rest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The description names every route with its parameters, and everything that it refers to.
func TestOpenAPI(t *testing.T) {
	s := newServer(t)
	status, text, header := s.call("GET", "/openapi.json", "")
	if status != 200 || header.Get("Content-Type") != mediaJSON {
		t.Fatal(status, header)
	}
	var d struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Parameters  []struct{ Name, In, Description string }
		}
		Components struct{ Schemas map[string]any }
	}
	mustJSON(t, text, &d)
	for _, part := range strings.Split(text, `"$ref":"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if d.Components.Schemas[name] == nil {
			t.Errorf("component %s is missing", name)
		}
	}
	described := 0
	names := map[string]bool{}
	for _, r := range routes() {
		o, ok := d.Paths[r.path][strings.ToLower(r.method)]
		if !ok || o.OperationID != r.name || names[r.name] {
			t.Errorf("%s %s is described as %q", r.method, r.path, o.OperationID)
		}
		names[r.name] = true
		described++
		for _, name := range r.query {
			if parameters[name][0] == "" {
				t.Errorf("%s has no parameter %s", r.name, name)
			}
		}
	}
	total := 0
	for _, operations := range d.Paths {
		total += len(operations)
	}
	if total != described {
		t.Errorf("%d operations are described, %d served", total, described)
	}
}

// Every described operation is served at its path, and no other method is.
func TestEveryOperationIsServed(t *testing.T) {
	s := newServer(t)
	for _, r := range routes() {
		path := strings.NewReplacer("{version}", "1", "{id}", "1").Replace(r.path)
		path = strings.NewReplacer("{", "", "}", "").Replace(path)
		body := ""
		if r.body != "" {
			body = "{}"
		}
		if status, answer, _ := s.call(r.method, path, body); status == 405 || strings.Contains(answer, `HTTP 404`) || status >= 500 {
			t.Errorf("%s %s: %d %s", r.method, path, status, answer)
		}
		status, answer, header := s.call("TRACE", path, "")
		if allow := strings.Split(header.Get("Allow"), ", "); status != 405 || !slices.Contains(allow, r.method) {
			t.Errorf("TRACE %s: %d %s %v", path, status, answer, allow)
		}
		if r.method == "GET" {
			get, _, want := s.call("GET", path, "")
			head, none, have := s.call("HEAD", path, "")
			if get != head || none != "" || fmt.Sprint(want["Content-Length"]) != fmt.Sprint(have["Content-Length"]) {
				t.Errorf("HEAD %s: %d %q, GET gives %d", path, head, none, get)
			}
		}
	}
}
