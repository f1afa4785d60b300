package diff

// The reasons for which a difference stays, as docs/kafka-differences.md gives them.
const (
	saysWhy       = "a refused batch comes with a message that says why"
	codecCode     = "an unknown codec has the code that clients know it by"
	noReplication = "min.insync.replicas has no cluster-wide default of its own: one copy is always in sync"
)

// allowed says which differences stay: step and path, with the reason that docs/kafka-differences.md gives. An entry
// that no longer differs fails the test.
var allowed = map[string]string{
	"produce a wrong checksum .Topics[].Partitions[0].ErrorMessage":                          saysWhy,
	"produce a wrong checksum .Topics[diff].Partitions[0].ErrorMessage":                      saysWhy,
	"produce a wrong count .Topics[].Partitions[0].ErrorMessage":                             saysWhy,
	"produce a wrong count .Topics[diff].Partitions[0].ErrorMessage":                         saysWhy,
	"produce a wrong offset delta .Topics[].Partitions[0].ErrorMessage":                      saysWhy,
	"produce a wrong offset delta .Topics[diff].Partitions[0].ErrorMessage":                  saysWhy,
	"produce out of order .Topics[].Partitions[1].ErrorMessage":                              saysWhy,
	"produce out of order .Topics[diff].Partitions[1].ErrorMessage":                          saysWhy,
	"produce too much .Topics[].Partitions[0].ErrorMessage":                                  saysWhy,
	"produce too much .Topics[diff].Partitions[0].ErrorMessage":                              saysWhy,
	"produce with an unknown codec .Topics[].Partitions[0].ErrorMessage":                     saysWhy,
	"produce with an unknown codec .Topics[diff].Partitions[0].ErrorMessage":                 saysWhy,
	"produce with an unknown codec .Topics[].Partitions[0].ErrorCode":                        codecCode,
	"produce with an unknown codec .Topics[diff].Partitions[0].ErrorCode":                    codecCode,
	"produce with an unknown codec .Topics[].Partitions[0].LogStartOffset":                   codecCode,
	"produce with an unknown codec .Topics[diff].Partitions[0].LogStartOffset":               codecCode,
	"describe all configs .Resources[diff].Configs[min.insync.replicas].Source":              noReplication,
	"describe all configs .Resources[diff].Configs[min.insync.replicas].ConfigSynonyms":      noReplication,
	"create for log append time .Topics[append-time-v5].Configs[min.insync.replicas].Source": noReplication,
	"create for log append time .Topics[append-time-v6].Configs[min.insync.replicas].Source": noReplication,
	"create for log append time .Topics[append-time-v7].Configs[min.insync.replicas].Source": noReplication,
	"create .Topics[plain-v5].Configs[min.insync.replicas].Source":                           noReplication,
	"create .Topics[plain-v6].Configs[min.insync.replicas].Source":                           noReplication,
	"create .Topics[plain-v7].Configs[min.insync.replicas].Source":                           noReplication,
	"create validate only .Topics[only-validated].Configs[min.insync.replicas].Source":       noReplication,
}
