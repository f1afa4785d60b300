package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kelp/internal/schema"
	"kelp/internal/schema/client"
)

// versionJSON is a version as -o json prints it.
type versionJSON struct {
	Subject    string             `json:"subject,omitempty"`
	Version    int32              `json:"version,omitempty"`
	ID         int32              `json:"id,omitempty"`
	GUID       string             `json:"guid"`
	Type       schema.Type        `json:"schemaType"`
	References []schema.Reference `json:"references,omitempty"`
	Metadata   *schema.Metadata   `json:"metadata,omitempty"`
	RuleSet    *schema.RuleSet    `json:"ruleSet,omitempty"`
	Schema     string             `json:"schema"`
}

func shown(v *schema.Version) versionJSON {
	return versionJSON{v.Subject, v.Number, v.ID, v.GUID.String(), v.Type, v.References, v.Metadata, v.RuleSet, v.Text}
}

func schemaRegister(f *schemaFlags) *cobra.Command {
	var kind string
	var normalize bool
	var references, properties []string
	c := &cobra.Command{
		Use: "register SUBJECT FILE", Short: "Register a schema in a subject",
		Example: `  kelp schema register orders-value orders.avsc
  kelp schema register orders-value orders.proto --ref common/money.proto=common/money.proto:1`,
		Args: needs(2, 2, "a SUBJECT and a FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			d := schema.Draft{ID: schema.NoID}
			var err error
			if d.Type, err = typeOf(kind, args[1]); err != nil {
				return err
			}
			if d.Text, err = readText(c, args[1]); err != nil {
				return err
			}
			for _, r := range references {
				reference, err := parseReference(r)
				if err != nil {
					return err
				}
				d.References = append(d.References, reference)
			}
			for _, p := range properties {
				name, value, ok := strings.Cut(p, "=")
				if !ok {
					return fmt.Errorf("--property %q: write name=value", p)
				}
				if d.Metadata == nil {
					d.Metadata = &schema.Metadata{Properties: map[string]string{}}
				}
				d.Metadata.Properties[name] = value
			}
			return f.with(c, func(ctx context.Context, cl *client.Client) error {
				v, err := cl.Register(ctx, args[0], d, normalize)
				if err != nil {
					return err
				}
				return f.print(c, shown(v), func(w io.Writer) {
					fmt.Fprintf(w, "%s version %d has id %d\n", args[0], v.Number, v.ID)
				})
			})
		},
	}
	c.Flags().StringVarP(&kind, "type", "t", "", "avro, protobuf or json; the file's name says it otherwise")
	c.Flags().BoolVar(&normalize, "normalize", false, "bring the text into its normal form first")
	c.Flags().StringArrayVarP(&references, "ref", "r", nil, "name=SUBJECT:VERSION of a schema that this one uses; the version may be latest")
	c.Flags().StringArrayVar(&properties, "property", nil, "name=value to keep in the metadata")
	return c
}

func parseReference(text string) (schema.Reference, error) {
	name, rest, ok := strings.Cut(text, "=")
	colon := strings.LastIndexByte(rest, ':')
	if !ok || colon <= 0 {
		return schema.Reference{}, fmt.Errorf("--ref %q: write name=SUBJECT:VERSION", text)
	}
	number, err := parseVersion(rest[colon+1:])
	return schema.Reference{Name: name, Subject: rest[:colon], Version: number}, err
}

func parseVersion(text string) (int32, error) {
	if text == "latest" {
		return schema.Latest, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 1 {
		return 0, trouble(fmt.Errorf("version %q: write a number from 1, or latest", text))
	}
	return int32(n), nil
}

func schemaGet(f *schemaFlags) *cobra.Command {
	var id int32
	var guid string
	c := &cobra.Command{
		Use: "get [SUBJECT [VERSION]]", Short: "Print a schema by subject and version, id or guid",
		Example: `  kelp schema get orders-value
  kelp schema get orders-value 3 -o json
  kelp schema get --id 17`,
		Args: needs(0, 2, "a SUBJECT and perhaps a VERSION"),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(c, func(ctx context.Context, cl *client.Client) error {
				v, err := find(ctx, cl, args, id, guid)
				if err != nil {
					return err
				}
				return f.print(c, shown(v), func(w io.Writer) { fmt.Fprintln(w, strings.TrimSuffix(v.Text, "\n")) })
			})
		},
	}
	c.Flags().Int32Var(&id, "id", 0, "id of the schema, in the context of SUBJECT if one is given")
	c.Flags().StringVar(&guid, "guid", "", "guid of the schema")
	return c
}

func find(ctx context.Context, cl *client.Client, args []string, id int32, guid string) (*schema.Version, error) {
	subject := ""
	if len(args) > 0 {
		subject = args[0]
	}
	switch {
	case guid != "":
		g, ok := schema.ParseGUID(guid)
		if !ok {
			return nil, trouble(fmt.Errorf("--guid %q is no guid", guid))
		}
		return cl.ByGUID(ctx, g)
	case id != 0:
		return cl.ByID(ctx, subject, id)
	case subject == "":
		return nil, trouble(fmt.Errorf("name a SUBJECT, --id or --guid"))
	}
	number := schema.Latest
	if len(args) > 1 {
		var err error
		if number, err = parseVersion(args[1]); err != nil {
			return nil, err
		}
	}
	return cl.Version(ctx, subject, number)
}

func schemaList(f *schemaFlags) *cobra.Command {
	var prefix string
	var deleted bool
	c := &cobra.Command{
		Use: "list [SUBJECT]", Short: "List subjects, or the versions of one",
		Args: needs(0, 1, "at most one SUBJECT"),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(c, func(ctx context.Context, cl *client.Client) error {
				if len(args) == 0 {
					subjects, err := cl.Subjects(ctx, prefix, deleted)
					if err != nil {
						return err
					}
					return f.print(c, subjects, func(w io.Writer) {
						for _, s := range subjects {
							fmt.Fprintln(w, s)
						}
					})
				}
				versions, err := cl.ListVersions(ctx, args[0], deleted)
				if err != nil {
					return err
				}
				return f.print(c, versions, func(w io.Writer) {
					for _, n := range versions {
						fmt.Fprintln(w, n)
					}
				})
			})
		},
	}
	c.Flags().StringVar(&prefix, "prefix", "", "only subjects with this prefix; :*: before it looks in all contexts")
	c.Flags().BoolVar(&deleted, "deleted", false, "soft-deleted ones too")
	return c
}

func schemaDelete(f *schemaFlags) *cobra.Command {
	var permanent bool
	c := &cobra.Command{
		Use: "delete SUBJECT [VERSION]", Short: "Delete a subject or a version, softly first, then for good",
		Long: `A soft delete hides a version and can be undone by registering the schema again; records that carry its id can still be
read. --permanent removes for good what was softly deleted before.`,
		Args: needs(1, 2, "a SUBJECT and perhaps a VERSION"),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(c, func(ctx context.Context, cl *client.Client) error {
				var gone []int32
				if len(args) == 1 {
					var err error
					if gone, err = cl.DeleteSubject(ctx, args[0], permanent); err != nil {
						return err
					}
				} else {
					number, err := parseVersion(args[1])
					if err != nil {
						return err
					}
					if number, err = cl.DeleteVersion(ctx, args[0], number, permanent); err != nil {
						return err
					}
					gone = []int32{number}
				}
				return f.print(c, gone, func(w io.Writer) {
					for _, n := range gone {
						fmt.Fprintf(w, "deleted %s version %d\n", args[0], n)
					}
				})
			})
		},
	}
	c.Flags().BoolVar(&permanent, "permanent", false, "for good; what is deleted must have been deleted softly before")
	return c
}

func schemaCompat(f *schemaFlags) *cobra.Command {
	var unset bool
	c := &cobra.Command{
		Use: "compat [SUBJECT [LEVEL]]", Short: "Show or set the compatibility level of a subject, a context or all",
		Long: `Without LEVEL it prints the level in force. "" as SUBJECT means all subjects, ":.name:" those of a context.
Levels: none, backward, forward, full, and the last three with _transitive.`,
		Example: `  kelp schema compat
  kelp schema compat orders-value full_transitive
  kelp schema compat orders-value --unset`,
		Args: needs(0, 2, "a SUBJECT and perhaps a LEVEL"),
		RunE: func(c *cobra.Command, args []string) error {
			subject, word := subjectAnd(args)
			return f.with(c, func(ctx context.Context, cl *client.Client) error {
				var err error
				switch {
				case unset:
					err = cl.DeleteConfig(ctx, subject)
				case word != "":
					var level schema.Level
					if level, err = schema.ParseLevel(word); err == nil {
						err = cl.SetLevel(ctx, subject, level)
					}
				}
				if err != nil {
					return err
				}
				config, err := cl.Config(ctx, subject)
				if err != nil {
					return err
				}
				return f.print(c, config, func(w io.Writer) { fmt.Fprintln(w, config.CompatibilityLevel) })
			})
		},
	}
	c.Flags().BoolVar(&unset, "unset", false, "remove what is set, so that it is inherited again")
	return c
}

func schemaMode(f *schemaFlags) *cobra.Command {
	var unset, force bool
	c := &cobra.Command{
		Use: "mode [SUBJECT [MODE]]", Short: "Show or set the mode of a subject, a context or all",
		Long: `Without MODE it prints the mode in force: readwrite, readonly, or import (schemas come with their ids and are not
compared). "" as SUBJECT means all subjects, ":.name:" those of a context.`,
		Args: needs(0, 2, "a SUBJECT and perhaps a MODE"),
		RunE: func(c *cobra.Command, args []string) error {
			subject, word := subjectAnd(args)
			return f.with(c, func(ctx context.Context, cl *client.Client) error {
				var err error
				switch {
				case unset:
					err = cl.DeleteMode(ctx, subject)
				case word != "":
					var mode schema.Mode
					if mode, err = schema.ParseMode(word); err == nil {
						err = cl.SetMode(ctx, subject, mode, force)
					}
				}
				if err != nil {
					return err
				}
				mode, err := cl.Mode(ctx, subject)
				if err != nil {
					return err
				}
				return f.print(c, map[string]schema.Mode{"mode": mode}, func(w io.Writer) { fmt.Fprintln(w, mode) })
			})
		},
	}
	c.Flags().BoolVar(&unset, "unset", false, "remove what is set, so that it is inherited again")
	c.Flags().BoolVar(&force, "force", false, "set import although there are schemas")
	return c
}

// subjectAnd takes a subject and a word from the arguments.
func subjectAnd(args []string) (subject, word string) {
	if len(args) > 0 {
		subject = args[0]
	}
	if len(args) > 1 {
		word = args[1]
	}
	return subject, word
}
