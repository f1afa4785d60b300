package jsonschema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	library "github.com/santhosh-tekuri/jsonschema/v6"

	"kelp/internal/schema/jsontree"
	"kelp/internal/schema/record"
)

// validator checks documents by the library, which follows the drafts.
type validator struct {
	compiled *library.Schema
	quick    *quick
	mu       sync.Mutex // guards slow, while one document is checked; not taken when there are none
	slow     slowPatterns
}

// mainURL is where the text itself stands, for references relative to it.
const mainURL = "mem://input/schema.json"

var errFetch = errors.New("nothing is fetched: give the schema as a reference")

type noLoader struct{}

func (noLoader) Load(url string) (any, error) { return nil, fmt.Errorf("%s: %w", url, errFetch) }

func newValidator(s *Schema) (*validator, error) {
	v := &validator{slow: slowPatterns{limit: maxSlowTime}}
	err := v.compile(s, func(n *jsontree.Node) *jsontree.Node { return n })
	if err != nil && v.compile(s, mergeDefinitions) == nil {
		err = nil // references mean definitions by their other name: see mergeDefinitions
	}
	if err != nil {
		return nil, fmt.Errorf("%w: documents cannot be validated: %w", record.ErrType, err)
	}
	return v, nil
}

func (v *validator) compile(s *Schema, prepare func(*jsontree.Node) *jsontree.Node) error {
	c := library.NewCompiler()
	c.DefaultDraft(library.Draft7)
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(v.slow.compile)
	id, _ := s.tree.StringAt(s.draft.idKeyword())
	added := map[string]bool{}
	for _, d := range s.documents {
		doc, err := plainSchema(prepare(d.tree))
		if err != nil {
			return err
		}
		for _, at := range []string{resolve(mainURL, d.name), resolve(resolve(mainURL, id), d.name)} {
			if at, _ = splitFragment(at); !added[at] {
				added[at] = true
				if err := c.AddResource(at, doc); err != nil {
					return err
				}
			}
		}
	}
	doc, err := plainSchema(prepare(s.tree))
	if err != nil {
		return err
	}
	if err := c.AddResource(mainURL, doc); err != nil {
		return err
	}
	if v.compiled, err = c.Compile(mainURL); err == nil {
		v.quick = newQuick(v.compiled, map[*library.Schema]*quick{})
	}
	return err
}

// plainSchema is a text as the library takes it. An unknown $schema means draft 7.
func plainSchema(n *jsontree.Node) (any, error) {
	v, err := plain(n)
	if err != nil {
		return nil, err
	}
	if o, ok := v.(map[string]any); ok {
		if u, ok := o["$schema"].(string); ok {
			if _, known := draftURLs[bareURL(strings.TrimSuffix(u, "#"))]; !known {
				delete(o, "$schema")
			}
		}
	}
	return v, nil
}

// plain is a tree in the library's terms. Numbers are bounded: it computes with them exactly.
func plain(n *jsontree.Node) (any, error) {
	switch n.Kind {
	case jsontree.Bool:
		return n.Bool, nil
	case jsontree.String:
		return n.Text, nil
	case jsontree.Integer, jsontree.Fraction:
		if i := strings.IndexAny(n.Text, "eE"); i >= 0 {
			if e, err := strconv.Atoi(n.Text[i+1:]); err != nil || e > maxExponent || e < -maxExponent {
				return nil, fmt.Errorf("%w: the exponent of %s is beyond %d", record.ErrLimit, brief(n), maxExponent)
			}
		}
		return json.Number(n.Text), nil
	case jsontree.Array:
		out := make([]any, len(n.Items))
		for i, item := range n.Items {
			var err error
			if out[i], err = plain(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	case jsontree.Object:
		out := make(map[string]any, len(n.Members))
		for _, m := range n.Members {
			v, err := plain(m.Value)
			if err != nil {
				return nil, err
			}
			out[m.Name] = v
		}
		return out, nil
	default:
		return nil, nil
	}
}

// check validates a document.
func (v *validator) check(n *jsontree.Node) error {
	if v.slow.all == 0 && new(quickCheck).check(v.quick, n, 0) == valid {
		return nil
	}
	if !affordable(v.compiled, n) {
		return fmt.Errorf("%w: checking it takes more than %d steps", record.ErrLimit, maxVisits)
	}
	doc, err := plain(n)
	if err != nil {
		return err
	}
	if v.slow.all > 0 {
		return v.checkSlowly(doc)
	}
	return told(v.compiled.Validate(doc))
}

// checkSlowly validates a document with patterns that take from a common time.
func (v *validator) checkSlowly(doc any) (err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	defer func() {
		switch p := recover().(type) {
		case nil:
		case errSlow:
			err = fmt.Errorf("%w: %w", record.ErrLimit, p.error)
		default:
			panic(p)
		}
	}()
	v.slow.left = v.slow.limit
	return told(v.compiled.Validate(doc))
}

// told puts what the library found into the words of a codec.
func told(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", record.ErrPayload, validationText(err))
}

// validationText shortens the library's tree of causes to its leaves.
func validationText(err error) string {
	var ve *library.ValidationError
	if !errors.As(err, &ve) {
		return err.Error()
	}
	var leaves []string
	var walk func(e *library.ValidationError)
	walk = func(e *library.ValidationError) {
		if len(leaves) >= maxLeaves {
			return
		}
		if len(e.Causes) == 0 {
			leaves = append(leaves, fmt.Sprintf("at /%s: %s", strings.Join(e.InstanceLocation, "/"), leafText(e)))
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(ve)
	return strings.Join(leaves, "; ")
}

// maxLeaves bounds what one message lists.
const maxLeaves = 5

func leafText(e *library.ValidationError) string {
	return shorten(e.ErrorKind.LocalizedString(printer))
}
