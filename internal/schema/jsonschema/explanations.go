package jsonschema

type explanation struct{ why, advice string }

// explanations are our words for the registry's names; $ is the last part of the path.
var explanations = map[string]explanation{
	"TYPE_CHANGED": {
		`readers refuse documents whose "$" has the type that writers used`,
		`let readers take both: "type": ["old", "new"] or an anyOf, upgrade them, then change the writers; or add a new property`,
	},
	"TYPE_NARROWED": {
		`readers want whole numbers and refuse fractions that writers could write`,
		`keep "number" on the reading side`,
	},
	"SCHEMA_ADDED": {
		`readers check values that writers could fill with anything`,
		`leave the new schema out of the reading side until all old documents are gone, or allow what they hold`,
	},
	"REQUIRED_ATTRIBUTE_ADDED": {
		`readers refuse documents without "$", which writers were free to leave out`,
		`give "$" a "default" in the reading schema, or make it required only after every writer fills it and old documents are gone`,
	},
	"REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL": {
		`readers refuse documents without "$", and writers did not know it; they may also have written anything under that name`,
		`add "$" as an optional property, and close the model ("additionalProperties": false) one version earlier`,
	},
	"REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL": {
		`the writers' model is open: they may have written anything under "$", and readers now check it`,
		`close the model one version earlier ("additionalProperties": false), or use compatibilityPolicy LENIENT if nobody wrote "$"`,
	},
	"OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL": {
		`the writers' model is open: they may have written anything under "$", and readers now check it`,
		`close the model one version earlier ("additionalProperties": false), add "$" without a schema ({}), or use compatibilityPolicy ` +
			`LENIENT if nobody wrote "$"`,
	},
	"REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL": {
		`readers refuse documents without "$", and no writer could write it`,
		`make "$" optional, or give it a "default"`,
	},
	"PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL": {
		`readers take no other properties than their own and refuse documents that still have "$"`,
		`keep "$" in the reading schema (as {} if its value does not matter), or open the model before removing it`,
	},
	"PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": {
		`readers check "$" with the rule for additional properties, which refuses values that writers wrote`,
		`keep "$" in the reading schema, or widen additionalProperties or patternProperties to take its values`,
	},
	"PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": {
		`writers could write "$" as an additional property with values that readers now refuse`,
		`let the schema of "$" take all that the writers' additionalProperties or patternProperties take`,
	},
	"ITEM_ADDED_TO_OPEN_CONTENT_MODEL": {
		`writers could put anything at position $, and readers now check it`,
		`close the tuple one version earlier (items or additionalItems: false), or add the item without a schema ({})`,
	},
	"ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL": {
		`readers take no items beyond their own and refuse arrays that still have position $`,
		`keep the item in the reading schema, or open the tuple before removing it`,
	},
	"ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": {
		`readers check position $ with the rule for additional items, which refuses what writers wrote`,
		`keep the item in the reading schema, or widen the rule for additional items`,
	},
	"ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": {
		`writers could put values at position $ that readers now refuse`,
		`let the new item take all that the writers' rule for additional items takes`,
	},
	"ENUM_ARRAY_NARROWED": {
		`readers refuse the values that were taken out`,
		`keep the old values in the reading schema until no document with them is left`,
	},
	"ENUM_ARRAY_CHANGED": {
		`readers refuse values that writers could write`,
		`keep the old values and add the new ones; for const, turn it into an enum of both`,
	},
	"COMBINED_TYPE_CHANGED": {
		`readers combine the alternatives more strictly than writers did`,
		`allOf may become oneOf or anyOf, and oneOf may become anyOf, never the other way round`,
	},
	"COMBINED_TYPE_SUBSCHEMAS_CHANGED": {
		`readers have no alternative that takes all that one of the writers' alternatives takes`,
		`leave the old alternatives as they are and add new ones beside them`,
	},
	"PRODUCT_TYPE_EXTENDED": {
		`readers check one more schema of allOf that writers did not keep`,
		`drop the new part of allOf, or let it take everything that writers wrote`,
	},
	"SUM_TYPE_NARROWED": {
		`readers refuse documents of the alternative that is gone`,
		`keep all alternatives in the reading schema until no such document is left`,
	},
	"NOT_TYPE_EXTENDED": {
		`readers exclude more than writers did`,
		`exclude no more than before, or as a second step after the writers do`,
	},
	"PATTERN_CHANGED": {
		`readers refuse texts that matched the old pattern only`,
		`let the pattern match both forms: (old)|(new)`,
	},
	"UNIQUE_ITEMS_ADDED": {
		`readers refuse arrays with repeated items`,
		`require uniqueItems on the writing side first, and on the reading side when no old document is left`,
	},
	"DEPENDENCY_ARRAY_EXTENDED": {
		`readers want more properties beside "$" than writers had to write`,
		`leave the new names out of the reading schema until all writers fill them`,
	},
	"DEPENDENCY_ARRAY_CHANGED": {
		`readers want other properties beside "$" than writers had to write`,
		`ask only for properties that both versions ask for`,
	},
	"DEPENDENCY_ARRAY_ADDED": {
		`readers refuse documents with "$" that lack the properties it now depends on`,
		`leave the dependency out of the reading schema until all writers keep it`,
	},
	"DEPENDENCY_SCHEMA_ADDED": {
		`readers check documents with "$" against a schema that writers did not keep`,
		`leave the dependency out of the reading schema until all writers keep it`,
	},
	"MULTIPLE_OF_EXPANDED": {
		`readers refuse multiples of the old step that are none of the new one`,
		`keep the smaller step on the reading side`,
	},
	"MULTIPLE_OF_CHANGED": {
		`readers refuse multiples of the old step that are none of the new one`,
		`use a step that divides both`,
	},
}

// suffixExplanations are for the families of keywords that share their endings.
var suffixExplanations = map[string]explanation{
	"AL_PROPERTIES_REMOVED": {
		`readers refuse documents with properties that they do not name, which writers could add`,
		`keep the model open on the reading side, or name all properties that were ever written`,
	},
	"ED_PROPERTIES_REMOVED": {
		`readers refuse documents with properties that no keyword evaluates, which writers could add`,
		`keep the model open on the reading side, or name all properties that were ever written`,
	},
	"_PROPERTIES_NARROWED": {
		`readers check properties that they do not name, and writers could fill them with anything`,
		`let the schema for the other properties take all that was written`,
	},
	"_ITEMS_REMOVED": {
		`readers refuse arrays with more items than they name, which writers could write`,
		`keep additional items allowed on the reading side`,
	},
	"_ITEMS_NARROWED": {
		`readers check items beyond those they name, and writers could fill them with anything`,
		`let the schema for the other items take all that was written`,
	},
	"_ADDED": {
		`readers check "$", which writers did not have to keep`,
		`leave "$" out of the reading schema, or set it so that all old documents pass`,
	},
	"_INCREASED": {
		`readers refuse what is below the new "$" and was allowed before`,
		`keep the smaller "$" on the reading side`,
	},
	"_DECREASED": {
		`readers refuse what is above the new "$" and was allowed before`,
		`keep the larger "$" on the reading side`,
	},
}
