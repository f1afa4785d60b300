package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"kelp/internal/schema"
)

// Subjects lists subjects with a prefix, soft-deleted ones too if asked to.
func (c *Client) Subjects(ctx context.Context, prefix string, deleted bool) ([]string, error) {
	query := url.Values{"deleted": {strconv.FormatBool(deleted)}}
	if prefix != "" {
		query.Set("subjectPrefix", prefix)
	}
	var names []string
	return names, c.do(ctx, request{http.MethodGet, "/subjects", query, nil}, &names)
}

// Versions lists the versions of a subject; one that is not there has none.
func (c *Client) Versions(ctx context.Context, subject string) ([]int32, error) {
	numbers, err := c.ListVersions(ctx, subject, false)
	if schema.IsNotFound(err) {
		return nil, nil
	}
	return numbers, err
}

// ListVersions lists the versions of a subject, soft-deleted ones too if asked to.
func (c *Client) ListVersions(ctx context.Context, subject string, deleted bool) ([]int32, error) {
	var numbers []int32
	query := url.Values{"deleted": {strconv.FormatBool(deleted)}}
	return numbers, c.do(ctx, request{http.MethodGet, "/subjects/" + url.PathEscape(subject) + "/versions", query, nil}, &numbers)
}

func permanently(permanent bool) url.Values {
	if !permanent {
		return nil // older registries refuse what they do not know
	}
	return url.Values{"permanent": {"true"}}
}

// DeleteSubject deletes all versions of a subject and gives their numbers.
func (c *Client) DeleteSubject(ctx context.Context, subject string, permanent bool) ([]int32, error) {
	var numbers []int32
	err := c.do(ctx, request{http.MethodDelete, "/subjects/" + url.PathEscape(subject), permanently(permanent), nil}, &numbers)
	return numbers, err
}

// DeleteVersion deletes a version and gives its number.
func (c *Client) DeleteVersion(ctx context.Context, subject string, number int32, permanent bool) (int32, error) {
	name := strconv.Itoa(int(number))
	if number == schema.Latest {
		name = "latest"
	}
	path := "/subjects/" + url.PathEscape(subject) + "/versions/" + name
	return number, c.do(ctx, request{http.MethodDelete, path, permanently(permanent), nil}, &number)
}

// at is the path of a setting: of all subjects with an empty name.
func at(setting, subject string) string {
	if subject == "" {
		return "/" + setting
	}
	return "/" + setting + "/" + url.PathEscape(subject)
}

var inForce = url.Values{"defaultToGlobal": {"true"}}

// Config gives the config in force for a subject.
func (c *Client) Config(ctx context.Context, subject string) (schema.Config, error) {
	var config schema.Config
	err := c.do(ctx, request{http.MethodGet, at("config", subject), inForce, nil}, &config)
	return config, err
}

// SetLevel sets the compatibility level of a subject.
func (c *Client) SetLevel(ctx context.Context, subject string, l schema.Level) error {
	return c.do(ctx, request{http.MethodPut, at("config", subject), nil, map[string]schema.Level{"compatibility": l}}, nil)
}

// DeleteConfig removes the config of a subject.
func (c *Client) DeleteConfig(ctx context.Context, subject string) error {
	return c.do(ctx, request{http.MethodDelete, at("config", subject), nil, nil}, nil)
}

// Mode gives the mode in force for a subject.
func (c *Client) Mode(ctx context.Context, subject string) (schema.Mode, error) {
	var b struct{ Mode schema.Mode }
	err := c.do(ctx, request{http.MethodGet, at("mode", subject), inForce, nil}, &b)
	return b.Mode, err
}

// SetMode sets the mode of a subject.
func (c *Client) SetMode(ctx context.Context, subject string, m schema.Mode, force bool) error {
	query := url.Values{}
	if force {
		query.Set("force", "true")
	}
	return c.do(ctx, request{http.MethodPut, at("mode", subject), query, map[string]schema.Mode{"mode": m}}, nil)
}

// DeleteMode removes the mode of a subject.
func (c *Client) DeleteMode(ctx context.Context, subject string) error {
	return c.do(ctx, request{http.MethodDelete, at("mode", subject), nil, nil}, nil)
}
