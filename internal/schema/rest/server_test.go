package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/jsonschema"
	"kelp/internal/schema/protobuf"
	"kelp/internal/schema/registry"
	"kelp/internal/statelog"
	"kelp/internal/storage"
	"kelp/internal/storage/memory"
)

// server is a registry over memory behind its HTTP interface.
type server struct {
	t       testing.TB
	handler *Handler
	log     *bytes.Buffer
}

func newServer(t testing.TB) *server {
	t.Helper()
	store := memory.New()
	at := storage.Partition{Topic: [16]byte{4}}
	runner, err := statelog.Open(t.Context(), statelog.Options[*schema.Machine]{
		Log: func(ctx context.Context) (storage.Log, error) {
			if err := store.Create(ctx, at); err != nil {
				return nil, err
			}
			return store.Open(ctx, at, storage.OpenOptions{})
		},
		Fresh: schema.New,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(runner.Close)
	s := &server{t: t, log: &bytes.Buffer{}}
	s.handler = New(Options{
		Registry: registry.New(registry.Options{Steps: runner, Formats: formats()}),
		Logger:   slog.New(slog.NewTextHandler(s.log, nil)),
		Version:  "1.2.3", Revision: "abc", ClusterID: func() string { return "cluster" },
	})
	return s
}

func formats() []schema.Format {
	return []schema.Format{jsonschema.Format{}, protobuf.Format{}, avro.Format{}}
}

// call sends a request; header lines are "Name: value".
func (s *server) call(method, path, body string, header ...string) (int, string, http.Header) {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", mediaV1)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

// do sends a request that was made elsewhere.
func (s *server) do(r *http.Request) int {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Code
}

// draftOf is the body of a registration.
func draftOf(kind schema.Type, text string, references ...schema.Reference) string {
	return string(encode(struct {
		Schema     string             `json:"schema"`
		Type       schema.Type        `json:"schemaType,omitempty"`
		References []schema.Reference `json:"references,omitempty"`
	}{text, kind, references}))
}

func mustJSON(t testing.TB, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}
