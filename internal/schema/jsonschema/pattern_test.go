package jsonschema

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"kelp/internal/schema/record"
)

// TestPatternsBeyondRE2 matches what RE2 has no form of, as ECMA 262 means it.
func TestPatternsBeyondRE2(t *testing.T) {
	f := func(pattern, yes, no string) {
		t.Helper()
		for _, draft := range []string{"http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft/2020-12/schema"} {
			k := patient(t, fmt.Sprintf(`{"$schema":%q,"type":"string","pattern":%q}`, draft, pattern), time.Hour)
			if err := k.Validate([]byte(fmt.Sprintf("%q", yes))); err != nil {
				t.Errorf("%s does not take %q: %v", pattern, yes, err)
			}
			if err := k.Validate([]byte(fmt.Sprintf("%q", no))); !errors.Is(err, record.ErrPayload) {
				t.Errorf("%s takes %q: %v", pattern, no, err)
			}
		}
	}
	f(`^(?!x)`, "a", "x")
	f(`^(?=.*\d)(?=.*[a-z]).{4,}$`, "a1bb", "abcd")
	f(`(?<=\$)\d+`, "$5", "5")
	f(`^(a|b)\1$`, "aa", "ab")
	f(`^(?<q>['"]).*\k<q>$`, "'x'", "'x")
	f(`^(?!.*\p{Lu})`, "abc", "aBc")
	f(`^(?>a+)b`, "aab", "aa")
}

// TestSlowPatternsHaveATime gives a document up when its patterns take too long, and goes on with the next.
func TestSlowPatternsHaveATime(t *testing.T) {
	k := patient(t, `{"type":"array","items":{"type":"string","pattern":"^(?=a)(a+)+$"}}`, 20*time.Millisecond)
	bomb := []byte(`["` + strings.Repeat("a", 200) + `!"]`)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := k.Validate(bomb); !errors.Is(err, record.ErrLimit) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	many := []byte("[" + strings.Repeat(`"aaaaaaaaaaaaaaaaaaaaaaa!",`, 10_000) + `"a"]`) // each takes seconds
	if err := k.Validate(many); !errors.Is(err, record.ErrLimit) {
		t.Error(err)
	}
	if err := k.Validate([]byte(`["` + strings.Repeat("a", maxSlowBytes+1) + `"]`)); !errors.Is(err, record.ErrLimit) {
		t.Error(err)
	}
	v, err := k.validator()
	if err != nil {
		t.Fatal(err)
	}
	v.slow.limit = time.Hour
	if err := k.Validate([]byte(`["aaa"]`)); err != nil {
		t.Error(err)
	}
}

// patient is a codec whose patterns may take that long.
func patient(t *testing.T, text string, limit time.Duration) *codec {
	t.Helper()
	k := mustCodec(t, mustParse(t, text))
	v, err := k.validator()
	if err != nil {
		t.Fatal(err)
	}
	v.slow.limit = limit
	return k
}
