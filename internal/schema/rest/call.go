package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"kelp/internal/schema"
)

// Media types of requests and answers.
const (
	mediaV1      = "application/vnd.schemaregistry.v1+json"
	mediaDefault = "application/vnd.schemaregistry+json"
	mediaJSON    = "application/json"
	mediaBytes   = "application/octet-stream"
)

// call is one request on its way.
type call struct {
	*http.Request
	h        *Handler
	name     string // of the operation
	accepted string // media type of the answer
	allow    []string
	handle   func(*call) (any, error)
	path     map[string]string // decoded parameters of the path
	values   url.Values
	context  string // prefix that /contexts/{c}/ puts before subjects
}

// ctx is the request's context, with its deadline.
func (c *call) ctx() context.Context { return c.Context() }

// negotiate picks the media type of the answer.
func (c *call) negotiate() error {
	c.accepted = mediaV1
	header := strings.Join(c.Header.Values("Accept"), ",")
	if strings.TrimSpace(header) == "" {
		return nil
	}
	best := 0.0
	found := ""
	for _, part := range strings.Split(header, ",") {
		kind, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		weight := 1.0
		if q, ok := parameters["q"]; ok {
			if weight, err = strconv.ParseFloat(q, 64); err != nil {
				weight = 0
			}
		}
		if kind == "*/*" || kind == "application/*" {
			kind = mediaV1
		}
		if weight > best && slices.Contains([]string{mediaV1, mediaDefault, mediaJSON}, kind) {
			best, found = weight, kind
		}
	}
	if found == "" {
		c.accepted = mediaJSON
		return httpError(http.StatusNotAcceptable)
	}
	c.accepted = found
	return nil
}

// write sends a body; HEAD gets only its headers.
func (c *call) write(w http.ResponseWriter, status int, body []byte) int {
	w.Header().Set("Content-Type", c.accepted)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if c.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone does not want it
	}
	return status
}

// flag reads a boolean parameter in any case; what is not true is false.
func (c *call) flag(name string) bool { return strings.EqualFold(c.values.Get(name), "true") }

// whole reads a number; what is none makes the address unknown, as with the registry's own server.
func (c *call) whole(name string, absent int) (int, error) {
	text := c.values.Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0, httpError(http.StatusNotFound)
	}
	return int(n), nil
}

// page cuts a list to the offset and limit that were asked for.
func page[T any](c *call, all []T, most int) ([]T, error) {
	offset, err := c.whole("offset", 0)
	if err != nil {
		return nil, err
	}
	limit, err := c.whole("limit", -1)
	if err != nil {
		return nil, err
	}
	if limit <= 0 || limit > most {
		limit = most
	}
	offset = min(max(offset, 0), len(all))
	all = all[offset:]
	return all[:min(limit, len(all))], nil
}

// noLimit is the page of lists that are not cut unless asked for.
const noLimit = math.MaxInt32

// id reads an id of the path.
func (c *call) id() (int32, error) {
	n, err := strconv.ParseInt(c.path["id"], 10, 32)
	if err != nil {
		return 0, httpError(http.StatusNotFound)
	}
	return int32(n), nil
}

// version reads a version of the path: a number from 1, or latest.
func (c *call) version() (int32, error) {
	text := strings.TrimSpace(c.path["version"])
	if strings.EqualFold(text, "latest") {
		return schema.Latest, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 && n != -1 {
		return 0, schema.InvalidVersion(c.path["version"])
	}
	return int32(n), nil
}

// subject is the subject of the path as the registry keeps it.
func (c *call) subject() string { return c.path["subject"] }

// body reads the JSON of a request into v, within the bounds of all bodies at a time.
func (c *call) body(v any) error {
	kind, _, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if header := c.Header.Get("Content-Type"); header != "" &&
		(err != nil || !slices.Contains([]string{mediaV1, mediaDefault, mediaJSON, mediaBytes}, kind)) {
		return httpError(http.StatusUnsupportedMediaType)
	}
	if c.ContentLength > maxBodyBytes {
		return schema.TooLarge()
	}
	size := c.ContentLength
	if size < 0 {
		size = maxBodyBytes
	}
	if err := c.h.bodies.Acquire(c.ctx(), size); err != nil {
		return &schema.Error{Code: schema.CodeTimeout, Message: "too many requests at a time"}
	}
	defer c.h.bodies.Release(size)
	text, err := io.ReadAll(io.LimitReader(c.Body, maxBodyBytes+1))
	switch {
	case err != nil:
		return &schema.Error{Code: http.StatusBadRequest, Message: "the body could not be read: " + err.Error()}
	case len(text) > maxBodyBytes:
		return schema.TooLarge()
	case len(bytes.TrimSpace(text)) == 0 || string(bytes.TrimSpace(text)) == "null":
		return &schema.Error{Code: http.StatusUnprocessableEntity, Message: "the request must not be null"}
	}
	if err := json.Unmarshal(text, v); err != nil {
		return badJSON(err)
	}
	return nil
}

func memberName(field string) string {
	if field == "" {
		return "the request"
	}
	return "the member " + field
}

// badJSON says where a body is wrong.
func badJSON(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var refusal *schema.Error
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &syntax):
		at := strconv.FormatInt(syntax.Offset, 10)
		return &schema.Error{Code: http.StatusBadRequest, Message: "Unexpected JSON at byte " + at + ": " + err.Error()}
	case errors.As(err, &kind):
		return &schema.Error{Code: http.StatusBadRequest, Message: "Cannot read " + memberName(kind.Field) + " from a JSON " + kind.Value}
	}
	return &schema.Error{Code: http.StatusBadRequest, Message: err.Error()}
}
