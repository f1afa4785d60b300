package rest

// routes is every operation of the registry. Paths that begin with /contexts/{context}/ reach the
// same operations and are not repeated.
func routes() []route {
	all := []route{
		{method: "GET", path: "/", name: "get", summary: "Say that the registry is there", result: "Empty", handle: getRoot},
		{method: "GET", path: "/openapi.json", name: "getOpenAPI", summary: "This description", result: "Any", handle: getOpenAPI},
		{method: "GET", path: "/v1/metadata/id", name: "getClusterId", summary: "The clusters", result: "Any", handle: getClusterID},
		{
			method: "GET", path: "/v1/metadata/version", name: "getSchemaRegistryServerVersion", summary: "The server's version",
			result: "Any", handle: getServerVersion,
		},
		{
			method: "GET", path: "/contexts", name: "getAllContexts", summary: "List contexts",
			query: []string{"contextPrefix", "offset", "limit"}, result: "Names", handle: listContexts,
		},
		{
			method: "DELETE", path: "/contexts/{context}", name: "deleteContext", summary: "Delete an empty context",
			refusals: []int{42211}, handle: deleteContext,
		},
	}
	all = append(all, subjectRoutes()...)
	all = append(all, schemaRoutes()...)
	all = append(all, settingRoutes()...)
	return append(all, associationRoutes()...)
}

func subjectRoutes() []route {
	const subject, versions, version = "/subjects/{subject}", "/subjects/{subject}/versions", "/subjects/{subject}/versions/{version}"
	const compatibility = "/compatibility/subjects/{subject}/versions"
	return []route{
		{
			method: "GET", path: "/subjects", name: "getAllSubjects", summary: "List subjects",
			query: []string{"subjectPrefix", "deleted", "deletedOnly", "offset", "limit"}, result: "Names", handle: listSubjects,
		},
		{
			method: "POST", path: subject, name: "lookUpSchemaUnderSubject", summary: "Look a schema up in a subject",
			query: []string{"normalize", "deleted", "format"}, body: "Draft", result: "Version",
			refusals: []int{40401, 40403, 42201}, handle: lookUp,
		},
		{
			method: "DELETE", path: subject, name: "deleteSubject", summary: "Delete a subject, softly first, then for good",
			query: []string{"permanent"}, result: "Numbers", refusals: []int{40401, 40404, 40405, 42205, 42206}, handle: deleteSubject,
		},
		{
			method: "GET", path: subject + "/metadata", name: "getLatestWithMetadata", summary: "The newest version with these properties",
			query: []string{"key", "value", "format", "deleted"}, result: "Version", refusals: []int{40401, 40403}, handle: withMetadata,
		},
		{
			method: "GET", path: versions, name: "getAllVersions", summary: "List the versions of a subject",
			query: []string{"deleted", "deletedOnly", "deletedAsNegative", "offset", "limit"}, result: "Numbers",
			refusals: []int{40401}, handle: listVersions,
		},
		{
			method: "POST", path: versions, name: "registerSchema", summary: "Register a schema in a subject",
			query: []string{"normalize", "format", "force"}, body: "Draft", result: "Version",
			refusals: []int{40901, 42201, 42205, 42208, 42209, 42210}, handle: register,
		},
		{
			method: "GET", path: version, name: "getSchemaByVersion", summary: "A version of a subject",
			query: []string{"format", "referenceFormat", "deleted", "findTags"}, result: "Version",
			refusals: []int{40401, 40402, 42202}, handle: getVersion,
		},
		{
			method: "DELETE", path: version, name: "deleteSchemaVersion", summary: "Delete a version, softly first, then for good",
			query: []string{"permanent"}, result: "Number",
			refusals: []int{40401, 40402, 40406, 40407, 42202, 42205, 42206}, handle: deleteVersion,
		},
		{
			method: "GET", path: version + "/schema", name: "getVersionSchemaOnly", summary: "The text of a version",
			query: []string{"format", "referenceFormat", "deleted", "findTags"}, result: "Text", refusals: []int{40401, 40402, 42202},
			handle: getVersionText,
		},
		{
			method: "GET", path: version + "/referencedby", name: "getReferencedBy", summary: "Ids of the schemas that refer to a version",
			query: []string{"deleted", "offset", "limit"}, result: "Numbers", refusals: []int{40401, 40402, 42202}, handle: referencedBy,
		},
		{
			method: "POST", path: version + "/tags", name: "modifySchemaTags", summary: "Register a version with other tags, metadata or rules",
			body: "Tags", result: "Version", refusals: []int{40401, 40402, 40901, 42201, 42202, 42205}, handle: modifyTags,
		},
		{
			method: "POST", path: compatibility + "/{version}", name: "testVersionCompatibility", summary: "Compare a schema with a version",
			query: []string{"normalize", "verbose"}, body: "Draft", result: "Compatibility", refusals: []int{40402, 42201, 42202},
			handle: checkVersion,
		},
		{
			method: "POST", path: compatibility, name: "testSubjectCompatibility", summary: "Compare a schema with what the level names",
			query: []string{"normalize", "verbose"}, body: "Draft", result: "Compatibility", refusals: []int{42201}, handle: checkSubject,
		},
	}
}

func schemaRoutes() []route {
	const byID, byGUID = "/schemas/ids/{id}", "/schemas/guids/{guid}"
	return []route{
		{
			method: "GET", path: "/schemas", name: "getSchemas", summary: "List versions of subjects",
			query:  []string{"subjectPrefix", "aliases", "deleted", "latestOnly", "ruleType", "offset", "limit"},
			result: "Versions", handle: searchSchemas,
		},
		{
			method: "GET", path: "/schemas/types", name: "getSchemaTypes", summary: "Types that can be registered",
			result: "Names", handle: listTypes,
		},
		{
			method: "GET", path: byID, name: "getSchemaById", summary: "The schema of an id",
			query:  []string{"subject", "format", "referenceFormat", "findTags", "fetchMaxId"},
			result: "Version", refusals: []int{40403}, handle: getByID,
		},
		{
			method: "GET", path: byID + "/schema", name: "getOnlySchemaById", summary: "The text of an id",
			query: []string{"subject", "format", "referenceFormat", "findTags", "fetchMaxId"}, result: "Text", refusals: []int{40403},
			handle: getTextByID,
		},
		{
			method: "GET", path: byID + "/subjects", name: "getAllSubjectsById", summary: "Subjects that have an id",
			query: []string{"subject", "deleted", "offset", "limit"}, result: "Names", refusals: []int{40403}, handle: subjectsOfID,
		},
		{
			method: "GET", path: byID + "/versions", name: "getAllVersionsById", summary: "Versions that have an id",
			query: []string{"subject", "deleted", "offset", "limit"}, result: "Any", refusals: []int{40403}, handle: versionsOfID,
		},
		{
			method: "GET", path: byGUID, name: "getSchemaByGuid", summary: "The schema of a guid",
			query: []string{"format", "referenceFormat", "findTags"}, result: "Version", refusals: []int{40403}, handle: getByGUID,
		},
		{method: "GET", path: byGUID + "/ids", name: "getAllIdsByGuid", summary: "Ids of a guid, by context", result: "Any", handle: idsOfGUID},
	}
}

func settingRoutes() []route {
	var all []route
	for _, place := range []struct{ path, suffix, of string }{
		{"", "Global", "all subjects"}, {"/{subject}", "Subject", "a subject or a context (:.name:)"},
	} {
		all = append(all,
			route{
				method: "GET", path: "/config" + place.path, name: "get" + place.suffix + "Config", summary: "The config of " + place.of,
				query: []string{"defaultToGlobal"}, result: "Config", refusals: []int{40408}, handle: getConfig,
			},
			route{
				method: "PUT", path: "/config" + place.path, name: "update" + place.suffix + "Config", summary: "Change the config of " + place.of,
				body: "ConfigUpdate", result: "ConfigUpdate", refusals: []int{42203, 42205, 42208, 42210}, handle: putConfig,
			},
			route{
				method: "DELETE", path: "/config" + place.path, name: "delete" + place.suffix + "Config", summary: "Remove the config of " + place.of,
				result: "Config", refusals: []int{40401, 42205}, handle: deleteConfig,
			},
			route{
				method: "GET", path: "/mode" + place.path, name: "get" + place.suffix + "Mode", summary: "The mode of " + place.of,
				query: []string{"defaultToGlobal"}, result: "Mode", refusals: []int{40409}, handle: getMode,
			},
			route{
				method: "PUT", path: "/mode" + place.path, name: "update" + place.suffix + "Mode", summary: "Change the mode of " + place.of,
				query: []string{"force"}, body: "Mode", result: "Mode", refusals: []int{42204, 42205, 42206, 42208}, handle: putMode,
			},
			route{
				method: "DELETE", path: "/mode" + place.path, name: "delete" + place.suffix + "Mode", summary: "Remove the mode of " + place.of,
				query: []string{"recursive"}, result: "Mode", refusals: []int{40401}, handle: deleteMode,
			},
		)
	}
	return all
}

// associationRoutes answer the newest clients, which ask for associations of a topic before
// anything else: there are none, and they fall back to their naming strategy.
func associationRoutes() []route {
	list := func(path, name string) route {
		return route{
			method: "GET", path: path, name: name, summary: "Associations: none are kept",
			query: []string{"resourceType", "associationType", "lifecycle", "offset", "limit"}, result: "Any", handle: listAssociations,
		}
	}
	return []route{
		list("/associations/subjects/{subject}", "getAssociationsBySubject"),
		list("/associations/resources/{namespace}/{name}", "getAssociationsByResourceName"),
		list("/associations/resources/{resource}", "getAssociationsByResourceId"),
	}
}
