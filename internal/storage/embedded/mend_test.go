package embedded

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"kelp/internal/storage"
)

// TestEveryFlippedBitOfATableIsMended, and two are not.
func TestEveryFlippedBitOfATableIsMended(t *testing.T) {
	for _, items := range []int{1, 9} {
		h := chunkHeader{
			table: chunkHeaderBytes + items*itemBytes, items: items, payload: int64(items) * 100, seq: 77, file: 5, synced: 76, appendedMs: 1e12,
		}
		table := make([]byte, h.table)
		h.encode(table, func(yield func(*item) bool) {
			for i := range items {
				it := item{kind: kindBatch, id: storage.Partition{Topic: [16]byte{byte(i)}}, base: int64(i), count: 1, size: 100, crc: uint32(i) * 7919}
				if !yield(&it) {
					return
				}
			}
		})
		behind := append(bytes.Clone(table), bytes.Repeat([]byte("payload "), 40)...)
		if mendTable(behind, 0) != nil {
			t.Fatal("a whole table was mended")
		}
		random := rand.New(rand.NewPCG(1, uint64(items)))
		for bit := range len(table) * 8 {
			b := bytes.Clone(behind)
			b[bit/8] ^= 1 << (bit % 8)
			if got := mendTable(b, 0); !bytes.Equal(got, table) {
				t.Fatalf("bit %d: %x, want %x", bit, got, table)
			}
			other := random.IntN(len(table) * 8)
			if other == bit {
				continue
			}
			b[other/8] ^= 1 << (other % 8)
			if got := mendTable(b, 0); got != nil {
				t.Fatalf("bits %d and %d: mended to %x", bit, other, got)
			}
		}
	}
}

// TestATornPayloadIsNotAFlippedBit: a sector that is missing looks like a flipped bit when only one
// bit of it was set.
func TestATornPayloadIsNotAFlippedBit(t *testing.T) {
	whole := append(bytes.Repeat([]byte{0x5a}, diskSector-10), 0x20) // the last byte begins a sector
	pos := int64(10)
	sum := checksum(whole)
	torn := bytes.Clone(whole)
	torn[len(torn)-1] = 0
	if flipped(torn, sum, pos) {
		t.Error("a missing sector was taken for a flipped bit")
	}
	if flipped(torn, sum, pos-1) { // the sector is there, but nothing follows the bit
		t.Error("a write that was cut short was taken for a flipped bit")
	}
	bad := bytes.Clone(whole)
	bad[7] ^= 4
	if !flipped(bad, sum, pos) {
		t.Error("a flipped bit was not found")
	}
	bad[100] ^= 4
	if flipped(bad, sum, pos) {
		t.Error("two flipped bits were taken for one")
	}
}
