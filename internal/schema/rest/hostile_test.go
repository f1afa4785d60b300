package rest

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"kelp/internal/schema"
)

// maxHostile is how long a refusal may take on a slow machine; without bounds these take minutes.
const maxHostile = 30 * time.Second

// Whatever a client sends is refused in the client's class, within bounded time and memory.
func TestHostileRequests(t *testing.T) {
	s := newServer(t)
	deep := func(open, shut string, n int) string {
		return strings.Repeat(open, n) + `"int"` + strings.Repeat(shut, n)
	}
	wide := func(n int) string {
		var b strings.Builder
		b.WriteString(`{"type":"record","name":"R","fields":[`)
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"name":"f%d","type":"int"}`, i)
		}
		return b.String() + "]}"
	}
	big := strings.Repeat("x", 10<<20)
	register := func(kind schema.Type, text string) string { return draftOf(kind, text) }
	f := func(name, body string, want ...int) {
		t.Helper()
		began := time.Now()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		status, answer, _ := s.call("POST", "/subjects/s/versions", body)
		runtime.ReadMemStats(&after)
		ok := false
		for _, w := range want {
			ok = ok || status == w
		}
		if took, spent := time.Since(began), after.TotalAlloc-before.TotalAlloc; !ok || took > maxHostile || spent > 1<<30 {
			t.Errorf("%s: %d after %s and %d MiB: %.300s", name, status, took, spent>>20, answer)
		}
	}
	const refused = http.StatusUnprocessableEntity
	f("10 MB of Avro", register(schema.Avro, `{"type":"record","name":"R","doc":"`+big+`","fields":[]}`), refused)
	f("10 MB of JSON Schema", register(schema.JSON, `{"title":"`+big+`"}`), refused)
	f("10 MB of Protobuf", register(schema.Protobuf, "syntax = \"proto3\"; // "+big), refused)
	f("20 MB of body", `{"schema":"`+big+big+`"}`, refused)
	f("deep Avro", register(schema.Avro, deep(`{"type":"array","items":`, "}", 5000)), refused)
	f("deep JSON Schema", register(schema.JSON, deep(`{"items":`, "}", 5000)), refused)
	messages := strings.Repeat("message M {", 5000) + strings.Repeat("}", 5000)
	f("deep Protobuf", register(schema.Protobuf, "syntax = \"proto3\";\n"+messages), refused)
	f("deep request", strings.Repeat(`{"metadata":`, 20_000), 400)
	f("deep array", strings.Repeat(`[`, 200_000), 400)
	f("wide Avro", register(schema.Avro, wide(20_000)), 200)
	branches := strings.TrimSuffix(strings.Repeat(`{"type":"array","items":"int"},`, 20_000), ",")
	f("wide union", register(schema.Avro, "["+branches+"]"), refused)
	f("regular expression", register(schema.JSON, `{"pattern":"`+strings.Repeat("(a+)+", 2000)+`$"}`), 200, refused, 409)
	f("endless number", register(schema.JSON, `{"maximum":1e999999999}`), 200, refused, 409)
	f("huge enum", register(schema.JSON, `{"enum":[`+strings.TrimSuffix(strings.Repeat("1,", 300_000), ",")+`]}`), 200, refused, 409)
	f("refers to itself", register(schema.JSON, `{"$ref":"#"}`), 200, refused, 409)
	f("refers to a file", register(schema.JSON, `{"$ref":"file:///etc/passwd"}`), refused)
	f("refers to the network", register(schema.JSON, `{"$ref":"http://127.0.0.1:1/x"}`), refused)
	f("invalid UTF-8", register(schema.Avro, "\"\xff\""), refused)
	f("null byte", register(schema.Avro, "\x00"), refused)
	f("no base64 descriptor", register(schema.Protobuf, "CgZmb28ucHJvdG8="), 200, refused, 409)
	properties := strings.Repeat(`"a":"b",`, 200_000) + `"a":"b"`
	f("metadata without end", `{"schema":"\"int\"","metadata":{"properties":{`+properties+`}}}`, 200, 409, refused)
	f("many references", func() string {
		var refs []schema.Reference
		for i := range 5000 {
			refs = append(refs, schema.Reference{Name: fmt.Sprint(i), Subject: "none", Version: 1})
		}
		return draftOf(schema.Avro, `"int"`, refs...)
	}(), refused)
	if strings.Contains(s.log.String(), "ERROR") {
		t.Error(s.log.String())
	}
}

// Odd addresses are unknown or refused, never a server's error.
func TestHostileAddresses(t *testing.T) {
	s := newServer(t)
	s.call("POST", "/subjects/s/versions", draftOf(schema.Avro, `"string"`))
	for _, path := range []string{
		"/subjects/%00/versions", "/subjects//versions", "/subjects/%2F/versions", "/subjects/%2E%2E/versions", "/subjects/:/versions",
		"/subjects/::/versions", "/subjects/:.:/versions", "/subjects/:.x/versions", "/subjects/:*:/versions",
		"/subjects/" + strings.Repeat("a", 10_000), "/subjects/" + strings.Repeat("a", 20_000) + "/versions", "/contexts//subjects",
		"/contexts/:/subjects", "/contexts/x", "/schemas/ids/-1", "/schemas/ids/99999999999", "/schemas/ids/1?subject=:.x:",
		"/schemas/guids/%00", "/subjects?offset=-5&limit=-5", "/subjects?limit=99999999999", "/subjects?deleted=perhaps", "/subjects?;",
		"/subjects/s/versions/2147483648", "/subjects/s/versions/%20latest", "/mode/:.x:", "/config/:.__GLOBAL:", "/mode/%00",
		"/schemas?subjectPrefix=%00", "/subjects/s/metadata?key=a", "/subjects/s/versions/1/referencedby?offset=9",
		"/subjects/s/versions/1?format=nonsense", "/schemas/ids/1?format=serialized&findTags=*&fetchMaxId=yes", "/", "//", "/%2F",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
			if method == "DELETE" && strings.Contains(path, "/s/") {
				continue
			}
			for _, body := range []string{"", "{}", "[]", "nonsense"} {
				if status, answer, _ := s.call(method, path, body); status >= 500 {
					t.Errorf("%s %s %q: %d %s", method, path, body, status, answer)
				}
			}
		}
	}
	if strings.Contains(s.log.String(), "ERROR") {
		t.Error(s.log.String())
	}
}

// FuzzRegister sends any text as any type, twice, and compares it with what is there.
func FuzzRegister(f *testing.F) {
	f.Add("AVRO", `{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":0}]}`)
	f.Add("PROTOBUF", "syntax = \"proto3\";\nmessage M { int32 a = 1; }\n")
	f.Add("JSON", `{"type":"object","properties":{"a":{"type":"integer"}}}`)
	f.Add("AVRO", `["null",{"type":"map","values":"R"}]`)
	f.Fuzz(func(t *testing.T, kind, text string) {
		s := newServer(t)
		body := draftOf(schema.Type(kind), text)
		first, answer, _ := s.call("POST", "/subjects/s/versions?normalize=true", body)
		again, second, _ := s.call("POST", "/subjects/s/versions?normalize=true", body)
		if first != again || first == 200 && answer != second {
			t.Fatalf("%d %s, then %d %s", first, answer, again, second)
		}
		if first >= 500 {
			t.Fatalf("%d %s", first, answer)
		}
		if first != 200 {
			return
		}
		var v versionBody
		mustJSON(t, answer, &v)
		// What the registry gives out is what it takes, as it is.
		status, echo, _ := s.call("POST", "/subjects/t/versions", draftOf(v.SchemaType, v.Schema))
		if status != 200 || !strings.Contains(echo, v.GUID) {
			t.Fatalf("the canonical text %q of %q is not taken back: %d %s", v.Schema, text, status, echo)
		}
		status, verdict, _ := s.call("POST", "/compatibility/subjects/s/versions/latest", body)
		if status != 200 || !strings.Contains(verdict, "true") {
			t.Fatalf("%q is not compatible with itself: %d %s", text, status, verdict)
		}
	})
}

// FuzzRequest sends any request.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/subjects/s/versions",
		`{"schema":"\"int\"","metadata":{"tags":{"a":["b"]}},"ruleSet":{"domainRules":[{"name":"a","type":"b"}]}}`)
	f.Add("PUT", "/config/s", `{"compatibility":"FULL","defaultMetadata":{"properties":{"a":"b"}}}`)
	f.Add("PUT", "/mode/s?force=true", `{"mode":"IMPORT"}`)
	f.Add("POST", "/subjects/s/versions/1/tags",
		`{"tagsToAdd":[{"schemaEntity":{"entityPath":"R.a","entityType":"sr_field"},"tags":["x"]}]}`)
	f.Add("GET", "/contexts/x/schemas/ids/1", "")
	f.Fuzz(func(t *testing.T, method, path, body string) {
		s := newServer(t)
		s.call("POST", "/subjects/s/versions", draftOf(schema.Avro, `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`))
		r, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, strings.NewReader(body))
		if err != nil || r.URL.Path == "" || !strings.HasPrefix(r.URL.Path, "/") {
			return // no server would see it
		}
		r.Header.Set("Content-Type", mediaV1)
		if status := s.do(r); status >= 500 {
			t.Fatalf("%d %s", status, s.log)
		}
	})
}
