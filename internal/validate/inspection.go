package validate

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"kelp/internal/batch"
	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/schema/envelope"
	"kelp/internal/topic"
)

// MarkHeader is the record header that permissive topics put on a bad record; its value says what is
// wrong, such as "value: schema id 7 is not known to the registry".
const MarkHeader = "kelp.schema.invalid"

// inspection judges one batch. It is used by one goroutine at a time.
type inspection struct {
	v               *Validator
	rules           *cluster.Validation
	topic, registry string

	// What was found out for this batch; it outlives Reset.
	own      map[useKey]answer
	protobuf map[schemaKey]bool
	until    time.Time // when waiting ends

	// Of the walk under way.
	last     [2]memo // by side: most records of a batch name one schema
	missing  map[useKey]struct{}
	bad      []topic.RecordError
	badCount int
	marks    []batch.Mark
	closed   error // a record cannot be checked, and the topic fails closed
	tally    tally
}

// memo is the last schema of a side that may be used.
type memo struct {
	id      schemaID
	named   bool // message counts
	message envelope.Indexes
	use     *use
}

// answer to a question. With none of it set, the schema is a Protobuf one and the message counts.
type answer struct {
	use         *use
	refusal     *refusal
	unavailable error
}

var _ topic.Inspection = (*inspection)(nil)

// Reset implements topic.Inspection.
func (in *inspection) Reset() {
	in.last, in.missing, in.bad, in.badCount, in.marks, in.closed, in.tally = [2]memo{}, nil, nil, 0, nil, nil, tally{}
}

// See implements topic.Inspection.
func (in *inspection) See(index int32, r batch.Record) {
	if in.rules.Key {
		in.side(index, keySide, r.Key, &r)
	}
	if in.rules.Value {
		in.side(index, valueSide, r.Value, &r)
	}
}

func (in *inspection) side(index int32, s side, body []byte, r *batch.Record) {
	if body == nil {
		in.tally.nulls++
		return
	}
	e, err := envelope.Parse(body, r.LastHeader(s.header()))
	if err != nil {
		in.refuse(index, s, refuse(unframed, "%v", err))
		return
	}
	id := schemaID{e.HasGUID, e.ID, e.GUID}
	last := &in.last[sideIndex(s)]
	if last.use != nil && !last.named && last.id == id {
		in.plain(index, s, last.use, id, &e)
		return
	}
	q := useKey{
		schema: schemaKey{registry: in.registry, context: in.rules.Context, schemaID: id},
		topic:  in.topic, strategy: in.strategy(s), side: s,
	}
	counts := in.messageCounts(s)
	if counts && (last.use != nil && last.id == id || in.protobuf[q.schema] || in.v.known.protobuf(q.schema)) {
		in.message(index, q, &e)
		return
	}
	switch a := in.answer(q); {
	case a.use != nil && counts && a.use.schema.version.Type == schema.Protobuf:
		in.message(index, q, &e)
	case a.use != nil:
		*last = memo{id: id, use: a.use}
		in.plain(index, s, a.use, id, &e)
	case a.refusal != nil:
		in.refuse(index, s, a.refusal)
	case a.unavailable != nil:
		in.unchecked(index, s, a.unavailable)
	}
}

func sideIndex(s side) int {
	if s == keySide {
		return 0
	}
	return 1
}

func (in *inspection) strategy(s side) string {
	if s == keySide {
		return in.rules.KeyStrategy
	}
	return in.rules.ValueStrategy
}

// messageCounts says whether the message of a Protobuf schema makes a difference.
func (in *inspection) messageCounts(s side) bool {
	return in.rules.Payload || in.strategy(s) != cluster.TopicNameStrategy
}

// plain judges the payload of a schema without message indexes, or where they do not count.
func (in *inspection) plain(index int32, s side, u *use, id schemaID, e *envelope.Envelope) {
	if !in.rules.Payload {
		in.tally.valid++
		return
	}
	payload, err := e.Payload()
	if err != nil {
		in.refuse(index, s, refuse(unframed, "%v", err))
		return
	}
	if err := u.validate(payload); err != nil {
		in.refuse(index, s, refuse(badPayload, "schema %s: %v", id, err))
		return
	}
	in.tally.valid++
}

// validate decodes a payload.
func (u *use) validate(payload []byte) error {
	if u.codec == nil {
		return u.failed
	}
	return u.codec.Validate(payload)
}

// message judges a record of a Protobuf schema. One JavaScript client writes no message indexes: what
// does not read with them is taken as the first message without.
func (in *inspection) message(index int32, q useKey, e *envelope.Envelope) {
	q.named = true
	x, payload, err := e.Message()
	var bad *refusal
	if err != nil {
		bad = refuse(unframed, "%v", err)
	} else if bad = in.try(index, &q, x, payload); bad == nil {
		return
	}
	first, payload := envelope.Indexes{}, e.Rest
	if e.InHeader {
		payload = e.Body
	}
	if again := in.try(index, &q, first, payload); again != nil {
		in.refuse(index, q.side, bad)
	}
}

// try judges a payload as one message. nil says that the record has its judgement, or waits for it.
func (in *inspection) try(index int32, q *useKey, x envelope.Indexes, payload []byte) *refusal {
	if x.First() {
		x = envelope.Indexes{} // one way to write the first message
	}
	q.message = x
	last := &in.last[sideIndex(q.side)]
	a := answer{use: last.use}
	if last.use == nil || !last.named || last.id != q.schema.schemaID || last.message != x {
		a = in.answer(*q)
	}
	switch {
	case a.refusal != nil:
		return a.refusal
	case a.unavailable != nil:
		in.unchecked(index, q.side, a.unavailable)
	case a.use != nil:
		*last = memo{id: q.schema.schemaID, named: true, message: x, use: a.use}
		if in.rules.Payload {
			if err := a.use.validate(payload); err != nil {
				return refuse(badPayload, "schema %s: %v", q.schema.schemaID, err)
			}
		}
		in.tally.valid++
	}
	return nil
}

// answer gives what is known of a question, or notes that it is to be asked.
func (in *inspection) answer(q useKey) answer {
	if a, ok := in.own[q]; ok {
		return a
	}
	if u, old := in.v.known.find(q); u != nil {
		if old {
			in.v.renew(q)
		}
		return answer{use: u}
	}
	if _, asked := in.missing[q]; !asked && len(in.own)+len(in.missing) >= maxSchemasInBatch {
		return answer{refusal: refuse(tooMany, "the batch names more than %d schemas", maxSchemasInBatch)}
	}
	if in.missing == nil {
		in.missing = map[useKey]struct{}{}
	}
	in.missing[q] = struct{}{}
	return answer{}
}

func (in *inspection) refuse(index int32, s side, why *refusal) {
	in.tally.bad(why.reason)
	words := s.String() + ": " + why.words
	in.badCount++
	if in.rules.Permissive {
		in.mark(index, words)
		return
	}
	if n := len(in.bad); n > 0 && in.bad[n-1].Index == index {
		in.bad[n-1].Message += "; " + words // its key and its value
	} else if n < maxRecordErrors {
		in.bad = append(in.bad, topic.RecordError{Index: index, Message: words})
	}
}

// mark adds to the mark of a record, or makes one.
func (in *inspection) mark(index int32, words string) {
	if n := len(in.marks); n > 0 && in.marks[n-1].Index == index {
		h := &in.marks[n-1].Header
		h.Value = fmt.Appendf(h.Value, "; %s", words)
		return
	}
	in.marks = append(in.marks, batch.Mark{Index: index, Header: batch.RecordHeader{Key: MarkHeader, Value: []byte(words)}})
}

// unchecked judges a record while the registry does not answer.
func (in *inspection) unchecked(index int32, s side, why error) {
	in.tally.bad(unchecked)
	switch {
	case in.rules.FailOpen:
	case in.rules.Permissive:
		in.mark(index, fmt.Sprintf("%s: unchecked: %v", s, why))
	default:
		in.closed = why
	}
}

// Verdict implements topic.Inspection.
func (in *inspection) Verdict() ([]batch.Mark, error) {
	if len(in.missing) > 0 {
		return nil, in.undecided()
	}
	in.tally.sum(in.v.metrics, in.topic)
	switch {
	case len(in.bad) > 0:
		in.v.metrics.refused(in.topic)
		return nil, &topic.Rejected{
			Err: kerr.InvalidRecord, Records: in.bad,
			Message: fmt.Sprintf("one or more records have been rejected by schema validation: %d in all, the first is record %d: %s",
				in.badCount, in.bad[0].Index, in.bad[0].Message),
		}
	case in.closed != nil:
		in.v.metrics.undecidable(in.topic)
		return nil, &topic.Rejected{Err: kerr.NotEnoughReplicas, Message: fmt.Sprintf("schemas cannot be checked: %v", in.closed)}
	}
	return in.marks, nil
}

// undecided begins to look up what is missing.
func (in *inspection) undecided() error {
	if in.own == nil {
		in.own, in.protobuf = map[useKey]answer{}, map[schemaKey]bool{}
	}
	asked := map[useKey]*flight{}
	for q := range in.missing {
		if len(asked) == lookupsAtOnce {
			break
		}
		asked[q] = in.v.ask(q)
	}
	return &topic.Undecided{Wait: func() { in.wait(asked) }}
}

// wait gathers answers. When the time of the batch is up, what has none counts as unavailable.
func (in *inspection) wait(asked map[useKey]*flight) {
	timer := time.NewTimer(max(0, in.until.Sub(in.v.o.Now())))
	defer timer.Stop()
	late := false
	for q, f := range asked {
		if !late {
			select {
			case <-f.done:
			case <-timer.C:
				late = true
			}
		}
		select {
		case <-f.done:
			in.own[q] = f.answer
			if a := f.answer; a.use == nil && a.refusal == nil && a.unavailable == nil {
				in.protobuf[q.schema] = true
			}
		default:
			in.own[q] = answer{unavailable: errSlow}
		}
	}
}
