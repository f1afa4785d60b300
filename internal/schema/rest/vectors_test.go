package rest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kelp/internal/schema"
)

// The vectors lie with the formats; here they go through the whole registry.
var vectorFiles = map[schema.Type]string{
	schema.Avro:     "../avro/testdata/compat_avro.json",
	schema.JSON:     "../jsonschema/testdata/compat_json.json",
	schema.Protobuf: "../protobuf/testdata/compat_protobuf.json",
}

var histories = []string{
	"../avro/testdata/transitive.json", "../jsonschema/testdata/transitive.json", "../protobuf/testdata/compat_transitive.json",
}

type vectorRef struct{ Name, Schema string }

type vector struct {
	Name, Old, New string
	Format         schema.Type
	OldRefs        []vectorRef `json:"old_refs"`
	NewRefs        []vectorRef `json:"new_refs"`
	Expect         map[string]struct {
		Compatible bool
		Types      []string
	}
}

func readVectors(t testing.TB, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(file, err)
	}
}

// register registers a text under a subject and its references under names of their own.
func (s *server) register(subject string, kind schema.Type, text string, refs []vectorRef) []schema.Reference {
	s.t.Helper()
	references := s.references(subject, kind, refs)
	at := "/subjects/" + url.PathEscape(subject) + "/versions"
	if status, answer, _ := s.call("POST", at, draftOf(kind, text, references...)); status != 200 {
		s.t.Fatalf("%s: %d %s", subject, status, answer)
	}
	return references
}

func (s *server) references(subject string, kind schema.Type, refs []vectorRef) []schema.Reference {
	s.t.Helper()
	var known []schema.Reference
	for _, r := range refs {
		at := subject + "/" + r.Name
		status, answer, _ := s.call("POST", "/subjects/"+url.PathEscape(at)+"/versions", draftOf(kind, r.Schema, known...))
		if status != 200 {
			s.t.Fatalf("%s: %d %s", at, status, answer)
		}
		known = append(known, schema.Reference{Name: r.Name, Subject: at, Version: 1})
	}
	return known
}

var errorType = regexp.MustCompile(`errorType:['"]([A-Z_0-9]+)['"]`)

// Every pair of the vectors gives the verdict and the types of differences that Confluent's registry
// gave, at every level and policy.
func TestVectors(t *testing.T) {
	for kind, file := range vectorFiles {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			var all []vector
			readVectors(t, file, &all)
			s := newServer(t)
			for i, v := range all {
				s.t = t
				subject := fmt.Sprintf("case-%d", i)
				s.register(subject, kind, v.Old, v.OldRefs)
				newRefs := s.references(subject+"-new", kind, v.NewRefs)
				for at, want := range v.Expect {
					level, policy, lenient := strings.Cut(at, "/")
					if !lenient {
						policy = "STRICT"
					}
					s.call("PUT", "/config/"+subject, fmt.Sprintf(`{"compatibility":%q,"compatibilityPolicy":%q}`, level, policy))
					path := "/compatibility/subjects/" + subject + "/versions/latest?verbose=true"
					status, answer, _ := s.call("POST", path, draftOf(kind, v.New, newRefs...))
					var got levelBody
					mustJSON(t, answer, &got)
					types := []string{}
					if got.Messages != nil {
						for _, m := range errorType.FindAllStringSubmatch(strings.Join(*got.Messages, "\n"), -1) {
							types = append(types, m[1])
						}
					}
					slices.Sort(types)
					types = slices.Compact(types)
					if status != 200 || got.Compatible != want.Compatible || !slices.Equal(types, append([]string{}, want.Types...)) {
						t.Errorf("%s %s: %d %t %v, want %t %v\n%s", v.Name, at, status, got.Compatible, types, want.Compatible, want.Types, answer)
					}
				}
			}
		})
	}
}

// Every history gives the verdict of every level, as a comparison and as a registration.
func TestHistories(t *testing.T) {
	type history struct {
		Name, New string
		Format    schema.Type
		History   []string
		Expect    map[schema.Level]bool
	}
	for _, file := range histories {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			var all []history
			readVectors(t, file, &all)
			s := newServer(t)
			for i, h := range all {
				for level, want := range h.Expect {
					subject := fmt.Sprintf("case-%d-%s", i, level)
					s.call("PUT", "/config/"+subject, `{"compatibility":"NONE"}`)
					for _, text := range h.History {
						s.register(subject, h.Format, text, nil)
					}
					s.call("PUT", "/config/"+subject, fmt.Sprintf(`{"compatibility":%q}`, level))
					_, answer, _ := s.call("POST", "/compatibility/subjects/"+subject+"/versions", draftOf(h.Format, h.New))
					var got levelBody
					mustJSON(t, answer, &got)
					status, refusal, _ := s.call("POST", "/subjects/"+subject+"/versions", draftOf(h.Format, h.New))
					if got.Compatible != want || (status == 200) != want || !want && !strings.Contains(refusal, `"error_code":40901`) {
						t.Errorf("%s %s: %s and %d %s, want %t", h.Name, level, answer, status, refusal, want)
					}
				}
			}
		})
	}
}
