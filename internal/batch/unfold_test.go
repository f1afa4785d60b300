package batch

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"
)

// TestPackKeepsWhatIsNotDropped: in every codec the kept records read the same as before, and the
// batch still covers its offsets and sequences.
func TestPackKeepsWhatIsNotDropped(t *testing.T) {
	var recs []Record
	for i := range 20 {
		r := Record{TimestampMs: int64(1000 + i*7%13), Key: fmt.Append(nil, "key", i), Headers: []RecordHeader{{Key: "h", Value: []byte{1}}}}
		if i%5 != 0 {
			r.Value = fmt.Append(nil, "value", i)
		}
		recs = append(recs, r)
	}
	plain := Encode(recs, Options{BaseOffset: 40, LeaderEpoch: 2, ProducerID: 7, ProducerEpoch: 3, BaseSequence: 5, Transactional: true})
	for codec := None; codec <= Zstd; codec++ {
		for _, horizonMs := range []int64{-1, 500_000} {
			b, err := Recompress(plain, codec, defaultLevel(codec), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			var u Unfolded
			if err := u.Read(b, 1<<20); err != nil {
				t.Fatal(err)
			}
			for i := range u.Records {
				e := &u.Records[i]
				e.Drop = i%3 != 0
				if e.Offset != 40+int64(i) ||
					string(e.Key) != string(recs[i].Key) || e.Tombstone != (i%5 == 0) || e.TimestampMs != recs[i].TimestampMs {
					t.Fatalf("codec %d: record %d is %+v", codec, i, e)
				}
			}
			out, err := u.Pack(horizonMs)
			if err != nil {
				t.Fatal(err)
			}
			h, err := ReadHeader(out)
			if err != nil || h.VerifyCRC(out) != nil {
				t.Fatal(err)
			}
			ms, set := h.DeleteHorizon()
			if h.Codec() != codec || h.BaseOffset != 40 || h.LastOffset() != 59 || h.Count != 7 || h.BaseSequence != 5 || h.ProducerID != 7 ||
				!h.Transactional() || set != (horizonMs >= 0) || set && ms != horizonMs || h.MaxTimestampMs != 1011 {
				t.Errorf("codec %d: %+v", codec, h)
			}
			i := 0
			for r, err := range Records(out, 1<<20) {
				if want := recs[i]; err != nil || r.Offset != 40+int64(i) || r.TimestampMs != want.TimestampMs ||
					string(r.Key) != string(want.Key) || string(r.Value) != string(want.Value) ||
					(r.Value == nil) != (want.Value == nil) || len(r.Headers) != 1 {
					t.Errorf("codec %d: %+v, want %+v, %v", codec, r, want, err)
				}
				i += 3
			}
		}
	}
}

func TestHollowBatchesSayWhatTheyWere(t *testing.T) {
	var u Unfolded
	b := EncodeMarker(Marker{Commit: true}, 77, Options{BaseOffset: 9, ProducerID: 3, ProducerEpoch: 1})
	if err := u.Read(b, 1<<20); err != nil {
		t.Fatal(err)
	}
	u.Records[0].Drop = true
	if out, err := u.Pack(5); out != nil || err != nil {
		t.Fatal(out, err)
	}
	if err := u.Read(u.Hollow(), 1<<20); err != nil {
		t.Fatal(err)
	}
	h := u.Header
	if len(u.Records) != 0 || h.Count != 0 || h.LastOffset() != 9 ||
		!h.Control() || !h.Transactional() || h.MaxTimestampMs != 77 || h.ProducerID != 3 {
		t.Errorf("%+v", h)
	}
}

func TestDamagedBatchesAreNotUnfolded(t *testing.T) {
	b := Encode([]Record{{Key: []byte("k"), Value: []byte("v")}}, NoProducer())
	for i := 16; i < len(b); i++ {
		bad := append([]byte{}, b...)
		bad[i] ^= 1
		if err := new(Unfolded).Read(bad, 1<<20); err == nil {
			t.Errorf("byte %d", i)
		}
	}
}

// TestAnUnfinishedStreamDoesNotBlockItsDecoder: a decoder that stopped in the middle of a frame, as it is
// too large, goes back into the pool and must serve the next batch.
func TestAnUnfinishedStreamDoesNotBlockItsDecoder(t *testing.T) {
	huge, err := compress(Zstd, defaultLevel(Zstd), nil, make([]byte, 8<<20)) // unfolds too far to be believed at once
	if err != nil {
		t.Fatal(err)
	}
	plain := bytes.Repeat([]byte("abcdefg"), 100) // large enough that its frame says how large it is
	small, err := compress(Zstd, defaultLevel(Zstd), nil, plain)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for range 200 { // the pool drops some
			if _, err := decompress(Zstd, nil, huge, 1<<20); !errors.Is(err, ErrTooLarge) {
				done <- fmt.Errorf("%w, want too large", err)
				return
			}
			if got, err := decompress(Zstd, nil, small, 1<<20); err != nil || !bytes.Equal(got, plain) {
				done <- fmt.Errorf("%q, %w", got, err)
				return
			}
		}
		done <- nil
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("a decoder waits for itself")
	}
}
