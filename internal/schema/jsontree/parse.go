package jsontree

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Options of reading.
type Options struct {
	MaxDepth  int  // of nesting
	MaxValues int  // of values in all; 0 for no limit but the text's length
	Comments  bool // allow /* */ and // (Avro does)
}

// maxNumberBytes bounds one number's literal, as the registry's own parser does.
const maxNumberBytes = 1000

// indexMembersFrom is the number of members from which an object is indexed while it is read.
const indexMembersFrom = 16

// Parse reads one JSON value and nothing after it.
func Parse(text string, o Options) (*Node, error) {
	p := &parser{text: text, o: o}
	if err := p.space(); err != nil {
		return nil, err
	}
	n, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if err := p.space(); err != nil {
		return nil, err
	}
	if p.at < len(p.text) {
		return nil, p.fail("unexpected content after the end")
	}
	return n, nil
}

type parser struct {
	text   string
	at     int
	o      Options
	values int
}

// ErrLimit is wrapped by the errors of texts beyond the options' limits.
var ErrLimit = errors.New("beyond the limits")

func (p *parser) fail(format string, args ...any) error {
	return fmt.Errorf("JSON at byte %d: %s", p.at, fmt.Sprintf(format, args...))
}

func (p *parser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *parser) space() error {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			p.at++
		case c == '/' && p.o.Comments:
			if err := p.comment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (p *parser) comment() error {
	rest := p.text[p.at+1:]
	switch {
	case len(rest) > 0 && rest[0] == '/':
		for p.at < len(p.text) && p.text[p.at] != '\n' {
			p.at++
		}
		return nil
	case len(rest) > 0 && rest[0] == '*':
		for i := p.at + 2; i+1 < len(p.text); i++ {
			if p.text[i] == '*' && p.text[i+1] == '/' {
				p.at = i + 2
				return nil
			}
		}
		return p.fail("comment without end")
	default:
		return p.fail("unexpected character '/'")
	}
}

func (p *parser) value(depth int) (*Node, error) {
	if depth > p.o.MaxDepth {
		return nil, fmt.Errorf("%w: %w", ErrLimit, p.fail("nested deeper than %d", p.o.MaxDepth))
	}
	if p.values++; p.o.MaxValues > 0 && p.values > p.o.MaxValues {
		return nil, fmt.Errorf("%w: %w", ErrLimit, p.fail("more than %d values", p.o.MaxValues))
	}
	switch c := p.peek(); {
	case p.at >= len(p.text):
		return nil, p.fail("unexpected end")
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"':
		s, err := p.string()
		return &Node{Kind: String, Text: s}, err
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	default:
		return p.word()
	}
}

func (p *parser) word() (*Node, error) {
	for _, w := range []struct {
		text string
		node Node
	}{{"true", Node{Kind: Bool, Bool: true}}, {"false", Node{Kind: Bool}}, {"null", Node{Kind: Null}}} {
		if len(p.text)-p.at >= len(w.text) && p.text[p.at:p.at+len(w.text)] == w.text {
			p.at += len(w.text)
			if c := p.peek(); c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
				break
			}
			n := w.node
			return &n, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.at:])
	return nil, p.fail("unexpected character %q", r)
}

func (p *parser) object(depth int) (*Node, error) {
	n := &Node{Kind: Object, Members: []Member{}}
	var index map[string]int
	p.at++
	for first := true; ; first = false {
		if err := p.space(); err != nil {
			return nil, err
		}
		if p.peek() == '}' && first {
			p.at++
			return n, nil
		}
		if p.peek() != '"' {
			return nil, p.fail("expected the name of a member")
		}
		name, err := p.string()
		if err != nil {
			return nil, err
		}
		if err := p.space(); err != nil {
			return nil, err
		}
		if p.peek() != ':' {
			return nil, p.fail("expected ':'")
		}
		p.at++
		if err := p.space(); err != nil {
			return nil, err
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		index = n.put(index, name, v)
		if err := p.space(); err != nil {
			return nil, err
		}
		switch p.peek() {
		case ',':
			p.at++
		case '}':
			p.at++
			return n, nil
		default:
			return nil, p.fail("expected ',' or '}'")
		}
	}
}

// put sets a member: a name that is there keeps its place and takes the new value.
func (n *Node) put(index map[string]int, name string, v *Node) map[string]int {
	if index == nil && len(n.Members) >= indexMembersFrom {
		index = make(map[string]int, 2*len(n.Members))
		for i, m := range n.Members {
			index[m.Name] = i
		}
	}
	at := -1
	if index != nil {
		if i, ok := index[name]; ok {
			at = i
		}
	} else {
		for i := range n.Members {
			if n.Members[i].Name == name {
				at = i
			}
		}
	}
	if at >= 0 {
		n.Members[at].Value = v
		return index
	}
	n.Members = append(n.Members, Member{Name: name, Value: v})
	if index != nil {
		index[name] = len(n.Members) - 1
	}
	return index
}

func (p *parser) array(depth int) (*Node, error) {
	n := &Node{Kind: Array, Items: []*Node{}}
	p.at++
	for first := true; ; first = false {
		if err := p.space(); err != nil {
			return nil, err
		}
		if p.peek() == ']' && first {
			p.at++
			return n, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		n.Items = append(n.Items, v)
		if err := p.space(); err != nil {
			return nil, err
		}
		switch p.peek() {
		case ',':
			p.at++
		case ']':
			p.at++
			return n, nil
		default:
			return nil, p.fail("expected ',' or ']'")
		}
	}
}

func (p *parser) digits() int {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	return p.at - start
}

func (p *parser) number() (*Node, error) {
	start, kind := p.at, Integer
	if p.peek() == '-' {
		p.at++
	}
	leadingZero := p.peek() == '0'
	if n := p.digits(); n == 0 || leadingZero && n > 1 {
		return nil, p.fail("malformed number")
	}
	if p.peek() == '.' {
		p.at++
		kind = Fraction
		if p.digits() == 0 {
			return nil, p.fail("malformed number")
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		kind = Fraction
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if p.digits() == 0 {
			return nil, p.fail("malformed number")
		}
	}
	if p.at-start > maxNumberBytes {
		return nil, p.fail("number longer than %d digits", maxNumberBytes)
	}
	return &Node{Kind: kind, Text: p.text[start:p.at]}, nil
}

func (p *parser) string() (string, error) {
	p.at++
	start := p.at
	for p.at < len(p.text) { // the common string: no escape, valid, copied nowhere
		switch c := p.text[p.at]; {
		case c == '"':
			s := p.text[start:p.at]
			if !utf8.ValidString(s) {
				return "", p.fail("invalid UTF-8")
			}
			p.at++
			return s, nil
		case c == '\\':
			return p.escaped([]byte(p.text[start:p.at]))
		case c < 0x20:
			return "", p.fail("control character in a string")
		}
		p.at++
	}
	return "", p.fail("string without end")
}

func (p *parser) escaped(b []byte) (string, error) {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			if !utf8.Valid(b) {
				return "", p.fail("invalid UTF-8")
			}
			return string(b), nil
		case c == '\\':
			p.at++
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
		case c < 0x20:
			return "", p.fail("control character in a string")
		default:
			b = append(b, c)
			p.at++
		}
	}
	return "", p.fail("string without end")
}

func (p *parser) escape() (rune, error) {
	c := p.peek()
	p.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := p.hex4()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if p.at+1 < len(p.text) && p.text[p.at] == '\\' && p.text[p.at+1] == 'u' {
			back := p.at
			p.at += 2
			low, err := p.hex4()
			if err != nil {
				return 0, err
			}
			if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
				return full, nil
			}
			p.at = back
		}
		return utf8.RuneError, nil
	default:
		return 0, p.fail("unknown escape")
	}
}

func (p *parser) hex4() (rune, error) {
	if p.at+4 > len(p.text) {
		return 0, p.fail("unexpected end")
	}
	var r rune
	for range 4 {
		c := p.text[p.at]
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, p.fail("malformed escape")
		}
		p.at++
	}
	return r, nil
}
