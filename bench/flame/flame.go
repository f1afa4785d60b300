// Package flame takes CPU profiles of a server while it works and draws them: a flame graph as SVG, and
// its stacks as lines of text, one for each, in the form that other tools read.
package flame

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// Taker takes profiles from a server's --pprof address into a folder.
type Taker struct {
	Addr string
	Dir  string
	For  time.Duration
}

// Take takes one profile and writes NAME.svg and NAME.folded.
func (t Taker) Take(ctx context.Context, name string) error {
	p, err := t.fetch(ctx)
	if err != nil {
		return fmt.Errorf("profile of %s: %w", name, err)
	}
	stacks, total := fold(p)
	if total == 0 {
		return fmt.Errorf("profile of %s: the server did nothing", name)
	}
	var text strings.Builder
	for _, s := range slices.Sorted(maps.Keys(stacks)) {
		if stacks[s]*shownOf >= total {
			fmt.Fprintf(&text, "%s %d\n", s, stacks[s])
		}
	}
	if err := os.MkdirAll(t.Dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(t.Dir, name+".folded"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.Dir, name+".svg"), draw(name, stacks, total), 0o644)
}

func (t Taker) fetch(ctx context.Context) (*profile.Profile, error) {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", t.Addr, int(t.For.Seconds()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", resp.Status, b)
	}
	return profile.Parse(bytes.NewReader(b))
}

// fold gives the samples of each stack, from its root on, in units of 10 ms.
func fold(p *profile.Profile) (stacks map[string]int64, total int64) {
	stacks = map[string]int64{}
	for _, s := range p.Sample {
		var names []string
		for _, l := range slices.Backward(s.Location) {
			for _, line := range slices.Backward(l.Line) {
				names = append(names, short(line.Function.Name))
			}
		}
		stacks[strings.Join(names, ";")] += s.Value[0]
		total += s.Value[0]
	}
	return stacks, total
}

// short leaves out the folders of a function's package.
func short(name string) string {
	front, rest := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		front, rest = name[:i], name[i+1:]
	}
	if strings.HasPrefix(front, "kelp") || front == "" {
		return rest
	}
	return filepath.Base(front) + "/" + rest
}

const (
	width     = 1200.0
	rowHeight = 16
	shownOf   = 500 // a stack of less than one part in so many is not written, a box not drawn
)

// frame is a function in one place of the graph.
type frame struct {
	name  string
	value int64
	below map[string]*frame
}

func (f *frame) add(names []string, value int64) {
	f.value += value
	if len(names) == 0 {
		return
	}
	if f.below == nil {
		f.below = map[string]*frame{}
	}
	g := f.below[names[0]]
	if g == nil {
		g = &frame{name: names[0]}
		f.below[names[0]] = g
	}
	g.add(names[1:], value)
}

// depth counts the rows that are drawn.
func (f *frame) depth(total int64) int {
	deepest := 0
	for _, g := range f.below {
		if g.value*shownOf >= total {
			deepest = max(deepest, g.depth(total))
		}
	}
	return deepest + 1
}

// draw gives the flame graph: the root above, each function as wide as the time it and those it called took.
func draw(name string, stacks map[string]int64, total int64) []byte {
	root := &frame{name: name}
	for s, value := range stacks {
		root.add(strings.Split(s, ";"), value)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" font-family="monospace" font-size="11">`+"\n",
		width, (root.depth(total)+1)*rowHeight)
	root.draw(&b, 0, 0, total)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (f *frame) draw(b *bytes.Buffer, x float64, row int, total int64) {
	w := width * float64(f.value) / float64(total)
	text := fmt.Sprintf("%s %.1f%%", f.name, 100*float64(f.value)/float64(total))
	label := text
	if most := int(w / 6.7); len(label) > most {
		label = label[:max(0, most)]
	}
	fmt.Fprintf(b, `<g><title>%s</title><rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s" stroke="#fff"/><text x="%.1f" y="%d">%s</text></g>`+"\n",
		html.EscapeString(text), x, row*rowHeight, w, rowHeight, color(f.name), x+2, row*rowHeight+12, html.EscapeString(label))
	for _, name := range slices.Sorted(maps.Keys(f.below)) {
		g := f.below[name]
		if g.value*shownOf >= total {
			g.draw(b, x, row+1, total)
		}
		x += width * float64(g.value) / float64(total)
	}
}

// color tells apart the kernel, the runtime, our own code and libraries.
func color(name string) string {
	switch {
	case strings.Contains(name, "yscall"), strings.HasPrefix(name, "unix."), strings.Contains(name, "x/sys"):
		return "#e8a06c"
	case strings.HasPrefix(name, "runtime."):
		return "#c8c8c8"
	case strings.HasPrefix(name, "embedded."), strings.HasPrefix(name, "vfs."):
		return "#8cc48c"
	case strings.HasPrefix(name, "server."), strings.HasPrefix(name, "api."), strings.HasPrefix(name, "topic."),
		strings.HasPrefix(name, "batch."), strings.HasPrefix(name, "wire."):
		return "#8cb4e0"
	default:
		return "#e0d08c"
	}
}
