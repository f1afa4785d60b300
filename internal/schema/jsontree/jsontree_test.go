package jsontree

import (
	"errors"
	"strings"
	"testing"
)

func TestPrintsAsJavaDoes(t *testing.T) {
	for _, c := range []struct{ in, doubles, decimals string }{
		{` { "b" : [ 1 , -0 , true , null ] , "a" : "x" } `, `{"b":[1,0,true,null],"a":"x"}`, `{"b":[1,0,true,null],"a":"x"}`},
		{`{"a":1,"b":2,"a":3}`, `{"a":3,"b":2}`, `{"a":3,"b":2}`},
		{`"\u0041\/\u00e9\ud83d\ude00\u0001\b\f\n\r\t\"\\"`, `"A/é😀\u0001\b\f\n\r\t\"\\"`, `"A/é😀\u0001\b\f\n\r\t\"\\"`},
		{`1.0`, `1.0`, `1.0`},
		{`1.50`, `1.5`, `1.50`},
		{`1e3`, `1000.0`, `1E+3`},
		{`1E7`, `1.0E7`, `1E+7`},
		{`12345678.9`, `1.23456789E7`, `12345678.9`},
		{`0.001`, `0.001`, `0.001`},
		{`0.0001`, `1.0E-4`, `0.0001`},
		{`0.0000001`, `1.0E-7`, `1E-7`},
		{`-0.0`, `-0.0`, `0.0`},
		{`0.000`, `0.0`, `0.000`},
		{`1e400`, `"Infinity"`, `1E+400`},
		{`12345678901234567890123`, `12345678901234567890123`, `12345678901234567890123`},
		{`-12.5e-3`, `-0.0125`, `-0.0125`},
	} {
		n, err := Parse(c.in, Options{MaxDepth: 10})
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if got := n.Print(Doubles); got != c.doubles {
			t.Errorf("%s: %s, want %s", c.in, got, c.doubles)
		}
		if got := n.Print(Decimals); got != c.decimals {
			t.Errorf("%s: %s, want %s", c.in, got, c.decimals)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, text := range []string{
		"", " ", "{", "[1", "[1,]", `{"a"}`, `{"a":}`, `{a:1}`, "01", "1.", "1e", "-", ".5", "+1", "tru", "truex", `"`, `"\x"`,
		`"\u12"`, "\"\n\"",
		"\"\xff\"", "1 2", "/* */ 1", "NaN", strings.Repeat("1", 1001),
	} {
		if n, err := Parse(text, Options{MaxDepth: 10}); err == nil {
			t.Errorf("%q is taken: %s", text, n.Print(Doubles))
		}
	}
	if _, err := Parse("[[[1]]]", Options{MaxDepth: 2}); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if _, err := Parse("[1,2,3]", Options{MaxDepth: 2, MaxValues: 3}); !errors.Is(err, ErrLimit) {
		t.Error(err)
	}
	if n, err := Parse("/* a */ [1, // b\n2]", Options{MaxDepth: 2, Comments: true}); err != nil || n.Print(Doubles) != "[1,2]" {
		t.Error(n, err)
	}
}

func TestSortedAndEqual(t *testing.T) {
	a, err := Parse(`{"b":{"z":1,"y":[{"d":1,"c":2}]},"a":1.0,"😀":1,"\uffff":2}`, Options{MaxDepth: 10})
	if err != nil {
		t.Fatal(err)
	}
	// Java orders by UTF-16 units: an emoji's surrogates come before U+FFFF.
	if got := a.Sorted().Print(Decimals); got != "{\"a\":1.0,\"b\":{\"y\":[{\"c\":2,\"d\":1}],\"z\":1},\"😀\":1,\"\uffff\":2}" {
		t.Error(got)
	}
	if !Equal(a, a.Sorted()) {
		t.Error("order matters")
	}
	one, _ := Parse("1", Options{})
	fraction, _ := Parse("1.0", Options{})
	if Equal(one, fraction) {
		t.Error("1 is 1.0")
	}
}
