package embedded

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"kelp/internal/storage"
)

// TestAnEndThatIsSummedNeedNotBeRead: the checksum is that of all bytes, whatever part of it was known.
func TestAnEndThatIsSummedNeedNotBeRead(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	b := make([]byte, 3<<20)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	for range 300 {
		n := random.IntN(len(b) + 1)
		tail := random.IntN(n + 1)
		batch := storage.Batch{Bytes: b[:n], Tail: storage.Tail{Bytes: tail, CRC32C: checksum(b[n-tail : n])}}
		if got := checksumOf(&batch); got != checksum(b[:n]) {
			t.Fatalf("%d bytes, the last %d known: %x, want %x", n, tail, got, checksum(b[:n]))
		}
	}
	wrong := storage.Batch{Bytes: b[:10_000], Tail: storage.Tail{Bytes: 9_000, CRC32C: 1}}
	if checksumOf(&wrong) == checksum(wrong.Bytes) {
		t.Error("the known part does not count")
	}
}

func BenchmarkChecksumOf(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10} {
		bytes := make([]byte, size)
		tail := storage.Tail{Bytes: size - 21, CRC32C: checksum(bytes[21:])}
		for name, batch := range map[string]storage.Batch{"all": {Bytes: bytes}, "tail": {Bytes: bytes, Tail: tail}} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				b.SetBytes(int64(size))
				for range b.N {
					checksumOf(&batch)
				}
			})
		}
	}
}
