package bare

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ValueBytes is the size of a record's value in the loads of 1 KiB records.
const ValueBytes = 1024

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Values makes n values of words from a dictionary: lz4 halves them, as it does logs and JSON.
func Values(n, size int, seed uint64) [][]byte {
	r := rand.New(rand.NewPCG(seed, 1))
	words := make([][]byte, 512)
	for i := range words {
		w := make([]byte, 3+r.IntN(8))
		for j := range w {
			w[j] = byte('a' + r.IntN(26))
		}
		words[i] = append(w, ' ')
	}
	out := make([][]byte, n)
	for i := range out {
		for len(out[i]) < size {
			out[i] = append(out[i], words[r.IntN(len(words))]...)
		}
		out[i] = out[i][:size]
	}
	return out
}

// Batch builds a v2 batch of the values without keys. ts is every record's timestamp in ms.
func Batch(values [][]byte, useLZ4 bool, ts int64) []byte {
	var records []byte
	for i, v := range values {
		var body []byte
		body = append(body, 0, 0) // attributes, timestamp delta
		body = binary.AppendVarint(body, int64(i))
		body = binary.AppendVarint(body, -1)
		body = binary.AppendVarint(body, int64(len(v)))
		body = append(body, v...)
		body = append(body, 0)
		records = append(binary.AppendVarint(records, int64(len(body))), body...)
	}
	b := kmsg.RecordBatch{
		Magic: 2, LastOffsetDelta: int32(len(values) - 1), FirstTimestamp: ts, MaxTimestamp: ts,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(len(values)), Records: records,
		PartitionLeaderEpoch: -1,
	}
	if useLZ4 {
		b.Attributes, b.Records = 3, lz4Frame(records)
	}
	b.Length = int32(61 - 12 + len(b.Records))
	out := b.AppendTo(nil)
	Seal(out)
	return out
}

func lz4Frame(src []byte) []byte {
	var w sliceWriter
	z := lz4.NewWriter(&w)
	_ = z.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false)) // constants that are right
	_, _ = z.Write(src)                                                        // a slice takes everything
	_ = z.Close()
	return w
}

type sliceWriter []byte

func (w *sliceWriter) Write(b []byte) (int, error) {
	*w = append(*w, b...)
	return len(b), nil
}

// Seal renews the checksum of a batch.
func Seal(b []byte) { binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli)) }

// Sequence makes the batch the given one of an idempotent producer.
func Sequence(b []byte, producerID int64, epoch int16, sequence int32) {
	binary.BigEndian.PutUint64(b[43:], uint64(producerID))
	binary.BigEndian.PutUint16(b[51:], uint16(epoch))
	binary.BigEndian.PutUint32(b[53:], uint32(sequence))
	Seal(b)
}

// Produce builds a produce request v8 of one batch with acks=all; the batch is its last bytes.
func Produce(topic string, partition int32, batch []byte) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 8, -1, 30_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return Frame(req, 1)
}

// ProduceError is the error code in a response to Produce (v8, without its size), for one partition:
//
//	correlation int32 | topics int32 | topic string | partitions int32 | index int32 | error int16
func ProduceError(resp []byte) int16 {
	name := int(binary.BigEndian.Uint16(resp[8:]))
	return int16(binary.BigEndian.Uint16(resp[10+name+8:]))
}
