// Package record holds what every schema format maps to and from: SeaweedMQ's RecordType and
// RecordValue (proto package schema_pb, restated in record.proto), and the [Codec] that Avro,
// Protobuf and JSON Schema implement.
//
// The rules that are the same for all formats (names, nulls, maps, unions, recursive types, roots
// that are not records, reserved fields) are written down in docs/schema-mapping.md, and their
// builders are here, so that the formats cannot differ in them.
//
// Invariants: the field names of a RecordType are unique and valid UTF-8; a RecordValue has only
// fields of its type; a RecordType is finite, even if the schema is recursive.
package record
