package diff

// allowed says which differences stay: step and path, with the reason that docs/kafka-differences.md gives. An entry
// that no longer differs fails the test.
var allowed = map[string]string{}
