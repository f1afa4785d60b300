package batch

import "encoding/binary"

// Options are the header fields of a batch to build.
type Options struct {
	BaseOffset    int64
	LeaderEpoch   int32
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	LogAppendTime bool
	Transactional bool
	Control       bool
}

// NoProducer is Options for a batch without a producer id.
func NoProducer() Options { return Options{ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1} }

// EncodeAt is Encode with the offsets that the records have: ascending, with holes where there are none.
func EncodeAt(recs []Record, o Options) []byte {
	if len(recs) == 0 {
		panic("batch: no records")
	}
	o.BaseOffset = recs[0].Offset
	return encode(recs, o, func(i int) int64 { return recs[i].Offset - o.BaseOffset })
}

// Encode builds one uncompressed v2 batch. Offsets of the records are base offset, base offset
// plus one and so on, whatever they say themselves. It panics on no records.
func Encode(recs []Record, o Options) []byte {
	if len(recs) == 0 {
		panic("batch: no records")
	}
	return encode(recs, o, func(i int) int64 { return int64(i) })
}

func encode(recs []Record, o Options, delta func(i int) int64) []byte {
	base, latest := recs[0].TimestampMs, recs[0].TimestampMs
	for _, r := range recs {
		latest = max(latest, r.TimestampMs)
	}
	be := binary.BigEndian
	b := make([]byte, HeaderBytes, HeaderBytes+64*len(recs))
	var body []byte
	for i, r := range recs {
		body = appendRecord(body[:0], r, r.TimestampMs-base, delta(i))
		b = binary.AppendVarint(b, int64(len(body)))
		b = append(b, body...)
	}
	be.PutUint64(b, uint64(o.BaseOffset))
	be.PutUint32(b[8:], uint32(len(b)-12))
	be.PutUint32(b[12:], uint32(o.LeaderEpoch))
	b[16] = 2
	if o.LogAppendTime {
		b[22] |= logAppendTimeBit
	}
	if o.Transactional {
		b[22] |= transactionalBit
	}
	if o.Control {
		b[22] |= controlBit
	}
	be.PutUint32(b[23:], uint32(delta(len(recs)-1)))
	be.PutUint64(b[27:], uint64(base))
	be.PutUint64(b[35:], uint64(latest))
	be.PutUint64(b[43:], uint64(o.ProducerID))
	be.PutUint16(b[51:], uint16(o.ProducerEpoch))
	be.PutUint32(b[53:], uint32(o.BaseSequence))
	be.PutUint32(b[57:], uint32(len(recs)))
	sealCRC(b)
	return b
}

func appendRecord(b []byte, r Record, timestampDelta, offsetDelta int64) []byte {
	b = append(b, 0)
	b = binary.AppendVarint(b, timestampDelta)
	b = binary.AppendVarint(b, offsetDelta)
	b = appendNullable(b, r.Key)
	b = appendNullable(b, r.Value)
	b = binary.AppendVarint(b, int64(len(r.Headers)))
	for _, h := range r.Headers {
		b = binary.AppendVarint(b, int64(len(h.Key)))
		b = append(b, h.Key...)
		b = appendNullable(b, h.Value)
	}
	return b
}

func appendNullable(b, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(v))), v...)
}
