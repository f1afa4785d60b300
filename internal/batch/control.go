package batch

import "encoding/binary"

// Marker is the one record of a control batch that ends a producer's transaction in a partition:
//
//	key   0 version int16 = 0 | 2 type int16: 0 abort, 1 commit
//	value 0 version int16 = 0 | 2 coordinator epoch int32
type Marker struct {
	Commit           bool
	CoordinatorEpoch int32
}

// EncodeMarker builds the control batch of a marker; its producer is in o.
func EncodeMarker(m Marker, timestampMs int64, o Options) []byte {
	o.Transactional, o.Control, o.BaseSequence = true, true, -1
	return Encode([]Record{m.Record(timestampMs)}, o)
}

// Record is the marker as the record of its batch.
func (m Marker) Record(timestampMs int64) Record {
	key, value := make([]byte, 4), make([]byte, 6)
	if m.Commit {
		key[3] = 1
	}
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	return Record{TimestampMs: timestampMs, Key: key, Value: value}
}

// ReadMarker reads the record of a control batch; ok is false for control records of other kinds.
func ReadMarker(r Record) (m Marker, ok bool) {
	if len(r.Key) < 4 || len(r.Value) < 6 {
		return m, false
	}
	kind := binary.BigEndian.Uint16(r.Key[2:])
	return Marker{Commit: kind == 1, CoordinatorEpoch: int32(binary.BigEndian.Uint32(r.Value[2:]))}, kind <= 1
}
