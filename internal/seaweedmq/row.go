package seaweedmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"kelp/internal/batch"
	"kelp/internal/seaweed/mq"
)

// Mode is what a topic publishes.
type Mode string

// The modes, as the topic config kelp.seaweedmq.publish has them.
const (
	Off        Mode = "off"
	Raw        Mode = "raw"        // key and value bytes as they are
	Structured Mode = "structured" // a RecordValue with columns
)

// Undecodable says what becomes of a value that its schema does not fit.
type Undecodable string

// The policies, as the topic config kelp.seaweedmq.undecodable has them.
const (
	Keep Undecodable = "keep" // our columns only, with kafka_error
	Drop Undecodable = "drop" // not published
)

// rows turns records of one partition into messages and tells messages apart.
type rows struct {
	mode        Mode
	undecodable Undecodable
	partition   int32
	shapes      *shapes
	seed        maphash.Seed

	buf []byte // of the last message
}

// standIn is the message key of a record without one: SeaweedMQ's compaction and SQL take messages
// with an empty key for control messages and leave them out.
func standIn(partition int32, offset int64) []byte {
	return fmt.Appendf(nil, "kafka:%d:%d", partition, offset)
}

// row is a record on its way.
type row struct {
	key, value []byte // of the message, valid until the next one
	failed     error  // errUndecodable, why there are no columns of the value
	dropped    bool
}

// of makes the message of a record. An error is one that may pass.
func (r *rows) of(ctx context.Context, rec batch.Record) (row, error) {
	if r.mode == Raw {
		return row{key: rec.Key, value: rec.Value}, nil
	}
	var d decoded
	var failed error
	if rec.Value != nil {
		var err error
		if d, err = r.shapes.decode(ctx, rec); err != nil {
			if !errors.Is(err, errUndecodable) {
				return row{}, err
			}
			failed = err
		}
	}
	if failed != nil && r.undecodable == Drop {
		return row{failed: failed, dropped: true}, nil
	}
	b := r.buf[:0]
	if d.fields != nil {
		var err error
		if b, err = (proto.MarshalOptions{}).MarshalAppend(b, d.fields); err != nil {
			return row{}, fmt.Errorf("offset %d: %w", rec.Offset, err)
		}
	}
	b = r.appendOurs(b, rec, d.schema, failed)
	r.buf = b
	key := rec.Key
	if len(key) == 0 {
		key = standIn(r.partition, rec.Offset)
	}
	return row{key: key, value: b, failed: failed}, nil
}

// Field numbers of schema_pb: RecordValue.fields, a map entry, and the kinds of Value in use here.
const (
	tagFields    = 1
	tagEntryKey  = 1
	tagEntryItem = 2

	tagBool   = 1
	tagInt32  = 2
	tagInt64  = 3
	tagBytes  = 6
	tagString = 7
)

// maxErrorBytes bounds the text in kafka_error and in the header of a dead letter.
const maxErrorBytes = 1000

// appendOurs appends our columns. A RecordValue is a map, so its entries can follow one another in any
// number of pieces.
func (r *rows) appendOurs(b []byte, rec batch.Record, schemaID int32, failed error) []byte {
	var v []byte
	if rec.Key != nil {
		v = protowire.AppendBytes(protowire.AppendTag(v[:0], tagBytes, protowire.BytesType), rec.Key)
		b = appendEntry(b, colKey, v)
	}
	if rec.Value != nil {
		v = protowire.AppendBytes(protowire.AppendTag(v[:0], tagBytes, protowire.BytesType), rec.Value)
		b = appendEntry(b, colValue, v)
	}
	v = protowire.AppendVarint(protowire.AppendTag(v[:0], tagInt64, protowire.VarintType), uint64(rec.TimestampMs))
	b = appendEntry(b, colTimestamp, v)
	if len(rec.Headers) > 0 {
		v = protowire.AppendBytes(protowire.AppendTag(v[:0], tagString, protowire.BytesType), headersJSON(rec.Headers))
		b = appendEntry(b, colHeaders, v)
	}
	v = protowire.AppendVarint(protowire.AppendTag(v[:0], tagInt64, protowire.VarintType), uint64(rec.Offset))
	b = appendEntry(b, colOffset, v)
	v = protowire.AppendVarint(protowire.AppendTag(v[:0], tagInt32, protowire.VarintType), uint64(r.partition))
	b = appendEntry(b, colPartition, v)
	v = protowire.AppendVarint(protowire.AppendTag(v[:0], tagBool, protowire.VarintType), protowire.EncodeBool(rec.Value == nil))
	b = appendEntry(b, colTombstone, v)
	if schemaID > 0 {
		v = protowire.AppendVarint(protowire.AppendTag(v[:0], tagInt32, protowire.VarintType), uint64(schemaID))
		b = appendEntry(b, colSchema, v)
	}
	if failed != nil {
		v = protowire.AppendString(protowire.AppendTag(v[:0], tagString, protowire.BytesType), errorText(failed))
		b = appendEntry(b, colError, v)
	}
	return b
}

func appendEntry(b []byte, name string, value []byte) []byte {
	n := protowire.SizeTag(tagEntryKey) + protowire.SizeBytes(len(name)) + protowire.SizeTag(tagEntryItem) + protowire.SizeBytes(len(value))
	b = protowire.AppendVarint(protowire.AppendTag(b, tagFields, protowire.BytesType), uint64(n))
	b = protowire.AppendString(protowire.AppendTag(b, tagEntryKey, protowire.BytesType), name)
	return protowire.AppendBytes(protowire.AppendTag(b, tagEntryItem, protowire.BytesType), value)
}

// header is one of kafka_headers. Names that are no UTF-8 are in base64 under another name.
type header struct {
	Key      string `json:"key"`
	KeyBytes []byte `json:"keyBytes,omitempty"`
	Value    []byte `json:"value"` // base64, null for null
}

func headersJSON(all []batch.RecordHeader) []byte {
	out := make([]header, len(all))
	for i, h := range all {
		out[i] = header{Key: h.Key, Value: h.Value}
		if !utf8.ValidString(h.Key) {
			out[i].Key, out[i].KeyBytes = "", []byte(h.Key)
		}
	}
	b, err := json.Marshal(out)
	if err != nil { // strings and bytes always marshal
		panic(err)
	}
	return b
}

// identify tells the offset in Kafka that an entry has, and a sum of its bytes where the offset is only
// certain near to where it is expected. ok is false for what somebody else has written.
func (r *rows) identify(e mq.Entry, near int64) (offset int64, sum uint64, ok bool) {
	if r.mode == Raw {
		return offsetOf(e.TsNs, near), r.sum(e.Key, e.Value), true
	}
	offset, ok = offsetColumn(e.Value)
	return offset, 0, ok
}

// sum is the sum that identify gives for a message.
func (r *rows) sum(key, value []byte) uint64 {
	if r.mode != Raw {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(r.seed)
	_, _ = h.Write(key)
	_ = h.WriteByte(0)
	_, _ = h.Write(value)
	return h.Sum64()
}

// offsetColumn finds kafka_offset in a marshalled RecordValue. It decodes nothing else.
func offsetColumn(b []byte) (int64, bool) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, false
		}
		b = b[n:]
		if num != tagFields || typ != protowire.BytesType {
			return 0, false
		}
		entry, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return 0, false
		}
		b = b[n:]
		if offset, ok := offsetEntry(entry); ok {
			return offset, true
		}
	}
	return 0, false
}

// offsetEntry reads an entry as appendEntry writes it.
func offsetEntry(entry []byte) (int64, bool) {
	name, n := field(entry, tagEntryKey)
	if n < 0 || string(name) != colOffset {
		return 0, false
	}
	value, n := field(entry[n:], tagEntryItem)
	if n < 0 {
		return 0, false
	}
	num, typ, n := protowire.ConsumeTag(value)
	if n < 0 || num != tagInt64 || typ != protowire.VarintType {
		return 0, false
	}
	offset, n := protowire.ConsumeVarint(value[n:])
	return int64(offset), n >= 0
}

func field(b []byte, want protowire.Number) (value []byte, length int) {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != want || typ != protowire.BytesType {
		return nil, -1
	}
	value, m := protowire.ConsumeBytes(b[n:])
	if m < 0 {
		return nil, -1
	}
	return value, n + m
}
