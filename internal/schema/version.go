package schema

import (
	"context"
	"errors"
	"strconv"
)

// Content is a schema as it is registered in a context: what an id stands for. It never changes.
type Content struct {
	ID         int32
	GUID       GUID
	Type       Type
	Text       string // canonical
	References []Reference
	Metadata   *Metadata
	RuleSet    *RuleSet
}

// Sum works the guid out.
func (c *Content) Sum() GUID { return guidOf(c.Text, c.References, c.Metadata, c.RuleSet) }

// same says whether two contents are one schema, whatever their ids.
func (c *Content) same(o *Content) bool {
	return c.GUID == o.GUID && c.Type == o.Type && c.Text == o.Text
}

// Resembles says whether a version is of the same type with the same rules and the same metadata,
// but for its own number in it: then only the texts decide whether they are one schema.
func (c *Content) Resembles(v *Version) bool {
	if c.Type != v.Type || !c.RuleSet.equal(v.RuleSet) {
		return false
	}
	mine, numbered := c.Metadata.property(versionProperty)
	_, theirs := v.Metadata.property(versionProperty)
	switch {
	case numbered == theirs:
		return c.Metadata.equal(v.Metadata)
	case numbered && mine != strconv.Itoa(int(v.Number)):
		return false
	}
	a, b := c.Metadata.withoutVersion(), v.Metadata.withoutVersion()
	if a == nil {
		a = &Metadata{}
	}
	if b == nil {
		b = &Metadata{}
	}
	return a.equal(b)
}

// Version is one version of a subject. It never changes: deleting it puts another in its place.
type Version struct {
	*Content
	Subject     string // qualified
	Number      int32
	Deleted     bool // softly
	TimestampMs int64
}

// Latest asks for the newest version that is not deleted.
const Latest = int32(-1)

// Draft is a schema that somebody wants registered, looked up or compared.
type Draft struct {
	Type       Type // empty: Avro
	Text       string
	References []Reference
	Metadata   *Metadata
	RuleSet    *RuleSet
	// ID and Version are what an import asks for. ID is -1 and Version 0 without a wish; Version
	// -1 asks for the next one to be noted in the metadata.
	ID      int32
	Version int32
}

// NoID is the Draft.ID of everything but an import.
const NoID = int32(-1)

// ErrNoRegistry says that there is no registry of a name.
var ErrNoRegistry = errors.New("there is no such schema registry")

// Registries finds the registry that a topic's records refer to. The name is the value in force of the topic's config
// kelp.schema.registry; the empty one is the server's own choice: the external registry if there is one, else the
// embedded one. Errors wrap ErrNoRegistry. Asking costs a map look-up and no request, so ask for each batch rather
// than remember the answer.
type Registries interface {
	Named(name string) (Registry, error)
}

// Registry is what the schema-aware parts of Kelp see of a registry, embedded or external.
type Registry interface {
	// ByID gives the schema of an id. A subject picks the context; empty means the default one.
	ByID(ctx context.Context, subject string, id int32) (*Version, error)
	// ByGUID gives the schema of a guid in whatever context has it; its ID and subject may be empty.
	ByGUID(ctx context.Context, g GUID) (*Version, error)
	// Version gives a version of a subject, or its Latest.
	Version(ctx context.Context, subject string, number int32) (*Version, error)
	// Register makes the draft a version of the subject, or finds the one that it already is.
	Register(ctx context.Context, subject string, d Draft, normalize bool) (*Version, error)
	// Lookup finds the version of the subject that the draft is.
	Lookup(ctx context.Context, subject string, d Draft, normalize bool) (*Version, error)
	// Check compares the draft with a version of the subject, or with all that the level names
	// when number is zero.
	Check(ctx context.Context, subject string, number int32, d Draft) (Verdict, error)
	// Source gives a version's text with everything that it refers to.
	Source(ctx context.Context, v *Version) (Source, error)
}
