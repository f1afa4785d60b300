package embedded

import "kelp/internal/storage"

// combineFrom is the size from which two checksums are put together; below it summing again is faster.
const combineFrom = 8 << 10

// checksumOf is the checksum of a batch. Where its end has been summed already only the rest is read.
func checksumOf(b *storage.Batch) uint32 {
	head := len(b.Bytes) - b.Tail.Bytes
	if b.Tail.Bytes < combineFrom || head < 0 {
		return checksum(b.Bytes)
	}
	return combine(checksum(b.Bytes[:head]), b.Tail.CRC32C, b.Tail.Bytes)
}

// polynomial of CRC-32C, lowest power in the highest bit.
const polynomial = 0x82f63b78

// powers are x to the power of 1, 2, 4, ... modulo the polynomial.
var powers = func() (p [32]uint32) {
	p[0] = 1 << 30
	for i := 1; i < len(p); i++ {
		p[i] = multiply(p[i-1], p[i-1])
	}
	return p
}()

// combine gives the checksum of two runs of bytes, one after the other, of which the second is size
// bytes long: the first is shifted by that many zeros, a multiplication by x to the 8*size.
func combine(first, second uint32, size int) uint32 {
	shift := uint32(1 << 31)
	for n, i := uint64(size), 3; n > 0; n, i = n>>1, i+1 {
		if n&1 != 0 {
			shift = multiply(powers[i%len(powers)], shift)
		}
	}
	return multiply(shift, first) ^ second
}

// multiply gives a*b modulo the polynomial.
func multiply(a, b uint32) (product uint32) {
	for bit := uint32(1 << 31); bit > 0 && a != 0; bit >>= 1 {
		if a&bit != 0 {
			product ^= b
			a ^= bit
		}
		if b&1 != 0 {
			b = b>>1 ^ polynomial
		} else {
			b >>= 1
		}
	}
	return product
}
