package protobuf

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"kelp/internal/schema"
)

// syntaxError leaves the parser by panic and is caught by parseText: a parser of a hundred small
// steps reads better without an error behind each.
type syntaxError struct{ err error }

// reader cuts a text into words, strings and single characters.
type reader struct {
	text  string
	pos   int
	depth int
	bytes bool // escapes stand for bytes, not for characters
}

func (r *reader) fail(format string, args ...any) {
	line := 1 + strings.Count(r.text[:min(r.pos, len(r.text))], "\n")
	column := r.pos - strings.LastIndexByte(r.text[:min(r.pos, len(r.text))], '\n')
	panic(syntaxError{fmt.Errorf("%w: syntax error at %d:%d: %s", schema.ErrInvalid, line, column, fmt.Sprintf(format, args...))})
}

// enter and leave count nesting: texts come from anywhere, and the stack must not grow with them.
func (r *reader) enter() {
	if r.depth++; r.depth > schema.MaxDepth {
		r.fail("nested deeper than %d", schema.MaxDepth)
	}
}

func (r *reader) leave() { r.depth-- }

// skip passes white space and comments.
func (r *reader) skip() {
	for r.pos < len(r.text) {
		switch c := r.text[r.pos]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v':
			r.pos++
		case c == '/' && strings.HasPrefix(r.text[r.pos:], "//"):
			end := strings.IndexByte(r.text[r.pos:], '\n')
			if end < 0 {
				r.pos = len(r.text)
				return
			}
			r.pos += end + 1
		case c == '/' && strings.HasPrefix(r.text[r.pos:], "/*"):
			end := strings.Index(r.text[r.pos+2:], "*/")
			if end < 0 {
				r.fail("unterminated comment")
			}
			r.pos += end + 4
		default:
			return
		}
	}
}

func (r *reader) atEnd() bool {
	r.skip()
	return r.pos == len(r.text)
}

// peek is the next character that means something.
func (r *reader) peek() byte {
	if r.atEnd() {
		r.fail("unexpected end of file")
	}
	return r.text[r.pos]
}

// take passes c if it is next.
func (r *reader) take(c byte) bool {
	if r.peek() != c {
		return false
	}
	r.pos++
	return true
}

func (r *reader) require(c byte) {
	if !r.take(c) {
		r.fail("expected %q but was %q", c, r.char())
	}
}

// char is the whole next character, for messages.
func (r *reader) char() rune {
	c, _ := utf8.DecodeRuneInString(r.text[r.pos:])
	return c
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '.' || c == '+'
}

// word reads letters, digits, and the signs and dots of numbers and qualified names.
func (r *reader) word() string {
	r.skip()
	start := r.pos
	for r.pos < len(r.text) && wordByte(r.text[r.pos]) {
		r.pos++
	}
	if start == r.pos {
		if r.pos == len(r.text) {
			r.fail("unexpected end of file")
		}
		r.fail("expected a word but was %q", r.char())
	}
	return r.text[start:r.pos]
}

// peekWord is the next word, "" if there is none.
func (r *reader) peekWord() string {
	if r.atEnd() || !wordByte(r.text[r.pos]) {
		return ""
	}
	start := r.pos
	w := r.word()
	r.pos = start
	return w
}

// identifier reads a simple name.
func (r *reader) identifier(what string) string {
	w := r.word()
	if !isIdentifier(w) || len(w) > maxName {
		r.fail("%q is no name of a %s", shorten(w), what)
	}
	return w
}

// Limits of names: looking one up walks the parts of its package and of the declarations around it.
const (
	maxName      = 1024 // bytes
	maxNameParts = 64
)

// qualified reads a name with dots, also one with spaces around them.
func (r *reader) qualified(what string) string {
	name := r.word()
	for !r.atEnd() && (r.peek() == '.' || strings.HasSuffix(name, ".")) {
		if name += r.word(); len(name) > maxName {
			break
		}
	}
	if len(name) > maxName || strings.Count(name, ".") > maxNameParts {
		r.fail("the name of a %s has more than %d bytes or %d parts: %s", what, maxName, maxNameParts, shorten(name))
	}
	for _, part := range strings.Split(strings.TrimPrefix(name, "."), ".") {
		if !isIdentifier(part) {
			r.fail("%q is no name of a %s", name, what)
		}
	}
	return name
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// number reads an integer as protoc does: decimal, 0x hexadecimal or 0 octal.
func (r *reader) number() int {
	w := r.word()
	if w == "-" {
		w += r.word()
	}
	n, err := parseInt(w)
	if err != nil {
		r.fail("expected an integer but was %s", w)
	}
	return int(n)
}

func parseInt(w string) (int64, error) {
	if strings.ContainsAny(w, "_bBoO") && !strings.HasPrefix(strings.TrimLeft(w, "-+"), "0x") &&
		!strings.HasPrefix(strings.TrimLeft(w, "-+"), "0X") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(w, 0, 33)
}

// quoted reads a string; adjacent ones are one.
func (r *reader) quoted() string {
	var b strings.Builder
	for {
		quote := r.peek()
		if quote != '"' && quote != '\'' {
			r.fail("expected a quoted string but was %q", r.char())
		}
		r.pos++
		r.readQuoted(&b, quote)
		if r.atEnd() || r.text[r.pos] != '"' && r.text[r.pos] != '\'' {
			return b.String()
		}
	}
}

func (r *reader) readQuoted(b *strings.Builder, quote byte) {
	for r.pos < len(r.text) {
		c := r.text[r.pos]
		r.pos++
		switch c {
		case quote:
			return
		case '\\':
			r.escape(b)
		default:
			b.WriteByte(c)
		}
	}
	r.fail("unterminated string")
}

var escapes = map[byte]byte{'a': 7, 'b': 8, 'f': 12, 'n': 10, 'r': 13, 't': 9, 'v': 11}

func (r *reader) escape(b *strings.Builder) {
	if r.pos == len(r.text) {
		r.fail("unterminated string")
	}
	c := r.text[r.pos]
	switch {
	case escapes[c] != 0:
		r.pos++
		b.WriteByte(escapes[c])
	case c == 'x' || c == 'X':
		r.pos++
		r.writeEscape(b, r.digits(16, 2))
	case c >= '0' && c <= '7':
		r.writeEscape(b, r.digits(8, 3))
	case c == 'u':
		r.pos++
		b.WriteRune(rune(r.digits(16, 4)))
	case c == 'U':
		r.pos++
		b.WriteRune(rune(r.digits(16, 8)))
	default:
		r.pos++
		b.WriteByte(c)
	}
}

func (r *reader) writeEscape(b *strings.Builder, n uint64) {
	if r.bytes {
		b.WriteByte(byte(n))
	} else {
		b.WriteRune(rune(n))
	}
}

func (r *reader) digits(base, most int) uint64 {
	end := r.pos
	for end < len(r.text) && end < r.pos+most {
		if _, err := strconv.ParseUint(r.text[end:end+1], base, 8); err != nil {
			break
		}
		end++
	}
	n, err := strconv.ParseUint(r.text[r.pos:end], base, 32)
	if err != nil {
		r.fail("expected a digit in the escape of a string")
	}
	r.pos = end
	return n
}
