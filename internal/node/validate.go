package node

import (
	"time"

	"kelp/internal/config"
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

// openValidator makes what judges the batches of topics with schema validation.
func (n *Node) openValidator(p parts) *validate.Validator {
	n.validator = validate.New(validate.Options{
		Registries: &n.schemas, Formats: []schema.Format{jsonschema.Format{}, protobuf.Format{}, avro.Format{}},
		Fresh: func(registry string) time.Duration {
			if registry == config.EmbeddedRegistry || registry == "" && n.schemas.external == nil {
				return embeddedFresh
			}
			return externalFresh
		},
		Now: time.Now, Metrics: p.metrics, Note: p.logger.Warn,
	})
	return n.validator
}
