package jsontree

import (
	"math"
	"strconv"
	"strings"
)

// Style says how fractions are printed.
type Style uint8

// Doubles prints a fraction as Java prints the double it reads as (Avro); Decimals keeps its digits
// and prints as Java's BigDecimal (JSON Schema).
const (
	Doubles Style = iota
	Decimals
)

// Print returns the tree as one line.
func (n *Node) Print(s Style) string { return string(n.Append(nil, s)) }

// Append prints the tree as one line.
func (n *Node) Append(dst []byte, s Style) []byte {
	switch n.Kind {
	case Bool:
		return strconv.AppendBool(dst, n.Bool)
	case Integer:
		if n.Text == "-0" {
			return append(dst, '0')
		}
		return append(dst, n.Text...)
	case Fraction:
		if s == Decimals {
			return appendDecimal(dst, n.Text)
		}
		return AppendDouble(dst, n.Double())
	case String:
		return AppendString(dst, n.Text)
	case Array:
		dst = append(dst, '[')
		for i, item := range n.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.Append(dst, s)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i, m := range n.Members {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(AppendString(dst, m.Name), ':')
			dst = m.Value.Append(dst, s)
		}
		return append(dst, '}')
	default:
		return append(dst, "null"...)
	}
}

// Double is a number as a double: infinite when it is too large for one.
func (n *Node) Double() float64 {
	f, _ := strconv.ParseFloat(n.Text, 64) // a range error still gives ±Inf
	return f
}

const hexDigits = "0123456789ABCDEF"

// AppendString prints a string in quotes: only what must be escaped is.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\r':
			dst = append(dst, `\r`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(append(dst, s[start:]...), '"')
}

// AppendDouble prints as Java's Double.toString; what is not a number is a string.
func AppendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	case f == 0:
		if math.Signbit(f) {
			return append(dst, "-0.0"...)
		}
		return append(dst, "0.0"...)
	}
	if a := math.Abs(f); a >= 1e-3 && a < 1e7 {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		dst = append(dst, s...)
		if !strings.Contains(s, ".") {
			dst = append(dst, ".0"...)
		}
		return dst
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	dst = append(dst, mantissa...)
	if !strings.Contains(mantissa, ".") {
		dst = append(dst, ".0"...)
	}
	e, _ := strconv.Atoi(exponent)
	return strconv.AppendInt(append(dst, 'E'), int64(e), 10)
}

// appendDecimal prints a literal as Java's BigDecimal.toString.
func appendDecimal(dst []byte, literal string) []byte {
	mantissa, exponent := literal, 0
	if i := strings.IndexAny(literal, "eE"); i >= 0 {
		e, err := strconv.Atoi(literal[i+1:])
		if err != nil { // an exponent beyond any use: keep what was written
			return append(dst, literal...)
		}
		mantissa, exponent = literal[:i], e
	}
	if strings.HasPrefix(mantissa, "-") {
		dst, mantissa = append(dst, '-'), mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		digits = "0"
		if literal[0] == '-' {
			dst = dst[:len(dst)-1] // BigDecimal has no negative zero
		}
	}
	scale := len(fraction) - exponent
	adjusted := len(digits) - 1 - scale
	switch {
	case scale == 0:
		return append(dst, digits...)
	case scale > 0 && adjusted >= -6:
		if pad := scale - len(digits) + 1; pad > 0 {
			digits = strings.Repeat("0", pad) + digits
		}
		at := len(digits) - scale
		return append(append(append(dst, digits[:at]...), '.'), digits[at:]...)
	}
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	if adjusted != 0 {
		dst = append(dst, 'E')
		if adjusted > 0 {
			dst = append(dst, '+')
		}
		dst = strconv.AppendInt(dst, int64(adjusted), 10)
	}
	return dst
}
