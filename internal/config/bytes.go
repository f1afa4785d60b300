package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size that is written with a unit: 256MiB, 1GiB, 500KB, or a plain number of bytes.
type Bytes int64

// units in the order in which they are tried: the longer ending first.
var units = []struct {
	name string
	size int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

// String writes the largest unit of 1024 that fits without a rest.
func (b *Bytes) String() string {
	for _, u := range []string{"GiB", "MiB", "KiB"} {
		for _, known := range units {
			if known.name == u && *b != 0 && int64(*b)%known.size == 0 {
				return strconv.FormatInt(int64(*b)/known.size, 10) + u
			}
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Set reads a size.
func (b *Bytes) Set(text string) error {
	for _, u := range units {
		digits, ok := strings.CutSuffix(strings.ToLower(text), strings.ToLower(u.name))
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.size {
			return fmt.Errorf("%q is no size", text)
		}
		*b = Bytes(n * u.size)
		return nil
	}
	return fmt.Errorf("%q is no size", text)
}

// Type names the form for pflag.
func (*Bytes) Type() string { return "bytes" }
