package rest

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"kelp/internal/schema"
)

// object is a JSON object of the description.
type object = map[string]any

// parameters are all query parameters: their type and what they mean.
var parameters = map[string][2]string{
	"subjectPrefix":     {"string", "only subjects with this prefix; :*: before it looks in all contexts"},
	"contextPrefix":     {"string", "only contexts with this prefix"},
	"deleted":           {"boolean", "soft-deleted ones too"},
	"deletedOnly":       {"boolean", "soft-deleted ones only"},
	"deletedAsNegative": {"boolean", "soft-deleted ones too, as negative numbers"},
	"offset":            {"integer", "how many to leave out at the start"},
	"limit":             {"integer", "how many at most; all when negative"},
	"normalize":         {"boolean", "bring the text into its normal form first"},
	"format":            {"string", "form of the text: resolved (Avro), serialized or ignore_extensions (Protobuf)"},
	"referenceFormat":   {"string", "qualified: name the contexts of references"},
	"findTags":          {"array", "list the entities with these tags; * means all tags"},
	"force":             {"boolean", "do not compare, or set IMPORT over existing subjects"},
	"permanent":         {"boolean", "for good, after a soft delete"},
	"verbose":           {"boolean", "say what is incompatible, why, and what to do"},
	"key":               {"array", "name of a property"},
	"value":             {"array", "value of the property in the same place"},
	"subject":           {"string", "subject that picks the context"},
	"fetchMaxId":        {"boolean", "give the highest id too"},
	"aliases":           {"boolean", "name the aliases of subjects"},
	"latestOnly":        {"boolean", "only the newest version of each subject"},
	"ruleType":          {"string", "only schemas with a rule of this type"},
	"defaultToGlobal":   {"boolean", "what is in force, not only what is set here"},
	"recursive":         {"boolean", "the subjects of the context too"},
	"resourceType":      {"string", "type of the resource"},
	"associationType":   {"array", "type of the association"},
	"lifecycle":         {"string", "lifecycle of the association"},
}

// describe makes the OpenAPI description of the routes.
func describe(all []route, version string) []byte {
	paths := object{}
	for _, r := range all {
		operations, ok := paths[r.path].(object)
		if !ok {
			operations = object{}
			paths[r.path] = operations
		}
		operations[strings.ToLower(r.method)] = r.operation()
	}
	if version == "" {
		version = "dev"
	}
	b, err := json.Marshal(object{
		"openapi": "3.0.3",
		"info": object{
			"title": "Kelp schema registry", "version": version,
			"description": "Confluent-compatible schema registry. " +
				"Every path also works below /contexts/{context}, for the subjects of that context.",
		},
		"paths":      paths,
		"components": object{"schemas": components()},
	})
	if err != nil {
		panic(fmt.Sprintf("the description cannot be written: %v", err)) // plain data
	}
	return b
}

func (r *route) operation() object {
	var takes []any
	for _, segment := range strings.Split(r.path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			name = strings.TrimSuffix(name, "}")
			kind := "string"
			if name == "id" {
				kind = "integer"
			}
			takes = append(takes, object{"name": name, "in": "path", "required": true, "schema": object{"type": kind}})
		}
	}
	for _, name := range r.query {
		p := parameters[name]
		kind := object{"type": p[0]}
		if p[0] == "array" {
			kind["items"] = object{"type": "string"}
		}
		takes = append(takes, object{"name": name, "in": "query", "description": p[1], "schema": kind})
	}
	o := object{"operationId": r.name, "summary": r.summary, "responses": r.responses()}
	if takes != nil {
		o["parameters"] = takes
	}
	if r.body != "" {
		o["requestBody"] = object{"required": true, "content": content(r.body, mediaV1, mediaDefault, mediaJSON, mediaBytes)}
	}
	return o
}

func (r *route) responses() object {
	answers := object{"default": object{"description": "a refusal", "content": content("Error", mediaV1, mediaDefault, mediaJSON)}}
	if r.result == "" {
		answers["204"] = object{"description": "done"}
	} else {
		answers["200"] = object{"description": "done", "content": content(r.result, mediaV1, mediaDefault, mediaJSON)}
	}
	codes := map[int][]int{}
	for _, code := range r.refusals {
		codes[statusOf(code)] = append(codes[statusOf(code)], code)
	}
	for status, refusals := range codes {
		sort.Ints(refusals)
		answers[fmt.Sprint(status)] = object{
			"description": strings.Trim(strings.ReplaceAll(fmt.Sprint(refusals), " ", ", "), "[]"),
			"content":     content("Error", mediaV1, mediaDefault, mediaJSON),
		}
	}
	return answers
}

func content(component string, media ...string) object {
	o := object{}
	for _, m := range media {
		o[m] = object{"schema": object{"$ref": "#/components/schemas/" + component}}
	}
	return o
}

// components are the shapes of bodies. Members of objects may be absent unless they are required.
func components() object {
	kind := func(name string) object { return object{"type": name} }
	list := func(of object) object { return object{"type": "array", "items": of} }
	members := func(properties object, required ...string) object {
		o := object{"type": "object", "properties": properties}
		if required != nil {
			o["required"] = required
		}
		return o
	}
	ref := func(name string) object { return object{"$ref": "#/components/schemas/" + name} }
	text, whole, yes := kind("string"), kind("integer"), kind("boolean")
	levels := object{"type": "string", "enum": schema.Levels}
	config := object{
		"alias": text, "normalize": yes, "validateFields": yes, "validateNewSchemas": yes, "validateRules": yes, "compatibilityPolicy": text,
		"compatibilityGroup": text, "defaultMetadata": ref("Metadata"), "overrideMetadata": ref("Metadata"),
		"defaultRuleSet": ref("RuleSet"), "overrideRuleSet": ref("RuleSet"),
	}
	with := func(name string, o object) object {
		all := object{name: levels}
		for k, v := range o {
			all[k] = v
		}
		return all
	}
	rules := list(kind("object"))
	draft := object{
		"schema": text, "schemaType": text, "references": list(ref("Reference")), "metadata": ref("Metadata"), "ruleSet": ref("RuleSet"),
		"id": whole, "version": whole,
	}
	return object{
		"Any": object{}, "Empty": members(object{}), "Text": text, "Number": whole, "Numbers": list(whole), "Names": list(text),
		"Error":     members(object{"error_code": whole, "message": text}, "error_code", "message"),
		"Reference": members(object{"name": text, "subject": text, "version": whole}, "name", "subject", "version"),
		"Metadata":  members(object{"tags": kind("object"), "properties": kind("object"), "sensitive": list(text)}),
		"RuleSet":   members(object{"migrationRules": rules, "domainRules": rules, "encodingRules": rules}),
		"Draft":     members(draft),
		"Tags": members(object{
			"newVersion": whole, "tagsToAdd": list(kind("object")), "tagsToRemove": list(kind("object")), "metadata": ref("Metadata"),
			"ruleSet": ref("RuleSet"), "rulesToMerge": ref("RuleSet"), "rulesToRemove": list(text),
		}),
		"Config":       members(with("compatibilityLevel", config)),
		"ConfigUpdate": members(with("compatibility", config)),
		"Mode":         members(object{"mode": text}),
		"Versions":     list(ref("Version")),
		"Version": members(object{
			"subject": text, "version": whole, "id": whole, "guid": text, "schemaType": text, "references": list(ref("Reference")),
			"metadata": ref("Metadata"), "ruleSet": ref("RuleSet"), "schema": text, "schemaTags": list(kind("object")), "maxId": whole,
			"ts": whole, "deleted": yes, "aliases": list(text),
		}, "schema"),
		"Compatibility": members(object{
			"is_compatible": yes, "messages": list(text), "differences": list(kind("object")), "migration": kind("object"),
		}, "is_compatible"),
	}
}
