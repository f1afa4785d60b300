package diff

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// start is the timestamp of the first record of every batch: an hour that both servers accept, the same for both.
var start int64

// Batch encodes a v2 batch of the values; change may spoil it before the checksum is made.
func Batch(change func(*kmsg.RecordBatch), values ...string) []byte {
	b := kmsg.NewRecordBatch()
	b.PartitionLeaderEpoch, b.Magic = -1, 2
	b.FirstTimestamp, b.MaxTimestamp = start, start+int64(len(values)-1)
	b.LastOffsetDelta, b.NumRecords = int32(len(values)-1), int32(len(values))
	b.ProducerID, b.ProducerEpoch, b.FirstSequence = -1, -1, -1
	for i, v := range values {
		r := kmsg.NewRecord()
		r.Key, r.Value = []byte("k"), []byte(v)
		r.OffsetDelta, r.TimestampDelta64 = int32(i), int64(i)
		// The length does not count itself; as 0 it takes one byte.
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		b.Records = r.AppendTo(b.Records)
	}
	if change != nil {
		change(&b)
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	sum := crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(raw[17:], sum^uint32(b.CRC)) // a CRC that is not 0 spoils the sum
	return raw
}
