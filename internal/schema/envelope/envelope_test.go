package envelope

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

type vector struct {
	Name     string
	Format   string
	SchemaID uint32 `json:"schema_id"`
	GUID     string
	Envelope string
	Hex      string
	Headers  map[string]string
	Indexes  []int   `json:"message_indexes"`
	Payload  *string `json:"proto_payload_hex"`
	Why      string
}

func read(t testing.TB, name string) []vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func headersOf(t testing.TB, v vector) []kmsg.Header {
	var all []kmsg.Header
	for k, h := range v.Headers {
		all = append(all, kmsg.Header{Key: k, Value: unhex(t, h)})
	}
	return all
}

func headerOf(t testing.TB, v vector) []byte {
	headers := headersOf(t, v)
	if h := Header(headers, ValueHeader); h != nil {
		return h
	}
	return Header(headers, KeyHeader)
}

func TestMessagesOfRealSerializers(t *testing.T) {
	for _, v := range read(t, "envelope.json") {
		body, header := unhex(t, v.Hex), headerOf(t, v)
		e, err := Parse(body, header)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if e.InHeader != (v.Envelope == "header") || e.HasGUID != e.InHeader {
			t.Errorf("%s: %+v", v.Name, e)
		}
		var built []byte
		if e.HasGUID {
			if e.GUID.String() != v.GUID {
				t.Errorf("%s: guid %s, want %s", v.Name, e.GUID, v.GUID)
			}
			built = AppendGUID(nil, e.GUID)
		} else {
			if e.ID != v.SchemaID {
				t.Errorf("%s: id %d, want %d", v.Name, e.ID, v.SchemaID)
			}
			built = AppendID(nil, e.ID)
		}
		payload, err := e.Payload()
		if v.Format == "PROTOBUF" {
			var x Indexes
			x, payload, err = e.Message()
			if got := x.Append(nil); !slices.Equal(got, v.Indexes) {
				t.Errorf("%s: indexes %v, want %v", v.Name, got, v.Indexes)
			}
			if v.Payload != nil && hex.EncodeToString(payload) != *v.Payload {
				t.Errorf("%s: payload %x, want %s", v.Name, payload, *v.Payload)
			}
			built = AppendIndexes(built, x)
		}
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if e.InHeader {
			if !bytes.Equal(built, header) || !bytes.Equal(payload, body) {
				t.Errorf("%s: header %x, payload %x", v.Name, built, payload)
			}
		} else if built = append(built, payload...); !bytes.Equal(built, body) {
			t.Errorf("%s: built %x, want %s", v.Name, built, v.Hex)
		}
	}
}

// Payloads that are bad in themselves pass here; their formats refuse them.
func TestBadEnvelopesAreRefused(t *testing.T) {
	want := map[string]error{
		"bad/magic-5": ErrNoEnvelope, "bad/short-header": ErrNoEnvelope, "bad/empty-payload": ErrNoEnvelope,
		"bad/pb-index-huge": ErrIndexes,
	}
	for _, v := range read(t, "bad_payloads.json") {
		e, err := Parse(unhex(t, v.Hex), nil)
		if err == nil && v.Format == "PROTOBUF" {
			_, _, err = e.Message()
		}
		if !errors.Is(err, want[v.Name]) || (err == nil) != (want[v.Name] == nil) {
			t.Errorf("%s (%s): %v", v.Name, v.Why, err)
		}
		delete(want, v.Name)
	}
	if len(want) > 0 {
		t.Errorf("not in the file: %v", want)
	}
}

func TestIndexes(t *testing.T) {
	f := func(in string, want []int, rest string) {
		t.Helper()
		x, r, err := ParseIndexes(unhex(t, in))
		if err != nil || !slices.Equal(x.Append(nil), want) || hex.EncodeToString(r) != rest {
			t.Errorf("%s: %v, rest %x, %v", in, x.Append(nil), r, err)
		}
	}
	f("00", []int{0}, "")
	f("0000", []int{0}, "00")
	f("0200aa", []int{0}, "aa")
	f("0202", []int{1}, "")
	f("06040200ff", []int{2, 1, 0}, "ff")
	f("02fcffffff0f", []int{1<<31 - 2}, "")
	f("840080008000", []int{0, 0}, "") // numbers in more bytes than they need

	bad := func(in, why string) {
		t.Helper()
		if x, _, err := ParseIndexes(unhex(t, in)); !errors.Is(err, ErrIndexes) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, %v", in, x.Append(nil), err)
		}
	}
	bad("", "cut off")
	bad("80", "cut off")
	bad("01", "count -1")
	bad("04", "count 2 in 0 bytes")
	bad("0201", "-1")
	bad("0480", "count 2 in 1 bytes")
	bad("028080", "cut off")
	bad("feffffff0f", "count 2147483647")
	bad("808080808000", "32 bits")
	bad("ffffffffffffffffffff01", "32 bits")
	bad("44"+strings.Repeat("00", 40), "more than 32")
	if _, err := NewIndexes(-1); !errors.Is(err, ErrIndexes) {
		t.Error("a negative index was taken")
	}
	if _, err := NewIndexes(make([]int, 33)...); !errors.Is(err, ErrIndexes) {
		t.Error("33 indexes were taken")
	}
}

func TestNullStaysNull(t *testing.T) {
	e, err := Parse(nil, unhex(t, "0195b75833243dc42c45bfc8ccf943b38e"))
	if err != nil || !e.Null || e.InHeader {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestLastHeaderWinsOverThePrefix(t *testing.T) {
	one, two := AppendGUID(nil, GUID{1}), AppendGUID(nil, GUID{2})
	headers := []kmsg.Header{{Key: ValueHeader, Value: one}, {Key: "x"}, {Key: ValueHeader, Value: two}, {Key: KeyHeader, Value: one}}
	body := AppendID(nil, 7)
	e, err := Parse(body, Header(headers, ValueHeader))
	if err != nil || e.GUID != (GUID{2}) {
		t.Errorf("%+v, %v", e, err)
	}
	if p, err := e.Payload(); err != nil || !bytes.Equal(p, body) {
		t.Errorf("with a header the whole value is the payload, not %x, %v", p, err)
	}
	e, err = Parse(append(two, 9), nil)
	if p, _ := e.Payload(); err != nil || e.InHeader || !e.HasGUID || !bytes.Equal(p, []byte{9}) {
		t.Errorf("a guid in front of the value: %+v, %v", e, err)
	}
	e, err = Parse([]byte{9}, append(two, 0))
	if _, perr := e.Payload(); err != nil || !errors.Is(perr, ErrNoEnvelope) {
		t.Errorf("bytes after the guid of a schema without indexes: %v, %v", err, perr)
	}
	if x, p, err := e.Message(); err != nil || !x.First() || !bytes.Equal(p, []byte{9}) {
		t.Errorf("indexes in the header: %v, %x, %v", x, p, err)
	}
	if _, err := Parse(body, []byte{1, 2}); !errors.Is(err, ErrNoEnvelope) {
		t.Errorf("a header that is too short: %v", err)
	}
}

func TestMessageOrFirst(t *testing.T) {
	bad := errors.New("not valid")
	f := func(rest string, valid func(Indexes, []byte) error, want string, first bool, fails error) {
		t.Helper()
		e, err := Parse(append(AppendID(nil, 1), unhex(t, rest)...), nil)
		if err != nil {
			t.Fatal(err)
		}
		x, p, err := e.MessageOrFirst(valid)
		if !errors.Is(err, fails) || fails == nil && err != nil {
			t.Errorf("%s: %v", rest, err)
		}
		if fails == nil && (hex.EncodeToString(p) != want || x.First() != first) {
			t.Errorf("%s: %v %x", rest, x, p)
		}
	}
	only := func(payload string) func(Indexes, []byte) error {
		return func(_ Indexes, p []byte) error {
			if hex.EncodeToString(p) == payload {
				return nil
			}
			return bad
		}
	}
	f("000801", only("0801"), "0801", true, nil)
	f("02020801", only("0801"), "0801", false, nil)
	f("0801", only("0801"), "0801", true, nil)       // no indexes: count 4 would not fit
	f("0a0161", only("0a0161"), "0a0161", true, nil) // count 5 in 2 bytes
	f("000801", only("77"), "", true, bad)
	f("0801", only("77"), "", true, ErrIndexes)
}

func TestParseAllocatesNothing(t *testing.T) {
	body := append(AppendID(nil, 7), 6, 4, 2, 0, 8, 1)
	headers := []kmsg.Header{{Key: ValueHeader, Value: append(AppendGUID(nil, GUID{1}), 0)}}
	if n := testing.AllocsPerRun(100, func() {
		e, _ := Parse(body, nil)
		_, _, _ = e.Message()
		e, _ = Parse(body, Header(headers, ValueHeader))
		_, _, _ = e.Message()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range append(read(f, "envelope.json"), read(f, "bad_payloads.json")...) {
		f.Add(unhex(f, v.Hex), headerOf(f, v))
	}
	f.Fuzz(func(t *testing.T, body, header []byte) {
		e, err := Parse(body, header)
		if err != nil || e.Null {
			return
		}
		if p, err := e.Payload(); err == nil && !bytes.HasSuffix(body, p) {
			t.Errorf("payload %x is not of %x", p, body)
		}
		x, p, err := e.Message()
		if err != nil {
			return
		}
		if !bytes.HasSuffix(body, p) {
			t.Errorf("payload %x is not of %x", p, body)
		}
		y, rest, err := ParseIndexes(AppendIndexes(nil, x))
		if err != nil || len(rest) > 0 || !slices.Equal(x.Append(nil), y.Append(nil)) {
			// [0] and [] are one.
			if !x.First() || !y.First() {
				t.Errorf("%v came back as %v, %v", x, y, err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	body := append(AppendID(nil, 7), 6, 4, 2, 0, 8, 1)
	b.ReportAllocs()
	for b.Loop() {
		e, _ := Parse(body, nil)
		_, _, _ = e.Message()
	}
}
