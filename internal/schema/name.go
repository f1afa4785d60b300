package schema

import (
	"fmt"
	"strings"
	"unicode"
)

// Names of contexts, as the registry writes them.
const (
	DefaultContext = "."
	// GlobalContext holds the config and mode that apply where no context says otherwise.
	GlobalContext = ".__GLOBAL"
	anyContext    = "*"
	// AnyContext as a prefix of subjects means all contexts.
	AnyContext = ":*:"
)

// Limits of names.
const maxNameBytes = 4096

// Name is the name of a subject in its context. The default context is left out in writing:
// ":.team:orders" lies in ".team", "orders" and ":.:orders" in ".".
type Name struct{ Context, Subject string }

// ParseName reads a subject as clients write it.
func ParseName(s string) Name {
	switch {
	case strings.HasPrefix(s, ":."):
		context, subject, _ := strings.Cut(s[1:], ":")
		return Name{context, subject}
	case strings.HasPrefix(s, AnyContext):
		return Name{anyContext, s[len(AnyContext):]}
	}
	return Name{DefaultContext, s}
}

// Prefix is what stands before the subjects of the context: empty for the default one.
func (n Name) Prefix() string {
	if n.Context == DefaultContext {
		return ""
	}
	return ":" + n.Context + ":"
}

// String is the name under which the registry keeps the subject.
func (n Name) String() string { return n.Prefix() + n.Subject }

// Normal is the one way to write a subject.
func Normal(subject string) string { return ParseName(subject).String() }

// QualifiedBy reads a subject that another one mentions: unless it names a context it lies in that
// of its parent.
func QualifiedBy(parent, subject string) Name {
	n := ParseName(subject)
	if n.Context == DefaultContext {
		n.Context = ParseName(parent).Context
	}
	return n
}

// ContextPrefix turns a context as it stands in a path ("team", ".team", ":.team:") into the
// prefix of its subjects.
func ContextPrefix(context string) (string, error) {
	c := strings.TrimSuffix(strings.TrimPrefix(context, ":"), ":")
	if strings.Contains(c, ":") {
		return "", fmt.Errorf("Context name '%s' cannot contain a colon", c) //nolint:staticcheck // the registry's words
	}
	if !strings.HasPrefix(c, ".") {
		c = "." + c
	}
	return Name{Context: c}.Prefix(), nil
}

// CheckSubject refuses names under which nothing can be registered.
func CheckSubject(subject string) error { return checkSubject(subject, false) }

// checkSubject refuses names that cannot be used. Config and mode may be set on whole contexts.
func checkSubject(subject string, settings bool) error {
	n := ParseName(subject)
	bad := len(subject) > maxNameBytes || strings.ContainsFunc(subject, unicode.IsControl) ||
		n.Subject == "__GLOBAL" || n.Subject == "__EMPTY" || !settings && n.Context == GlobalContext
	if bad {
		return InvalidSubject(subject)
	}
	return nil
}
