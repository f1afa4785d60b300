// Package batch hides the formats of record batches: v2 (KIP-98) as views over stored bytes, and
// the message sets v0 and v1 that old clients send and ask for. It checks, builds, reads and
// converts them, with every codec.
//
// A [Header] is read from the 61 bytes at the front without touching records; [Records] decodes
// the rest on demand. Nothing here knows partitions, topics or requests, and nothing keeps state
// besides pooled codecs.
package batch
