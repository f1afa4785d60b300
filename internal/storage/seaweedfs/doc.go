// Package seaweedfs keeps partitions on SeaweedFS, so that the node holds nothing that matters.
//
// One node packs what all partitions append into chunks. A small chunk lies in its filer entry, the
// payload of a larger one is put on a volume server first. The commit of a chunk is creating the
// entry of the next sequence number, which must not exist. That create is the only safety: a lease
// just decides who tries. A new owner first creates a fence at the next number, so a paused old
// owner's create fails; it acknowledges nothing and steps down.
//
// Creates are strictly one after the other and fences are never deleted. An owner has at most one
// create under way, at the number after its last chunk, and that is just where its successor's
// fence lies; so a late create can never land in a place that was emptied since.
//
// In the background runs of a partition's batches settle into segment files; then snapshots of
// what all partitions hold let the chunks go. Batches, trims, settled segments and every other
// change are frames in the one sequence: a crash leaves a prefix of it.
//
// Invariants: nothing is acknowledged or readable before its chunk is committed. Only
// [Store.apply] changes what partitions hold, live and on replay. An unclear create is settled by
// reading the entry back, never by guessing.
package seaweedfs
