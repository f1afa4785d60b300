// Package seaweedmq mirrors topics to SeaweedMQ, so that what Kafka clients produce appears there, as
// columns or as plain bytes. Kelp's log stays the truth: a broker of SeaweedMQ acknowledges what is in
// its memory, and forgets it when it dies.
//
// [Mirror] follows the topics and their configs and runs a publisher for each partition. A publisher is
// a loop around [progress], the state machine that says what is published next, given what was asked of
// the broker and what was found in the filer. The checkpoint of a partition only moves past what was
// read back from the filer; after any break the tail there is read and publishing goes on behind it.
//
// Invariants: nothing counts as published before it was read back. Records are published in the order
// of the log, those of aborted transactions never. A record that is known to be in SeaweedMQ is not
// published again. progress, stamps and columns are pure: no clock, lock, goroutine or logger.
package seaweedmq
