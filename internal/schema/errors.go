package schema

import (
	"errors"
	"fmt"
)

// Error is a refusal in the registry's own terms. Its code begins with the HTTP status.
type Error struct {
	Code    int
	Message string
}

func (e *Error) Error() string { return e.Message }

// The registry's error codes.
const (
	CodeSubjectNotFound       = 40401
	CodeVersionNotFound       = 40402
	CodeSchemaNotFound        = 40403
	CodeSubjectSoftDeleted    = 40404
	CodeSubjectNotSoftDeleted = 40405
	CodeVersionSoftDeleted    = 40406
	CodeVersionNotSoftDeleted = 40407
	CodeNoSubjectConfig       = 40408
	CodeNoSubjectMode         = 40409
	CodeIncompatible          = 40901
	CodeInvalidSchema         = 42201
	CodeInvalidVersion        = 42202
	CodeInvalidLevel          = 42203
	CodeInvalidMode           = 42204
	CodeNotPermitted          = 42205
	CodeReferenceExists       = 42206
	CodeInvalidSubject        = 42208
	CodeTooLarge              = 42209
	CodeInvalidRuleSet        = 42210
	CodeContextNotEmpty       = 42211
	CodeStore                 = 50001
	CodeTimeout               = 50002
)

func refuse(code int, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf gives the code of an error that is a refusal, zero for any other.
func CodeOf(err error) int {
	var refusal *Error
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return 0
}

// IsNotFound says whether an error means that there is no such subject, version or schema.
func IsNotFound(err error) bool {
	code := CodeOf(err)
	return code == 404 || code/100 == 404
}

// SubjectNotFound and the other constructors word their refusals as Confluent's registry does,
// because clients and people look for these words.
func SubjectNotFound(subject string) *Error {
	return refuse(CodeSubjectNotFound, "Subject '%s' not found.", subject)
}

// VersionNotFound names the version that was asked for.
func VersionNotFound(version int32) *Error {
	return refuse(CodeVersionNotFound, "Version %d not found.", version)
}

// UnknownSchema names the id or guid that was asked for, if any.
func UnknownSchema(id any) *Error {
	if id == nil {
		return refuse(CodeSchemaNotFound, "Schema not found")
	}
	return refuse(CodeSchemaNotFound, "Schema %v not found", id)
}

func subjectSoftDeleted(subject string) *Error {
	return refuse(CodeSubjectSoftDeleted, "Subject '%s' was soft deleted.Set permanent=true to delete permanently", subject)
}

func subjectNotSoftDeleted(subject string) *Error {
	return refuse(CodeSubjectNotSoftDeleted, "Subject '%s' was not deleted first before being permanently deleted", subject)
}

func versionSoftDeleted(subject string, version int32) *Error {
	return refuse(CodeVersionSoftDeleted,
		"Subject '%s' Version %d was soft deleted.Set permanent=true to delete permanently", subject, version)
}

func versionNotSoftDeleted(subject string, version int32) *Error {
	return refuse(CodeVersionNotSoftDeleted,
		"Subject '%s' Version %d was not deleted first before being permanently deleted", subject, version)
}

func noSubjectConfig(subject string) *Error {
	return refuse(CodeNoSubjectConfig, "Subject '%s' does not have subject-level compatibility configured", subject)
}

func noSubjectMode(subject string) *Error {
	return refuse(CodeNoSubjectMode, "Subject '%s' does not have subject-level mode configured", subject)
}

// Incompatible is the refusal of a registration, with everything that is wrong.
func Incompatible(subject, details string) *Error {
	return refuse(CodeIncompatible,
		"Schema being registered is incompatible with an earlier schema for subject \"%s\", details: %s", subject, details)
}

// InvalidSchema refuses a text, a type or a reference.
func InvalidSchema(format string, args ...any) *Error {
	return refuse(CodeInvalidSchema, format, args...)
}

// InvalidVersion refuses what stands for a version.
func InvalidVersion(version string) *Error {
	return refuse(CodeInvalidVersion, "The specified version '%s' is not a valid version id. "+
		"Allowed values are between [1, 2^31-1] and the string \"latest\"", version)
}

func invalidLevel() *Error {
	return refuse(CodeInvalidLevel, "Invalid compatibility level. Valid values are none, backward, forward, full, "+
		"backward_transitive, forward_transitive, and full_transitive")
}

func invalidPolicy() *Error {
	return refuse(CodeInvalidLevel, "Invalid compatibility policy. Valid values are strict and lenient")
}

func invalidMode() *Error {
	return refuse(CodeInvalidMode, "Invalid mode. Valid values are READWRITE, READONLY, IMPORT and FORWARD.")
}

func notPermitted(format string, args ...any) *Error {
	return refuse(CodeNotPermitted, format, args...)
}

func referenceExists(subject string, version int32) *Error {
	return refuse(CodeReferenceExists,
		"One or more references exist to the schema {magic=1,keytype=SCHEMA,subject=%s,version=%d}.", subject, version)
}

// InvalidSubject refuses a subject's name.
func InvalidSubject(subject string) *Error {
	return refuse(CodeInvalidSubject, "The specified subject '%s' is not a valid.", subject)
}

// TooLarge refuses a text above MaxTextBytes.
func TooLarge() *Error {
	return refuse(CodeTooLarge, "Register operation failed because schema is too large")
}

func invalidRuleSet(format string, args ...any) *Error {
	return refuse(CodeInvalidRuleSet, format, args...)
}

func contextNotEmpty(context string) *Error {
	return refuse(CodeContextNotEmpty, "The specified context '%s' is not empty.", context)
}
