package embedded

import (
	"testing"

	"kelp/internal/storage"
)

// FuzzFrame: no bytes make parsing panic, and a frame that checks is the one that was written.
func FuzzFrame(f *testing.F) {
	for k := kindCreate; k <= kindSnapshot; k++ {
		f.Add(appendFrame(nil, &frame{kind: k, partition: storage.Partition{Index: 3}, base: 7, count: 2, payload: []byte("payload")}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, n, ok := parseFrame(b)
		if !ok {
			return
		}
		if again := appendFrame(nil, &fr); string(again) != string(b[:n]) {
			t.Fatalf("%x was read as %x", b[:n], again)
		}
	})
}
