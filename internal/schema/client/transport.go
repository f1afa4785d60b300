package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"
)

// placeholder is the address that requests are made for; the transport puts a real one in.
const placeholder = "http://registry.invalid"

// Waits between attempts: a random part of a time that doubles.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// transport sends a request to one of several addresses. After an attempt that failed it waits a
// little and takes the next address; the one that worked is taken first the next time. Repeating is
// safe: registering the same schema again finds it.
type transport struct {
	inner    http.RoundTripper
	bases    []*url.URL
	timeout  time.Duration
	attempts int
	metrics  *metrics
	current  atomic.Int64 // index into bases
}

// RoundTrip sends a request until it is answered or the attempts are used up.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	defer func() { t.metrics.seconds.Observe(time.Since(began).Seconds()) }()
	backoff := minBackoff
	for attempt := 1; ; attempt++ {
		at := t.current.Load()
		answer, err := t.try(r, t.bases[int(at)%len(t.bases)])
		if !again(answer, err) {
			t.metrics.healthy.Set(1)
			return answer, err
		}
		t.metrics.failures.Inc()
		t.current.CompareAndSwap(at, (at+1)%int64(len(t.bases)))
		if attempt == t.attempts || r.Context().Err() != nil {
			t.metrics.healthy.Set(0)
			return answer, err
		}
		wait := time.Duration(rand.Int64N(int64(backoff)) + 1)
		if answer != nil {
			if s, bad := strconv.Atoi(answer.Header.Get("Retry-After")); bad == nil && s >= 0 {
				wait = min(time.Duration(s)*time.Second, maxBackoff)
			}
			_ = answer.Body.Close()
		}
		backoff = min(2*backoff, maxBackoff)
		if err := pause(r.Context(), wait); err != nil {
			return nil, err
		}
	}
}

// again says whether another attempt could end better.
func again(answer *http.Response, err error) bool {
	if err != nil {
		return !errors.Is(err, context.Canceled)
	}
	return answer.StatusCode >= 500 && answer.StatusCode != http.StatusNotImplemented || answer.StatusCode == http.StatusTooManyRequests
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// try sends a request to one address and reads the answer, within the time of an attempt.
func (t *transport) try(r *http.Request, base *url.URL) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), t.timeout)
	defer cancel()
	again := r.Clone(ctx)
	again.URL.Scheme, again.URL.Host, again.Host = base.Scheme, base.Host, base.Host
	again.URL.RawPath = base.EscapedPath() + r.URL.EscapedPath()
	again.URL.Path = base.Path + r.URL.Path
	if base.User != nil && again.Header.Get("Authorization") == "" {
		password, _ := base.User.Password()
		again.SetBasicAuth(base.User.Username(), password)
	}
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	answer, err := t.inner.RoundTrip(again)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }() // it is read or given up
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswerBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxAnswerBytes:
		return nil, fmt.Errorf("the registry's answer has more than %d bytes", maxAnswerBytes)
	}
	answer.Body = body(text)
	return answer, nil
}
