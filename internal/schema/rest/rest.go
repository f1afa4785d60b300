// Package rest serves the schema registry's HTTP interface: every path, parameter, status, error
// code and message of Confluent's. Its main type is [Handler]; the table of routes is in routes.go
// and is also what the OpenAPI description at /openapi.json is made of.
//
// Paths are matched in their escaped form, because a subject may contain slashes. /contexts/{c}/…
// is rewritten to qualified subjects first, then a subject's alias is followed.
//
// Invariants: what a client sends never causes a 5xx; bodies, pages and time are bounded; the
// package decides nothing: package registry does.
package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"kelp/internal/schema"
	"kelp/internal/schema/registry"
)

// Limits of requests.
const (
	maxBodyBytes   = 16 << 20 // of one request: room for a schema that is refused as too large
	maxBodiesBytes = 64 << 20 // of all requests that are being read and handled
	maxPathBytes   = 16 << 10
	requestTimeout = 30 * time.Second
)

// Options of a handler.
type Options struct {
	Registry *registry.Registry
	Logger   *slog.Logger
	Metrics  prometheus.Registerer // nil: none
	// Version and Revision are shown at /v1/metadata/version, ClusterID at /v1/metadata/id.
	Version, Revision string
	ClusterID         func() string
}

// Handler answers the registry's requests. Who may ask is for the handler around it to say.
type Handler struct {
	registry *registry.Registry
	logger   *slog.Logger
	metrics  *metrics
	routes   []route
	bodies   *semaphore.Weighted
	openAPI  []byte
	identity identity
}

// New gives a handler.
func New(o Options) *Handler {
	h := &Handler{
		registry: o.Registry, logger: o.Logger, metrics: newMetrics(o.Metrics), routes: routes(),
		bodies: semaphore.NewWeighted(maxBodiesBytes), identity: identity{o.Version, o.Revision, o.ClusterID},
	}
	h.openAPI = describe(h.routes, o.Version)
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	c := &call{h: h, Request: r.WithContext(ctx), name: "unknown"}
	status := h.answer(w, c)
	h.metrics.answered(c.name, status, time.Since(began))
}

// answer finds the route of a request, runs it and writes its result.
func (h *Handler) answer(w http.ResponseWriter, c *call) (status int) {
	var result any
	err := c.negotiate()
	if err == nil {
		result, err = h.run(c)
	}
	if len(c.allow) > 0 {
		w.Header().Set("Allow", strings.Join(c.allow, ", "))
	}
	if err != nil {
		return h.refuse(w, c, err)
	}
	switch v := result.(type) {
	case noContent:
		w.WriteHeader(http.StatusNoContent)
		return http.StatusNoContent
	case rawText:
		return c.write(w, http.StatusOK, []byte(v))
	case json.RawMessage:
		c.accepted = mediaJSON
		return c.write(w, http.StatusOK, v)
	}
	return c.write(w, http.StatusOK, encode(result))
}

// run carries out a request; a panic of a handler is ours, not the client's.
func (h *Handler) run(c *call) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			h.logger.Error("panic in a registry request", "path", c.URL.Path, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if err := c.route(); err != nil {
		return nil, err
	}
	return c.handle(c)
}

// refuse writes an error in the registry's form.
func (h *Handler) refuse(w http.ResponseWriter, c *call, err error) int {
	var refusal *schema.Error
	switch {
	case errors.As(err, &refusal):
	case errors.Is(err, context.Canceled):
		refusal = &schema.Error{Code: schema.CodeTimeout, Message: "the client went away"}
	default:
		refusal = &schema.Error{Code: http.StatusInternalServerError, Message: "Internal Server Error"}
		h.logger.Error("registry request failed", "operation", c.name, "path", c.URL.Path, "error", err)
	}
	if refusal.Code/100 == 500 {
		h.logger.Warn("registry request refused", "operation", c.name, "path", c.URL.Path, "error", err)
	}
	body := encode(errorBody{refusal.Code, refusal.Message})
	return c.write(w, statusOf(refusal.Code), body)
}

// statusOf is the HTTP status of an error code: its first three digits.
func statusOf(code int) int {
	if code < 1000 {
		return code
	}
	return code / 100
}

// httpError is a refusal that is HTTP's own.
func httpError(status int) *schema.Error {
	return &schema.Error{Code: status, Message: fmt.Sprintf("HTTP %d %s", status, http.StatusText(status))}
}
