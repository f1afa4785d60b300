package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/protobuf"
	"kelp/internal/schema/registry"
	"kelp/internal/schema/rest"
	"kelp/internal/statelog"
	"kelp/internal/storage"
	"kelp/internal/storage/memory"
)

// handler is a registry over memory.
func handler(t *testing.T) http.Handler {
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
	return rest.New(rest.Options{
		Registry: registry.New(registry.Options{Steps: runner, Formats: []schema.Format{avro.Format{}, protobuf.Format{}}}),
		Logger:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// serve puts a filter before a registry: it may answer itself and says whether it did.
func serve(t *testing.T, filter func(http.ResponseWriter, *http.Request) bool) (url string, requests *atomic.Int64) {
	t.Helper()
	h := handler(t)
	requests = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if filter == nil || !filter(w, r) {
			h.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, requests
}

func open(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func avroDraft(text string) schema.Draft {
	return schema.Draft{Type: schema.Avro, Text: text, ID: schema.NoID}
}

func TestEverythingThatKelpAsks(t *testing.T) {
	url, requests := serve(t, nil)
	c := open(t, Options{URLs: []string{url}})
	ctx := t.Context()
	v, err := c.Register(ctx, "s", avroDraft(`"string"`), false)
	if err != nil || v.ID != 1 || v.Number != 1 || v.Text != `"string"` {
		t.Fatal(v, err)
	}
	same := func(what string, got *schema.Version, err error) {
		t.Helper()
		if err != nil || got.ID != v.ID || got.GUID != v.GUID || got.Text != v.Text || got.Type != schema.Avro {
			t.Errorf("%s: %+v %v", what, got, err)
		}
	}
	got, err := c.ByID(ctx, "s", 1)
	same("by id", got, err)
	got, err = c.ByGUID(ctx, v.GUID)
	if got.ID != 0 {
		t.Error("a guid alone has no id", got.ID)
	}
	v.ID = 0
	same("by guid", got, err)
	v.ID = 1
	got, err = c.Version(ctx, "s", schema.Latest)
	same("latest", got, err)
	got, err = c.Version(ctx, "s", 1)
	same("version", got, err)
	got, err = c.Lookup(ctx, "s", avroDraft(`{"type":"string"}`), false)
	same("look-up", got, err)
	before := requests.Load()
	got, err = c.ByID(ctx, "s", 1)
	same("again", got, err)
	if requests.Load() != before {
		t.Error("a remembered answer was asked for again")
	}
	verdict, err := c.Check(ctx, "s", schema.Latest, avroDraft(`"int"`))
	if err != nil || verdict.Compatible || len(verdict.Messages) == 0 || len(verdict.Findings) != 1 || verdict.Findings[0].Advice == "" {
		t.Errorf("check: %+v %v", verdict, err)
	}
	if _, err = c.Register(ctx, "s", avroDraft(`"int"`), false); schema.CodeOf(err) != schema.CodeIncompatible {
		t.Error(err)
	}
	if err := c.Health(ctx); err != nil {
		t.Error(err)
	}
}

func TestSourcesCanBeParsed(t *testing.T) {
	url, _ := serve(t, nil)
	c := open(t, Options{URLs: []string{url}})
	register := func(subject, text string, references ...schema.Reference) *schema.Version {
		t.Helper()
		d := schema.Draft{Type: schema.Protobuf, Text: text, References: references, ID: schema.NoID}
		v, err := c.Register(t.Context(), subject, d, false)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	register("a.proto", "syntax = \"proto3\";\nmessage A { map<string, int32> m = 1; }\n")
	register("b.proto", "syntax = \"proto3\";\nimport \"a.proto\";\nmessage B { A a = 1; }\n",
		schema.Reference{Name: "a.proto", Subject: "a.proto", Version: 1})
	v := register("c", "syntax = \"proto3\";\nimport \"b.proto\";\nmessage C { B b = 1; }\n",
		schema.Reference{Name: "b.proto", Subject: "b.proto", Version: 1})
	source, err := c.Source(t.Context(), v)
	if err != nil || len(source.Dependencies) != 2 || source.Dependencies[0].Name != "a.proto" {
		t.Fatal(source, err)
	}
	if _, err := (protobuf.Format{}).Parse(source); err != nil {
		t.Error(err)
	}
}

func TestAnotherAddressIsTakenAndRetriesEnd(t *testing.T) {
	failing, tries := serve(t, func(w http.ResponseWriter, _ *http.Request) bool {
		http.Error(w, `{"error_code":50001,"message":"store"}`, http.StatusInternalServerError)
		return true
	})
	url, answered := serve(t, nil)
	c := open(t, Options{URLs: []string{"http://127.0.0.1:1", failing, url}})
	if _, err := c.Register(t.Context(), "s", avroDraft(`"string"`), false); err != nil {
		t.Fatal(err)
	}
	if tries.Load() != 1 || answered.Load() != 1 {
		t.Error(tries.Load(), answered.Load())
	}
	if _, err := c.Version(t.Context(), "s", 1); err != nil || tries.Load() != 1 {
		t.Error("the address that answered is not taken first", err)
	}
	only := open(t, Options{URLs: []string{failing}, Attempts: 3})
	if _, err := only.ByID(t.Context(), "", 1); !errors.Is(err, ErrUnavailable) || tries.Load() != 4 {
		t.Error(err, tries.Load())
	}
	if _, err := only.ByID(t.Context(), "", 1); !errors.Is(err, ErrUnavailable) || tries.Load() != 7 {
		t.Error("that nobody answered was remembered", err)
	}
}

func TestARefusalIsNotRepeatedButRemembered(t *testing.T) {
	url, requests := serve(t, nil)
	c := open(t, Options{URLs: []string{url}})
	for range 3 {
		if _, err := c.ByID(t.Context(), "", 7); schema.CodeOf(err) != schema.CodeSchemaNotFound {
			t.Fatal(err)
		}
	}
	if requests.Load() != 1 {
		t.Error(requests.Load())
	}
}

func TestManyCallersMakeOneRequest(t *testing.T) {
	release := make(chan struct{})
	url, requests := serve(t, func(http.ResponseWriter, *http.Request) bool { <-release; return false })
	c := open(t, Options{URLs: []string{url}})
	var wg sync.WaitGroup
	started := make(chan struct{}, 32)
	for range 32 {
		wg.Go(func() {
			started <- struct{}{}
			if _, err := c.ByID(t.Context(), "", 1); schema.CodeOf(err) != schema.CodeSchemaNotFound {
				t.Error(err)
			}
		})
	}
	for range 32 {
		<-started
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.ByID(gone, "", 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(release)
	wg.Wait()
	if requests.Load() != 1 {
		t.Error(requests.Load())
	}
}

func TestAuthentication(t *testing.T) {
	var seen atomic.Value
	url, _ := serve(t, func(_ http.ResponseWriter, r *http.Request) bool {
		seen.Store(r.Header.Get("Authorization"))
		return false
	})
	f := func(o Options, want string) {
		t.Helper()
		if err := open(t, o).Health(t.Context()); err != nil || seen.Load() != want {
			t.Error(err, seen.Load())
		}
	}
	f(Options{URLs: []string{url}, Username: "me", Password: "secret"}, "Basic bWU6c2VjcmV0")
	f(Options{URLs: []string{url}, Token: "t0ken"}, "Bearer t0ken")
	f(Options{URLs: []string{strings.Replace(url, "http://", "http://me:secret@", 1)}}, "Basic bWU6c2VjcmV0")
}

func TestTLSWithACertificateOfItsOwn(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) != 1 {
			http.Error(w, "no certificate", http.StatusForbidden)
			return
		}
		fmt.Fprint(w, "[]")
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	if err := open(t, Options{URLs: []string{s.URL}, Attempts: 1}).Health(t.Context()); err == nil {
		t.Error("an unknown authority was believed")
	}
	config := &tls.Config{RootCAs: roots, Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12}
	if err := open(t, Options{URLs: []string{s.URL}, TLS: config}).Health(t.Context()); err != nil {
		t.Error(err)
	}
}

// Older registries answer a registration with the id alone, leave AVRO out, and know no guids.
func TestAnOlderRegistry(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/versions"):
			fmt.Fprint(w, `{"id":3}`)
		case r.Method == http.MethodPost:
			fmt.Fprint(w, `{"subject":"s","version":2,"id":3,"schema":"\"string\""}`)
		case strings.HasPrefix(r.URL.Path, "/schemas/ids/"):
			fmt.Fprint(w, `{"schema":"\"string\""}`)
		default:
			http.NotFound(w, r)
		}
		return true
	})
	c := open(t, Options{URLs: []string{url}})
	v, err := c.Register(t.Context(), "s", avroDraft(`"string"`), false)
	if err != nil || v.ID != 3 || v.Number != 2 || v.GUID.String() != "095d71cf-1255-6b9d-5e33-0ad575b3df5d" {
		t.Fatal(v, err)
	}
	v, err = c.ByID(t.Context(), "s", 3)
	if err != nil || v.ID != 3 || v.Type != schema.Avro || v.Subject != "s" {
		t.Fatal(v, err)
	}
	if _, err = c.ByGUID(t.Context(), v.GUID); !schema.IsNotFound(err) {
		t.Error(err)
	}
}

func TestAnEndlessAnswerIsGivenUp(t *testing.T) {
	url, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) bool {
		_, err := io.Copy(w, io.LimitReader(zeros{}, 2*maxAnswerBytes))
		return err == nil || err != nil
	})
	c := open(t, Options{URLs: []string{url}, Attempts: 1})
	if _, err := c.ByID(t.Context(), "", 1); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "bytes") {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

func TestTheCacheForgets(t *testing.T) {
	c := newCache(CacheOptions{Entries: 2, Bytes: 10_000}.withDefaults())
	now := time.Now()
	put := func(key string, text string, life time.Duration) {
		c.put(&entry{key: key, version: &schema.Version{Content: &schema.Content{Text: text}}, until: now.Add(life)})
	}
	has := func(key string, at time.Time, want bool) {
		t.Helper()
		if got := c.get(key, at) != nil; got != want {
			t.Errorf("%s is there: %t", key, got)
		}
	}
	put("a", "", time.Minute)
	put("b", "", time.Hour)
	has("a", now, true)
	put("c", "", time.Hour)
	has("b", now, false) // used longest ago
	has("a", now.Add(time.Minute), false)
	has("c", now, true)
	put("d", strings.Repeat("x", 9_600), time.Hour)
	has("c", now, false) // no room beside it
	if c.bytes <= 0 || c.used.Len() != len(c.byKey) {
		t.Error(c.bytes, c.used.Len(), len(c.byKey))
	}
	put("e", strings.Repeat("x", 20_000), time.Hour)
	if c.bytes != 0 || c.used.Len() != 0 {
		t.Error("more is kept than there is room for", c.bytes)
	}
}
