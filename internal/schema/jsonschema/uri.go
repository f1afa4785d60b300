package jsonschema

import (
	"net/url"
	"strings"
)

// uri is a reference in its parts, resolved as Java's URI does (RFC 2396), because the names of
// references are matched against what that gives. Nothing is ever fetched.
type uri struct {
	scheme, authority, path, query, fragment string
	hasAuthority, hasQuery, hasFragment      bool
}

func parseURI(s string) uri {
	var u uri
	if i := strings.IndexByte(s, '#'); i >= 0 {
		u.fragment, u.hasFragment, s = s[i+1:], true, s[:i]
	}
	if i := strings.IndexByte(s, ':'); i > 0 && !strings.ContainsAny(s[:i], "/?") {
		u.scheme, s = s[:i], s[i+1:]
	}
	if i := strings.IndexByte(s, '?'); i >= 0 && (u.scheme == "" || strings.HasPrefix(s, "/")) {
		u.query, u.hasQuery, s = s[i+1:], true, s[:i]
	}
	if rest, ok := strings.CutPrefix(s, "//"); ok {
		u.hasAuthority = true
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			u.authority, s = rest[:i], rest[i:]
		} else {
			u.authority, s = rest, ""
		}
	}
	u.path = s
	return u
}

func (u uri) String() string {
	var b strings.Builder
	if u.scheme != "" {
		b.WriteString(u.scheme + ":")
	}
	if u.hasAuthority {
		b.WriteString("//" + u.authority)
	}
	b.WriteString(u.path)
	if u.hasQuery {
		b.WriteString("?" + u.query)
	}
	if u.hasFragment {
		b.WriteString("#" + u.fragment)
	}
	return b.String()
}

func (u uri) opaque() bool {
	return u.scheme != "" && !u.hasAuthority && !strings.HasPrefix(u.path, "/")
}

// resolve gives the absolute form of ref in the scope of base; an empty base changes nothing.
func resolve(base, ref string) string {
	if base == "" {
		return ref
	}
	b, r := parseURI(base), parseURI(ref)
	if r.scheme != "" || r.opaque() || b.opaque() {
		return ref
	}
	if r.hasFragment && r.path == "" && !r.hasQuery && !r.hasAuthority {
		b.fragment, b.hasFragment = r.fragment, true
		return b.String()
	}
	r.scheme = b.scheme
	if r.hasAuthority {
		return r.String()
	}
	r.authority, r.hasAuthority = b.authority, b.hasAuthority
	if !strings.HasPrefix(r.path, "/") {
		dir := ""
		if i := strings.LastIndexByte(b.path, '/'); i >= 0 {
			dir = b.path[:i+1]
		} else if b.hasAuthority {
			dir = "/"
		}
		r.path = normalizePath(dir + r.path)
	}
	return r.String()
}

// normalizePath takes "." and ".." out; a ".." with nothing before it stays.
func normalizePath(p string) string {
	if !strings.Contains(p, ".") {
		return p
	}
	absolute := strings.HasPrefix(p, "/")
	var out []string
	parts := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for i, s := range parts {
		last := i == len(parts)-1
		switch {
		case s == ".":
			if last {
				out = append(out, "")
			}
		case s == ".." && len(out) > 0 && out[len(out)-1] != "..":
			out = out[:len(out)-1]
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, s)
		}
	}
	joined := strings.Join(out, "/")
	if absolute {
		joined = "/" + joined
	}
	return joined
}

// withoutFragment cuts a reference before its '#'; the fragment keeps it.
func splitFragment(ref string) (document, fragment string) {
	if i := strings.IndexByte(ref, '#'); i >= 0 {
		return ref[:i], ref[i:]
	}
	return ref, ""
}

// unescape reads one token of a JSON pointer in a URI fragment.
func unescape(token string) string {
	if s, err := url.QueryUnescape(token); err == nil {
		token = s
	}
	return strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
}
