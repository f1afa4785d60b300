package batch

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// HeaderBytes is the size of a v2 batch without its records.
const HeaderBytes = 61

// The faults a batch can have. A caller maps them to Kafka's codes.
var (
	ErrCorrupt     = errors.New("corrupt batch")          // CORRUPT_MESSAGE
	ErrInvalid     = errors.New("invalid record")         // INVALID_RECORD
	ErrCompression = errors.New("unsupported codec")      // UNSUPPORTED_COMPRESSION_TYPE
	ErrTooLarge    = errors.New("batch unfolds too far")  // MESSAGE_TOO_LARGE
	ErrMagic       = errors.New("unsupported magic byte") // UNSUPPORTED_FOR_MESSAGE_FORMAT
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header is the front of a v2 batch:
//
//	0  base offset int64      | 8  length int32 (of what follows)   | 12 leader epoch int32
//	16 magic int8 = 2         | 17 CRC-32C uint32 (of 21 to the end)| 21 attributes int16
//	23 last offset delta int32| 27 base timestamp int64             | 35 max timestamp int64
//	43 producer id int64      | 51 producer epoch int16             | 53 base sequence int32
//	57 record count int32     | 61 records, compressed as attributes bits 0-2 say
type Header struct {
	BaseOffset      int64
	Length          int32
	LeaderEpoch     int32
	Magic           int8
	CRC             uint32
	Attributes      int16
	LastOffsetDelta int32
	BaseTimestampMs int64
	MaxTimestampMs  int64
	ProducerID      int64
	ProducerEpoch   int16
	BaseSequence    int32
	Count           int32
}

// ReadHeader reads the header of the first batch in b, which must hold at least HeaderBytes.
func ReadHeader(b []byte) (Header, error) {
	if len(b) < HeaderBytes {
		return Header{}, ErrCorrupt
	}
	be := binary.BigEndian
	h := Header{
		BaseOffset: int64(be.Uint64(b)), Length: int32(be.Uint32(b[8:])), LeaderEpoch: int32(be.Uint32(b[12:])),
		Magic: int8(b[16]), CRC: be.Uint32(b[17:]), Attributes: int16(be.Uint16(b[21:])),
		LastOffsetDelta: int32(be.Uint32(b[23:])), BaseTimestampMs: int64(be.Uint64(b[27:])), MaxTimestampMs: int64(be.Uint64(b[35:])),
		ProducerID: int64(be.Uint64(b[43:])), ProducerEpoch: int16(be.Uint16(b[51:])), BaseSequence: int32(be.Uint32(b[53:])),
		Count: int32(be.Uint32(b[57:])),
	}
	if h.Magic != 2 {
		return h, ErrMagic
	}
	if h.Length < HeaderBytes-12 {
		return h, ErrCorrupt
	}
	return h, nil
}

// Bits of the attributes above the codec's three.
const (
	logAppendTimeBit = 1 << 3
	transactionalBit = 1 << 4
	controlBit       = 1 << 5
	deleteHorizonBit = 1 << 6
)

// Codec is the compression of the records.
func (h Header) Codec() Codec { return Codec(h.Attributes & 7) }

// LogAppendTime reports that the timestamps are the server's.
func (h Header) LogAppendTime() bool { return h.Attributes&logAppendTimeBit != 0 }

// Transactional reports that the batch belongs to a transaction.
func (h Header) Transactional() bool { return h.Attributes&transactionalBit != 0 }

// Control reports that the batch holds markers, not user records.
func (h Header) Control() bool { return h.Attributes&controlBit != 0 }

// DeleteHorizon is the time from which the cleaner may drop the tombstones or the marker of the
// batch. Such a batch has it in place of the base timestamp (KIP-534).
func (h Header) DeleteHorizon() (ms int64, set bool) {
	return h.BaseTimestampMs, h.Attributes&deleteHorizonBit != 0
}

// LastOffset is the offset of the last record, or where it was before compaction.
func (h Header) LastOffset() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) }

// TotalBytes is the size of the whole batch.
func (h Header) TotalBytes() int { return int(h.Length) + 12 }

// VerifyCRC checks the batch at the front of b against its checksum.
func (h Header) VerifyCRC(b []byte) error {
	if len(b) < h.TotalBytes() || crc32.Checksum(b[21:h.TotalBytes()], castagnoli) != h.CRC {
		return ErrCorrupt
	}
	return nil
}

// Sum is the checksum of the last covers bytes of the batch b, as it says itself.
func Sum(b []byte) (covers int, crc32c uint32) { return len(b) - 21, binary.BigEndian.Uint32(b[17:]) }

// SetBaseOffset patches the base offset, which the checksum does not cover.
func SetBaseOffset(b []byte, base int64) { binary.BigEndian.PutUint64(b, uint64(base)) }

// SetLeaderEpoch patches the leader epoch, which the checksum does not cover.
func SetLeaderEpoch(b []byte, epoch int32) { binary.BigEndian.PutUint32(b[12:], uint32(epoch)) }

// SetLogAppendTime makes ms the time of all records of the batch b and renews the checksum. It gives
// the attribute that says so.
func SetLogAppendTime(b []byte, ms int64) (attribute int16) {
	b[22] |= logAppendTimeBit
	binary.BigEndian.PutUint64(b[35:], uint64(ms))
	sealCRC(b)
	return logAppendTimeBit
}

// SetMaxTimestamp patches the largest timestamp and renews the checksum.
func SetMaxTimestamp(b []byte, ms int64) {
	binary.BigEndian.PutUint64(b[35:], uint64(ms))
	sealCRC(b)
}

func sealCRC(b []byte) { binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli)) }
