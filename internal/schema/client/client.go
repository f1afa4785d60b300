// Package client speaks to an external schema registry: Confluent's, Karapace, Apicurio's
// compatible interface or another Kelp. Its main type is [Client], which the schema-aware parts of
// Kelp see as a [schema.Registry], like the embedded one.
//
// Requests go through franz-go's sr client; below it lies a transport of ours that tries several
// addresses, retries with jitter and bounds answers. Above it lies a cache: what an id stands for
// hardly ever changes, what a subject's latest version is does, and what is not there may come.
//
// Invariants: memory is bounded by entries and bytes; many callers that want one thing make one
// request; a registry that is down is told apart from one that says no, and only the latter is
// remembered.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/sr"
	"golang.org/x/sync/singleflight"

	"kelp/internal/schema"
)

// Limits of a client.
const (
	maxAnswerBytes = 16 << 20
	maxReferences  = schema.MaxDependencies
)

// ErrUnavailable is wrapped by every error that does not come from the registry itself: nobody
// answered, or with an error of the server's.
var ErrUnavailable = errors.New("the schema registry cannot be reached")

// Options of a client.
type Options struct {
	// URLs are the registry's addresses, with scheme and base path. They are tried in turn.
	URLs []string
	// Username and Password, or Token, authenticate every request.
	Username, Password, Token string
	TLS                       *tls.Config // nil: the system's roots, no certificate of our own
	// Timeout bounds one attempt, Attempts their number.
	Timeout  time.Duration
	Attempts int
	Cache    CacheOptions
	Metrics  prometheus.Registerer // nil: none
}

// withDefaults fills in what is not set.
func (o Options) withDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Attempts <= 0 {
		o.Attempts = 4
	}
	o.Cache = o.Cache.withDefaults()
	return o
}

// Client is a client of one registry.
type Client struct {
	api     *sr.Client
	retry   *transport
	cache   *cache
	flights singleflight.Group
	total   time.Duration // of a request with all its attempts
	metrics *metrics
}

var _ schema.Registry = (*Client)(nil)

// New gives a client; it makes no request yet.
func New(o Options) (*Client, error) {
	o = o.withDefaults()
	if len(o.URLs) == 0 {
		return nil, errors.New("no address of a schema registry; give a URL such as http://127.0.0.1:8081")
	}
	var bases []*url.URL
	for _, text := range o.URLs {
		u, err := url.Parse(strings.TrimSuffix(text, "/"))
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("%q is no address of a schema registry; want a URL such as http://127.0.0.1:8081", text)
		}
		bases = append(bases, u)
	}
	m := newMetrics(o.Metrics)
	inner := http.DefaultTransport.(*http.Transport).Clone()
	inner.TLSClientConfig = o.TLS
	c := &Client{
		retry: &transport{inner: inner, bases: bases, timeout: o.Timeout, attempts: o.Attempts, metrics: m},
		cache: newCache(o.Cache), total: o.Timeout*time.Duration(o.Attempts) + maxBackoff*time.Duration(o.Attempts), metrics: m,
	}
	options := []sr.ClientOpt{
		sr.URLs(placeholder), sr.UserAgent("kelp"), sr.HTTPClient(&http.Client{Transport: c.retry}),
	}
	if o.Username != "" {
		options = append(options, sr.BasicAuth(o.Username, o.Password))
	}
	if o.Token != "" {
		options = append(options, sr.BearerToken(o.Token))
	}
	var err error
	c.api, err = sr.NewClient(options...)
	return c, err
}

// Close ends idle connections.
func (c *Client) Close() { c.retry.inner.(*http.Transport).CloseIdleConnections() }

// Health asks the registry for something small.
func (c *Client) Health(ctx context.Context) error {
	var types []string
	return c.do(ctx, request{method: http.MethodGet, path: "/schemas/types"}, &types)
}

// versionBody is a version as registries show it; older ones leave much of it out.
type versionBody struct {
	Subject    string             `json:"subject"`
	Version    int32              `json:"version"`
	ID         int32              `json:"id"`
	GUID       string             `json:"guid"`
	SchemaType schema.Type        `json:"schemaType"`
	References []schema.Reference `json:"references"`
	Metadata   *schema.Metadata   `json:"metadata"`
	RuleSet    *schema.RuleSet    `json:"ruleSet"`
	Schema     string             `json:"schema"`
	Ts         int64              `json:"ts"`
	Deleted    bool               `json:"deleted"`
}

// stored turns an answer into a version. What the answer leaves out comes from the question.
func (b *versionBody) stored(subject string, id int32) *schema.Version {
	if b.SchemaType == "" {
		b.SchemaType = schema.Avro
	}
	if b.Subject == "" {
		b.Subject = subject
	}
	if b.ID == 0 {
		b.ID = id
	}
	content := &schema.Content{
		ID: b.ID, Type: b.SchemaType, Text: b.Schema, References: b.References, Metadata: b.Metadata, RuleSet: b.RuleSet,
	}
	if g, ok := schema.ParseGUID(b.GUID); ok {
		content.GUID = g
	} else {
		content.GUID = content.Sum()
	}
	return &schema.Version{Content: content, Subject: b.Subject, Number: b.Version, Deleted: b.Deleted, TimestampMs: b.Ts}
}

type draftBody struct {
	Schema     string             `json:"schema"`
	SchemaType schema.Type        `json:"schemaType,omitempty"`
	References []schema.Reference `json:"references,omitempty"`
	Metadata   *schema.Metadata   `json:"metadata,omitempty"`
	RuleSet    *schema.RuleSet    `json:"ruleSet,omitempty"`
	ID         *int32             `json:"id,omitempty"`
	Version    int32              `json:"version,omitempty"`
}

func bodyOf(d schema.Draft) draftBody {
	b := draftBody{
		Schema: d.Text, SchemaType: d.Type, References: d.References, Metadata: d.Metadata, RuleSet: d.RuleSet, Version: d.Version,
	}
	if b.SchemaType == schema.Avro {
		b.SchemaType = "" // older registries know no other name for it
	}
	if d.ID >= 0 {
		b.ID = &d.ID
	}
	return b
}

// request is one call of the registry; its path is escaped.
type request struct {
	method, path string
	query        url.Values
	body         any // nil: none
}

// do sends a request, reads its answer into a value and puts errors into our terms.
func (c *Client) do(ctx context.Context, r request, into any) error {
	if len(r.query) > 0 {
		ctx = sr.WithParams(ctx, sr.RawParams(r.query))
	}
	err := c.api.Do(ctx, r.method, r.path, r.body, into)
	var answer *sr.ResponseError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer) && answer.StatusCode < 500 && answer.StatusCode != http.StatusTooManyRequests:
		code := answer.ErrorCode
		if code == 0 || code/100 != answer.StatusCode && code != answer.StatusCode {
			code = answer.StatusCode
		}
		return &schema.Error{Code: code, Message: answer.Message}
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err // its address is the placeholder
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
