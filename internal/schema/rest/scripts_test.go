package rest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the scripts of testdata")

// times stand in answers; they are not what the scripts are about.
var times = regexp.MustCompile(`"ts":\d+`)

// TestScripts runs testdata/*.txt against a fresh registry each: a request ("POST /subjects/a/versions
// {…}", headers in brackets before the body), a line of dashes, the status and the answer.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := newServer(t)
			var got strings.Builder
			for _, part := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
				request, _, _ := strings.Cut(part, "\n----")
				fmt.Fprintf(&got, "%s\n----\n%s\n\n", request, s.script(request))
			}
			have, want := strings.TrimSpace(got.String()), strings.TrimSpace(string(text))
			if *update {
				if err := os.WriteFile(file, []byte(have+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if have != want {
				t.Errorf("got\n%s", have)
			}
			if strings.Contains(s.log.String(), "ERROR") {
				t.Error(s.log.String())
			}
		})
	}
}

func (s *server) script(request string) string {
	lines := strings.Split(request, "\n")
	words := strings.SplitN(lines[len(lines)-1], " ", 3)
	body := ""
	var header []string
	if len(words) == 3 {
		body = words[2]
		for {
			line, rest, bracketed := strings.Cut(body, "]")
			if !bracketed || !strings.HasPrefix(line, "[") || !strings.Contains(line, ": ") {
				break
			}
			header, body = append(header, line[1:]), strings.TrimPrefix(rest, " ")
		}
	}
	status, answer, _ := s.call(words[0], words[1], body, header...)
	return fmt.Sprintf("%d %s", status, times.ReplaceAllString(answer, `"ts":0`))
}
