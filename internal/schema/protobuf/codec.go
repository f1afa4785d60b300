package protobuf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"kelp/internal/schema/record"
)

// codec is the record.Codec of one message of a schema.
type codec struct {
	shape  *shape
	limits record.Limits
	sizes  record.Sizes
	view   func() (*view, error) // made when first asked for
	types  *messageTypes
}

// Codec makes the codec of the message that the options' indexes name.
func (s *Schema) Codec(o record.Options) (record.Codec, error) {
	names, err := s.messagePath(o.MessageIndexes)
	if err != nil {
		return nil, err
	}
	m, l, err := s.message(names)
	if err != nil {
		return nil, err
	}
	c := &codec{shape: shapes{}.of(m), limits: o.Limits.WithDefaults(), types: &messageTypes{l.linker}}
	c.view = sync.OnceValues(func() (*view, error) { return newView(c.shape) })
	return c, nil
}

// RecordType has the message's fields in the order of the text.
func (c *codec) RecordType() (*record.RecordType, error) {
	v, err := c.view()
	if err != nil {
		return nil, err
	}
	return v.record, nil
}

// AppendJSON writes protobuf's JSON mapping, compact. Unknown fields are not in it.
func (c *codec) AppendJSON(dst, payload []byte) ([]byte, error) {
	if err := c.Validate(payload); err != nil {
		return nil, err
	}
	m := dynamicpb.NewMessage(c.shape.desc)
	// Validation has counted depth in the same way; the limit here is that of the library's own calls.
	if err := (proto.UnmarshalOptions{Resolver: c.types, RecursionLimit: c.limits.Depth + 1}).Unmarshal(payload, m); err != nil {
		return nil, fmt.Errorf("%w: %w", record.ErrPayload, err)
	}
	raw, err := protojson.MarshalOptions{Resolver: c.types}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", record.ErrRefused, err)
	}
	// The library varies its white space on purpose.
	b := bytes.NewBuffer(dst)
	if err := json.Compact(b, raw); err != nil {
		return nil, fmt.Errorf("%w: %w", record.ErrRefused, err)
	}
	return b.Bytes(), nil
}

// messageTypes finds the messages in a google.protobuf.Any among those that the schema reaches.
type messageTypes struct{ l *linker }

// FindMessageByName makes a dynamic type of a linked message.
func (t *messageTypes) FindMessageByName(name protoreflect.FullName) (protoreflect.MessageType, error) {
	m := t.l.message(name)
	if m == nil {
		return nil, protoregistry.NotFound
	}
	return dynamicpb.NewMessageType(m), nil
}

// FindMessageByURL looks at the name after the last slash.
func (t *messageTypes) FindMessageByURL(url string) (protoreflect.MessageType, error) {
	for i := len(url) - 1; i >= 0; i-- {
		if url[i] == '/' {
			return t.FindMessageByName(protoreflect.FullName(url[i+1:]))
		}
	}
	return t.FindMessageByName(protoreflect.FullName(url))
}

// FindExtensionByName finds none: extensions stay unknown fields.
func (t *messageTypes) FindExtensionByName(protoreflect.FullName) (protoreflect.ExtensionType, error) {
	return nil, protoregistry.NotFound
}

// FindExtensionByNumber finds none either.
func (t *messageTypes) FindExtensionByNumber(
	protoreflect.FullName, protoreflect.FieldNumber,
) (protoreflect.ExtensionType, error) {
	return nil, protoregistry.NotFound
}
