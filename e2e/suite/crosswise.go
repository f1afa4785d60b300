package suite

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Peer is a client with what it can write and read.
type Peer struct {
	Client
	Codecs []string
	Nulls  bool // reads null and empty as different
}

// Crosswise lets every peer read what every peer wrote, in every codec that both have.
func Crosswise(t *testing.T, peers map[string]Peer) {
	for writer, w := range peers {
		for _, codec := range w.Codecs {
			topic := "cross-" + writer + "-" + codec
			if err := w.CreateTopic(Context(t), topic, 1); err != nil {
				t.Fatalf("%s creates: %v", writer, err)
			}
			records := Edges(time.Now().Add(-time.Hour).UnixMilli())
			if err := w.Produce(Context(t), topic, codec, records); err != nil {
				t.Fatalf("%s writes %s: %v", writer, codec, err)
			}
			for reader, r := range peers {
				if !slices.Contains(r.Codecs, codec) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%s", writer, codec, reader), func(t *testing.T) {
					got, err := r.Consume(Context(t), topic, 0, 0, len(records))
					if err != nil {
						t.Fatal(err)
					}
					Compare(t, records, got, w.Nulls && r.Nulls)
				})
			}
		}
	}
}
