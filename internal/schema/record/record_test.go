package record

import (
	"encoding/hex"
	"errors"
	"math/big"
	"testing"

	"google.golang.org/protobuf/proto"
)

// The bytes are written out by hand from SeaweedMQ's field numbers: they must not change with
// record.proto.
func TestWireCompatible(t *testing.T) {
	f := func(m proto.Message, want string) {
		t.Helper()
		got, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(got) != want {
			t.Errorf("%v is %x, want %s", m, got, want)
		}
	}
	f(Null(), "")
	f(Bool(true), "0801")
	f(Int32(-1), "10ffffffffffffffffff01")
	f(Int64(2), "1802")
	f(Float(1), "250000803f")
	f(Double(1), "29000000000000f03f")
	f(Bytes([]byte{7}), "320107")
	f(String("s"), "3a0173")
	f(Timestamp(3, true), "420408031001")
	f(Date(4), "4a020804")
	f(Decimal(big.NewInt(-129), 9, 2), "52080a02ff7f10091802")
	f(TimeOfDay(5), "5a020805")
	f(ListOf([]*Value{Int32(1)}), "72040a021001")
	f(Nested(&RecordValue{Fields: map[string]*Value{"a": Int32(1)}}), "7a090a070a016112021001")
	rt, err := NewRecordType(NewField("a", Scalar(ScalarType_TIME), true), NewField("b", List(Scalar(ScalarType_BOOL)), false))
	if err != nil {
		t.Fatal(err)
	}
	const fields = "0a09" + "0a0161" + "1a02080b" + "2801" + "0a0f" + "0a0162" + "1001" + "1a06" + "1a04" + "0a02" + "0800" + "2001"
	f(rt, fields)
	f(Record(rt), "121c"+fields)
}

func TestBigIntRoundTrips(t *testing.T) {
	for _, s := range []string{
		"0", "1", "-1", "127", "128", "-128", "-129", "255", "256", "-32768", "-32769",
		"340282366920938463463374607431768211455",
	} {
		want, _ := new(big.Int).SetString(s, 10)
		b := AppendBigInt(nil, want)
		if got := BigInt(b); got.Cmp(want) != 0 {
			t.Errorf("%s came back as %s from %x", want, got, b)
		}
		if len(b) > 1 && (b[0] == 0 && b[1]&0x80 == 0 || b[0] == 0xff && b[1]&0x80 != 0) {
			t.Errorf("%s takes more bytes than it needs: %x", want, b)
		}
	}
	if BigInt(nil).Sign() != 0 {
		t.Error("no bytes must be zero")
	}
}

func TestNamesAreUniqueAndFree(t *testing.T) {
	a := NewField("a", Scalar(ScalarType_BOOL), true)
	if _, err := NewRecordType(a, NewField("a", Scalar(ScalarType_INT32), true)); !errors.Is(err, ErrType) {
		t.Errorf("two fields of one name: %v", err)
	}
	if _, err := NewRecordType(NewField("_key", Scalar(ScalarType_BOOL), true)); !errors.Is(err, ErrType) {
		t.Errorf("a field named like a system column: %v", err)
	}
	taken := map[string]bool{"_ts_ns": true, "__ts_ns": true, "a": true}
	if got := FieldName("_ts_ns", func(n string) bool { return taken[n] }); got != "___ts_ns" {
		t.Errorf("_ts_ns beside __ts_ns became %s", got)
	}
	if got := FieldName("a", func(n string) bool { return taken[n] }); got != "a" {
		t.Errorf("a became %s", got)
	}
}

type fixed struct {
	Codec
	v   *RecordValue
	out []byte
	err error
}

func (f fixed) Decode([]byte) (*RecordValue, error) { return f.v, nil }
func (f fixed) Encode(*RecordValue) ([]byte, error) { return f.out, f.err }

func TestExact(t *testing.T) {
	f := func(c fixed, payload string, want bool) {
		t.Helper()
		_, exact, err := Exact(c, []byte(payload))
		if err != nil || exact != want {
			t.Errorf("%q encoded as %q: exact=%v, %v", payload, c.out, exact, err)
		}
	}
	f(fixed{out: []byte("ab")}, "ab", true)
	f(fixed{out: []byte("ab")}, "ba", false)
	f(fixed{err: ErrValue}, "ab", false)
}
