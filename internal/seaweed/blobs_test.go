package seaweed

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kelp/internal/seaweed/filerpb"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"h:9333":           {"h", 9333, 19333},
		"10.0.0.1:8888.1":  {"10.0.0.1", 8888, 1},
		"[::1]:8888.18888": {"::1", 8888, 18888},
	} {
		got, err := ParseAddress(text)
		if err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		if again, err := ParseAddress(got.String()); err != nil || again != got {
			t.Errorf("%s: %v, %v", got, again, err)
		}
	}
	for _, text := range []string{"", "h", "h:", "h:0", "h:x", "h:1.", "h:1.70000"} {
		if a, err := ParseAddress(text); err == nil {
			t.Errorf("%q is %v", text, a)
		}
	}
}

// A volume that is full or gone costs one failed try; the next one goes to another volume.
func TestPutBlobElsewhere(t *testing.T) {
	f := newFiler(t, newMetadata(1))
	f.volumes = []*fakeVolume{newVolume(t), newVolume(t)}
	c := dialled(t, f, Options{})
	put := func() error {
		b, err := c.PutBlob(t.Context(), []byte("bytes"), true)
		if err != nil {
			return err
		}
		got := make([]byte, 3)
		if err := c.ReadBlob(t.Context(), b.FileID, 2, got); err != nil || string(got) != "tes" {
			t.Fatalf("%q, %v", got, err)
		}
		return nil
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	f.volumes[0].full = true
	if err := put(); err == nil || !strings.Contains(err.Error(), "read only") {
		t.Fatalf("a full volume: %v", err)
	}
	if err := put(); err != nil {
		t.Fatalf("after a full volume: %v", err)
	}
	f.volumes[1].CloseClientConnections()
	f.volumes[1].Listener.Close()
	f.volumes[0].full = false
	for err := put(); err == nil; err = put() {
		if len(f.volumes[0].blobs) > 1 {
			t.Fatal("went on by chance")
		}
	}
	if err := put(); err != nil {
		t.Fatalf("after a server that is gone: %v", err)
	}
}

func TestNoVolume(t *testing.T) {
	c := dialled(t, newFiler(t, newMetadata(1)), Options{Replication: "009"})
	if _, err := c.PutBlob(t.Context(), []byte("b"), false); err == nil || !strings.Contains(err.Error(), "no free volumes left") {
		t.Fatal(err)
	}
	if err := c.ReadBlob(t.Context(), "1,00", 0, make([]byte, 1)); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
}

// claims reads a token as a volume server does.
func claims(t *testing.T, header string) (fid string, expires time.Time) {
	t.Helper()
	parts := strings.Split(strings.TrimPrefix(header, "Bearer "), ".")
	if len(parts) != 3 {
		t.Fatalf("no token: %q", header)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		FID string `json:"fid"`
		Exp int64  `json:"exp"`
	}
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c.FID, time.Unix(c.Exp, 0)
}

func TestTokens(t *testing.T) {
	f := newFiler(t, newMetadata(1))
	v := f.volumes[0]
	v.auth = "from the master"
	c := dialled(t, f, Options{})
	if _, err := c.PutBlob(t.Context(), []byte("b"), false); err != nil || v.seen[0] != "Bearer from the master" {
		t.Fatal(v.seen, err)
	}
	signed := dialled(t, f, Options{Security: Security{WriteKey: []byte("w"), ReadKey: []byte("r")}})
	for range 2 { // the second id has a suffix, its token has not
		b, err := signed.PutBlob(t.Context(), []byte("b"), false)
		if err != nil {
			t.Fatal(err)
		}
		if err := signed.ReadBlob(t.Context(), b.FileID, 0, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		base, _, _ := strings.Cut(b.FileID, "_")
		for _, header := range v.seen[len(v.seen)-2:] {
			if fid, exp := claims(t, header); fid != base || time.Until(exp) > 11*time.Second || time.Until(exp) < 0 {
				t.Fatalf("%s until %s for %s", fid, exp, b.FileID)
			}
		}
	}
	// The signature of a known token, so that the form cannot drift.
	const want = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjEwMTAsImZpZCI6IjMsMDEifQ."
	if got := token([]byte("k"), "3,01_4", time.Unix(1000, 0)); !strings.HasPrefix(got, want) || len(got) != len(want)+43 {
		t.Fatal(got)
	}
}

func TestEntries(t *testing.T) {
	f := newFiler(t, newMetadata(1))
	c := dialled(t, f, Options{})
	if _, err := c.Lookup(t.Context(), root, "a"); !errors.Is(err, ErrNotFound) {
		t.Fatal(err)
	}
	e := Entry{Name: "a", Content: []byte("inline"), Blobs: []Blob{{FileID: "3,01", Bytes: 5, ETag: "x"}, {FileID: "4,02", Bytes: 7}}}
	if err := c.CreateOnce(t.Context(), root, e); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateOnce(t.Context(), root, e); !errors.Is(err, ErrExists) {
		t.Fatal(err)
	}
	got, err := c.Lookup(t.Context(), root, "a")
	if err != nil || !bytes.Equal(got.Content, e.Content) || len(got.Blobs) != 2 || got.Blobs[1] != e.Blobs[1] {
		t.Fatal(got, err)
	}
	const many = 2*listPage + 5
	for i := range many {
		f.entries[fmt.Sprintf("%s/list/%05d", root, i)] = &filerpb.Entry{Name: fmt.Sprintf("%05d", i)}
	}
	var names []string
	err = c.List(t.Context(), root+"/list", "00002", func(e Entry, _ bool) error {
		names = append(names, e.Name)
		return nil
	})
	if err != nil || len(names) != many-3 || names[0] != "00003" || !slices.IsSorted(names) {
		t.Fatal(len(names), err)
	}
	delete(f.entries, root+"/list/00000")
	f.silent = true
	if err := c.CreateOnce(t.Context(), root, Entry{Name: "b"}); !errors.Is(err, ErrUnclear) {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), root, "list"); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), root, "list"); err != nil {
		t.Fatalf("deleting what is gone: %v", err)
	}
	seen := 0
	for _, dir := range []string{root, root + "/list"} {
		if err := c.List(t.Context(), dir, "", func(Entry, bool) error { seen++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if seen != 2 {
		t.Fatalf("%d entries are there, want a and b", seen)
	}
}

func TestKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "security.toml")
	text := "[jwt.signing]\nkey = \"w\"\nexpires_after_seconds = 10\n[jwt.signing.read]\nkey = \"r\"\n[grpc]\nca = \"/ca\"\n" +
		"[grpc.client]\ncert = \"/cert\"\nkey = \"/key\"\n[https.client]\nenabled = true\nca = \"/ca2\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(key string) (string, bool) { return "from the environment", key == "WEED_JWT_SIGNING_READ_KEY" }
	got, err := ReadKeys(file, env)
	want := Keys{
		CA: "/ca", Cert: "/cert", Key: "/key", HTTPS: true, HTTPSCA: "/ca2", SigningKey: "w", ReadSigningKey: "from the environment",
	}
	if err != nil || got != want {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := got.Load(); err == nil {
		t.Fatal("certificates that are not there")
	}
	if _, err := (Keys{CA: "/ca"}).Load(); err == nil || !strings.Contains(err.Error(), "grpc.client.cert") {
		t.Fatalf("an authority alone falls back to plain text: %v", err)
	}
	if s, err := (Keys{SigningKey: "w"}).Load(); err != nil || s.GRPC != nil || string(s.WriteKey) != "w" {
		t.Fatal(s, err)
	}
	if _, err := ReadKeys(file+".none", env); err == nil {
		t.Fatal("a file that is named and not there")
	}
	if err := os.WriteFile(file, []byte("[jwt"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadKeys(file, env); err == nil {
		t.Fatal("a file that is no TOML")
	}
}
