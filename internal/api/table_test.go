package api

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

var update = flag.Bool("update", false, "rewrite docs/protocol.md")

func table() []Entry {
	t := New(Options{Now: time.Now})
	slices.SortFunc(t, func(a, b Entry) int { return int(a.Key) - int(b.Key) })
	return t
}

func reference() string {
	var b strings.Builder
	b.WriteString("# Keys and versions served\n\nMade from `internal/api/table.go` by `make docs`; do not edit.\n\n" +
		"| key | name | versions |\n|---|---|---|\n")
	for _, e := range table() {
		fmt.Fprintf(&b, "| %d | %s | %d–%d |\n", e.Key, e.Key.Name(), e.Min, e.Max)
	}
	return b.String()
}

func TestProtocolPageIsCurrent(t *testing.T) {
	const page = "../../docs/protocol.md"
	if *update {
		if err := os.WriteFile(page, []byte(reference()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil || string(text) != reference() {
		t.Errorf("docs/protocol.md is not what the table says (%v); run make docs", err)
	}
}

// TestEveryVersionIsRefusedInItsOwnShape: a refusal of each key and version survives the wire.
func TestEveryVersionIsRefusedInItsOwnShape(t *testing.T) {
	for _, e := range table() {
		for v := e.Min; v <= e.Max; v++ {
			req := e.Key.Request()
			if req == nil || v > req.MaxVersion() {
				t.Fatalf("%s v%d is in the table and not in kmsg", e.Key.Name(), v)
			}
			req.SetVersion(v)
			resp := e.Refuse(req, kerr.NotController)
			if resp.GetVersion() != v {
				t.Errorf("%s v%d: refused in version %d", e.Key.Name(), v, resp.GetVersion())
			}
			back := e.Key.Response()
			back.SetVersion(v)
			if err := back.ReadFrom(resp.AppendTo(nil)); err != nil {
				t.Errorf("%s v%d: %v", e.Key.Name(), v, err)
			}
		}
	}
}

func TestErrorsBecomeKafkasCodes(t *testing.T) {
	f := func(err error, code int16, withMessage bool) {
		t.Helper()
		got, message := codeOf(err)
		if got != code || (message != nil) != withMessage {
			t.Errorf("%v: code %d, message %v", err, got, message)
		}
	}
	f(nil, 0, false)
	f(kerr.InvalidTopicException, kerr.InvalidTopicException.Code, false)
	f(refuse(kerr.InvalidRequest, "because %d", 1), kerr.InvalidRequest.Code, true)
	f(fmt.Errorf("other"), kerr.UnknownServerError.Code, true)
}
