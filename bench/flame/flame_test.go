package flame

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

// TestDraw: stacks are counted from their root, and the graph is whole XML that shows what takes time.
func TestDraw(t *testing.T) {
	fn := func(id uint64, name string) *profile.Location {
		return &profile.Location{ID: id, Line: []profile.Line{{Function: &profile.Function{ID: id, Name: name}}}}
	}
	root, hot, rare := fn(1, "main.main"), fn(2, "kelp/internal/topic.(*Set).Get"), fn(3, "a/b/c.<rare>")
	stacks, total := fold(&profile.Profile{Sample: []*profile.Sample{
		{Location: []*profile.Location{hot, root}, Value: []int64{900, 0}},
		{Location: []*profile.Location{hot, root}, Value: []int64{90, 0}},
		{Location: []*profile.Location{rare, root}, Value: []int64{10, 0}},
	}})
	if total != 1000 || stacks["main.main;topic.(*Set).Get"] != 990 || stacks["main.main;b/c.<rare>"] != 10 {
		t.Fatalf("%v of %d", stacks, total)
	}
	svg := string(draw("load", stacks, total))
	for _, want := range []string{"topic.(*Set).Get 99.0%", "b/c.&lt;rare&gt; 1.0%", "main.main 100.0%"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s is not drawn", want)
		}
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
