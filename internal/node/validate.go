package node

import (
	"errors"
	"time"

	"kelp/internal/cluster"
	"kelp/internal/schema"
	"kelp/internal/schema/avro"
	"kelp/internal/schema/jsonschema"
	"kelp/internal/schema/protobuf"
	"kelp/internal/validate"
)

// How long a schema that was looked up for validation is believed: the embedded registry costs nothing
// to ask, an external one is asked over the network.
const (
	embeddedFresh = time.Second
	externalFresh = 30 * time.Second
)

// formats are the schema formats that are served.
var formats = []schema.Format{jsonschema.Format{}, protobuf.Format{}, avro.Format{}}

var errNoRegistry = errors.New("this server has no schema registry: start it with --registry or --registry-url")

// openValidator makes what judges the batches of topics with schema validation.
func (n *Node) openValidator(p parts) *validate.Validator {
	fresh := embeddedFresh
	if n.schemas.external != nil {
		fresh = externalFresh
	}
	n.validator = validate.New(validate.Options{
		Registry: func(*cluster.TopicConfig) (string, schema.Registry, error) {
			if n.schemas.registry == nil {
				return "", nil, errNoRegistry
			}
			return "", n.schemas.registry, nil
		},
		Formats: formats, Fresh: fresh, Now: time.Now, Metrics: p.metrics, Note: p.logger.Warn,
	})
	return n.validator
}
