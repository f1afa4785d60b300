// Package protobuf is the Protobuf format of the schema registry: [Format] parses .proto texts and
// base64 descriptors, [Schema] prints, compares and (through its codecs) decodes.
//
// A schema exists twice: as a tree of its text (tree.go), which the registry's canonical text,
// message indexes and compatibility are defined on, and as a linked descriptor, which data is
// decoded with. The parser is our own because registry texts are not all fit for protoc: map
// entries are written out, imports may be missing, unknown options stay.
//
// Invariants: the same tree always prints the same text, and parsing that text gives the tree
// again; comparing follows Confluent's algorithm difference by difference; all work is bounded by
// the size of the texts and the named limits.
package protobuf
