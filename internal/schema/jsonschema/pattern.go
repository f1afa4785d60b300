package jsonschema

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
	library "github.com/santhosh-tekuri/jsonschema/v6"
)

// Limits of what RE2 cannot express: it is matched by backtracking, which takes time without bound.
const (
	maxSlowTime  = time.Second // for all such patterns on one document
	maxSlowBytes = 64 << 10    // of a text that one is matched against
	maxSlowStack = 1 << 20     // places to go back to
)

// slowPatterns are the patterns of one schema that need look-around, back references and the like. Documents of such
// a schema are checked one after the other, as the library tells a pattern nothing of the document it is asked about.
type slowPatterns struct {
	all   int
	limit time.Duration // for one document
	left  time.Duration // of the document that is being checked
}

// errSlow is thrown through the library, which knows only whether a text matches.
type errSlow struct{ error }

// compile gives the library linear-time expressions where they can be had.
func (s *slowPatterns) compile(pattern string) (library.Regexp, error) {
	fast, err := compilePattern(pattern)
	if err != nil {
		return nil, err
	}
	if fast != nil {
		return fast, nil
	}
	slow, err := compileSlow(pattern)
	if err != nil {
		return nil, err
	}
	s.all++
	return &slowPattern{slow, s}, nil
}

// compileSlow reads a pattern as ECMA 262 has it, with the u flag unless it is only valid without, or else as Java and
// .NET have it, as the registry takes those too.
func compileSlow(pattern string) (*regexp2.Regexp, error) {
	var first error
	for _, options := range []regexp2.RegexOptions{regexp2.ECMAScript | regexp2.Unicode, regexp2.ECMAScript, regexp2.None} {
		re, err := regexp2.Compile(pattern, options, regexp2.OptionMaxBacktrackingStackSize(maxSlowStack))
		if err == nil {
			return re, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("pattern %q cannot be matched: %w", pattern, first)
}

type slowPattern struct {
	re    *regexp2.Regexp
	state *slowPatterns
}

func (p *slowPattern) String() string { return p.re.String() }

// MatchString takes from the document's time and throws when that is used up.
func (p *slowPattern) MatchString(text string) bool {
	if len(text) > maxSlowBytes {
		panic(errSlow{fmt.Errorf("pattern %q needs backtracking and is not matched against more than %d bytes", p.re, maxSlowBytes)})
	}
	p.re.MatchTimeout = max(p.state.left, 1)
	began := time.Now()
	matches, err := p.re.MatchString(text)
	p.state.left -= time.Since(began)
	if err != nil || p.state.left <= 0 {
		panic(errSlow{fmt.Errorf("pattern %q: patterns that need backtracking took more than %v", p.re, p.state.limit)})
	}
	return matches
}

// compilePattern compiles for matching property names; nil without an error for what RE2 cannot
// express (look-around, back references), which the registry's Java accepts.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPatternBytes {
		return nil, fmt.Errorf("pattern has more than %d bytes", maxPatternBytes)
	}
	re, err := regexp.Compile(translatePattern(pattern))
	if err == nil {
		return re, nil
	}
	if beyondRE2(pattern) {
		return nil, nil
	}
	return nil, fmt.Errorf("invalid pattern %q: %w", pattern, err)
}

// maxPatternBytes bounds one regular expression; RE2 bounds the program that it becomes.
const maxPatternBytes = 16 << 10

func beyondRE2(pattern string) bool {
	for _, mark := range []string{
		"(?=", "(?!", "(?<=", "(?<!", "(?>", `\1`, `\2`, `\3`, `\4`, `\5`, `\6`, `\7`, `\8`, `\9`, `\k<`,
		"++", "*+", "?+", "}+", `\p{`, `\P{`, `\c`, `\R`, `\X`, `\G`, `\Z`, "&&", "{",
	} {
		if strings.Contains(pattern, mark) {
			return true
		}
	}
	return false
}

// translatePattern writes code points as RE2 spells them.
func translatePattern(pattern string) string {
	if !strings.Contains(pattern, `\u`) {
		return pattern
	}
	var b strings.Builder
	for i := 0; i < len(pattern); i++ {
		if pattern[i] != '\\' || i+1 >= len(pattern) {
			b.WriteByte(pattern[i])
			continue
		}
		if pattern[i+1] == 'u' && i+5 < len(pattern) {
			if _, err := strconv.ParseUint(pattern[i+2:i+6], 16, 32); err == nil {
				b.WriteString(`\x{` + pattern[i+2:i+6] + `}`)
				i += 5
				continue
			}
		}
		b.WriteString(pattern[i : i+2])
		i++
	}
	return b.String()
}
