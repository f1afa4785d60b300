package avro

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"kelp/internal/schema/record"
)

// walker reads Avro's binary encoding, strictly: what Java lets pass (a boolean of 2, varints beyond
// their type, bytes after the end, text that is no UTF-8) is an error here. Claimed lengths and
// counts are checked against the bytes that are left before anything is done about them.
type walker struct {
	data   []byte
	pos    int
	limits record.Limits
	values int // seen so far
	empty  int // elements seen that take no bytes
}

// maxEmpty bounds the elements of a payload that take no bytes, such as nulls: nothing else bounds
// them, and a few bytes may claim any number.
const maxEmpty = 10_000

func newWalker(payload []byte, limits record.Limits) (walker, error) {
	w := walker{data: payload, limits: limits}
	if len(payload) > limits.Bytes {
		return w, fmt.Errorf("%w: more than %d bytes", record.ErrLimit, limits.Bytes)
	}
	return w, nil
}

func (w *walker) fail(format string, args ...any) error {
	return fmt.Errorf("%w: byte %d: %s", record.ErrPayload, w.pos, fmt.Sprintf(format, args...))
}

// end checks that nothing follows.
func (w *walker) end() error {
	if w.pos < len(w.data) {
		return w.fail("%d bytes after the end of the record", len(w.data)-w.pos)
	}
	return nil
}

func (w *walker) count(n int) error {
	if w.values += n; w.values > w.limits.Values {
		return fmt.Errorf("%w: more than %d values", record.ErrLimit, w.limits.Values)
	}
	return nil
}

func (w *walker) deeper(depth int) error {
	if depth > w.limits.Depth {
		return fmt.Errorf("%w: nested deeper than %d", record.ErrLimit, w.limits.Depth)
	}
	return nil
}

func (w *walker) long() (int64, error) {
	u, n := binary.Uvarint(w.data[w.pos:])
	switch {
	case n == 0:
		return 0, w.fail("the payload ends within a number")
	case n < 0:
		return 0, w.fail("a number of more than 64 bits")
	}
	w.pos += n
	return int64(u>>1) ^ -int64(u&1), nil
}

func (w *walker) int() (int32, error) {
	at := w.pos
	l, err := w.long()
	if err == nil && (l < math.MinInt32 || l > math.MaxInt32) {
		w.pos = at
		err = w.fail("an int of more than 32 bits")
	}
	return int32(l), err
}

func (w *walker) take(n int64, what string) ([]byte, error) {
	if n < 0 || n > int64(len(w.data)-w.pos) {
		return nil, w.fail("%s of %d bytes, %d are left", what, n, len(w.data)-w.pos)
	}
	b := w.data[w.pos : w.pos+int(n)]
	w.pos += int(n)
	return b, nil
}

func (w *walker) bytes() ([]byte, error) {
	n, err := w.long()
	if err != nil {
		return nil, err
	}
	return w.take(n, "bytes")
}

// text is a string; the result is a part of the payload.
func (w *walker) text() ([]byte, error) {
	n, err := w.long()
	if err != nil {
		return nil, err
	}
	at := w.pos
	b, err := w.take(n, "string")
	if err == nil && !utf8.Valid(b) {
		w.pos = at
		err = w.fail("a string that is not UTF-8")
	}
	return b, err
}

func (w *walker) boolean() (bool, error) {
	b, err := w.take(1, "boolean")
	if err != nil {
		return false, err
	}
	if b[0] > 1 {
		w.pos--
		return false, w.fail("a boolean of %d", b[0])
	}
	return b[0] == 1, nil
}

func (w *walker) float() (float32, error) {
	b, err := w.take(4, "float")
	if err != nil {
		return 0, err
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b)), nil
}

func (w *walker) double() (float64, error) {
	b, err := w.take(8, "double")
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
}

func (w *walker) symbol(n *node) (string, error) {
	at := w.pos
	i, err := w.int()
	if err != nil {
		return "", err
	}
	if i < 0 || int(i) >= len(n.symbols) {
		w.pos = at
		return "", w.fail("symbol %d of %d of enum %s", i, len(n.symbols), n.name.full())
	}
	return n.symbols[i], nil
}

func (w *walker) branch(n *node) (int, error) {
	at := w.pos
	i, err := w.long()
	if err != nil {
		return 0, err
	}
	if i < 0 || i >= int64(len(n.types)) {
		w.pos = at
		return 0, w.fail("branch %d of %d of a union", i, len(n.types))
	}
	return int(i), nil
}

// blocks calls each for every element of an array or map whose elements take least bytes or more.
func (w *walker) blocks(least int64, each func() error) error {
	for {
		n, err := w.long()
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		end := -1
		if n < 0 {
			size, err := w.long()
			if err != nil {
				return err
			}
			if size < 0 || size > int64(len(w.data)-w.pos) {
				return w.fail("a block of %d bytes, %d are left", size, len(w.data)-w.pos)
			}
			end = w.pos + int(size)
			n = -n
		}
		if err := w.claim(n, least); err != nil {
			return err
		}
		for range n {
			if err := each(); err != nil {
				return err
			}
		}
		if end >= 0 && w.pos != end {
			return w.fail("a block that is not as long as it says")
		}
	}
}

// claim checks a count of elements before they are read.
func (w *walker) claim(n, least int64) error {
	left := int64(len(w.data) - w.pos)
	if n < 0 || least > 0 && n > left/least {
		return w.fail("%d elements of at least %d bytes each, %d bytes are left", n, least, left)
	}
	if least == 0 {
		if n > maxEmpty || w.empty+int(n) > maxEmpty {
			return fmt.Errorf("%w: more than %d elements without bytes", record.ErrLimit, maxEmpty)
		}
		w.empty += int(n)
	}
	if n > int64(w.limits.Values) {
		return fmt.Errorf("%w: more than %d values", record.ErrLimit, w.limits.Values)
	}
	return w.count(int(n))
}

// skip validates one value and moves behind it. It allocates nothing.
func (w *walker) skip(n *node, depth int) (err error) {
	if err := w.deeper(depth); err != nil {
		return err
	}
	switch n.kind {
	case boolean:
		_, err = w.boolean()
	case integer:
		_, err = w.int()
	case long:
		_, err = w.long()
	case float:
		_, err = w.take(4, "float")
	case double:
		_, err = w.take(8, "double")
	case bytesKind:
		_, err = w.bytes()
	case stringKind:
		_, err = w.text()
	case fixed:
		_, err = w.take(int64(n.size), "fixed")
	case enum:
		_, err = w.symbol(n)
	case union:
		var i int
		if i, err = w.branch(n); err == nil {
			err = w.skip(n.types[i], depth+1)
		}
	case array:
		err = w.skipBlocks(n, depth)
	case mapKind:
		err = w.skipBlocks(n, depth)
	case recordKind:
		if err = w.count(len(n.fields)); err != nil {
			return err
		}
		for _, f := range n.fields {
			if err = w.skip(f.typ, depth+1); err != nil {
				return w.in(f, err)
			}
		}
	default:
	}
	return err
}

func (w *walker) skipBlocks(n *node, depth int) error {
	return w.blocks(n.elementLeast(), func() error {
		if n.kind == mapKind {
			if _, err := w.text(); err != nil {
				return err
			}
		}
		return w.skip(n.items, depth+1)
	})
}

// in says in which field an error is.
func (w *walker) in(f *field, err error) error { return fmt.Errorf("%s: %w", f.name, err) }

// elementLeast is the least number of bytes of an element of an array or an entry of a map.
func (n *node) elementLeast() int64 {
	if n.kind == mapKind {
		return 1 + n.items.least
	}
	return n.items.least
}

// maxLeast bounds the sums of least sizes: more than any payload has.
const maxLeast = math.MaxInt32

// measure works out the least number of bytes of every type that root reaches. A type that is being
// measured counts as nothing: the result is still a lower bound.
func measure(root *node) {
	seen := map[*node]bool{}
	var of func(n *node) int64
	of = func(n *node) int64 {
		if seen[n] {
			return n.least
		}
		seen[n] = true
		var least int64
		switch n.kind {
		case null:
		case float:
			least = 4
		case double:
			least = 8
		case fixed:
			least = int64(n.size)
		case array, mapKind:
			of(n.items)
			least = 1
		case union:
			for i, t := range n.types {
				if l := of(t); i == 0 || l < least {
					least = l
				}
			}
			least++
		case recordKind:
			for _, f := range n.fields {
				least = min(maxLeast, least+of(f.typ))
			}
		default:
			least = 1
		}
		n.least = min(maxLeast, least)
		return n.least
	}
	of(root)
}
