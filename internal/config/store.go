package config

import (
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/spf13/pflag"
)

// Store is where --store keeps records on SeaweedFS.
type Store struct {
	Masters []string // host:port or host:port.grpcPort
	Folder  string   // in the filer, such as /kelp
	// Filer pins the filer that all nodes use; Collection and Replication are given with every
	// file that is written. Empty leaves them to SeaweedFS.
	Filer, FilerGroup, Collection, Replication string
}

// ParseStore reads seaweedfs://master[,master]/folder[?filer=…&filerGroup=…&collection=…&replication=…]. A
// master may have SeaweedFS's own form host:port.grpcPort, which is not a URL's.
func ParseStore(text string) (s Store, err error) {
	rest, ok := strings.CutPrefix(text, "seaweedfs://")
	if !ok {
		return s, errors.New("does not begin with seaweedfs://")
	}
	rest, query, _ := strings.Cut(rest, "?")
	masters, folder, _ := strings.Cut(rest, "/")
	folder = strings.TrimRight(folder, "/")
	if masters == "" || folder == "" {
		return s, errors.New("lacks a master or a folder")
	}
	q, err := url.ParseQuery(query)
	if err != nil {
		return s, err
	}
	s = Store{Masters: strings.Split(masters, ","), Folder: "/" + folder}
	for key, to := range map[string]*string{
		"filer": &s.Filer, "filerGroup": &s.FilerGroup, "collection": &s.Collection, "replication": &s.Replication,
	} {
		*to = q.Get(key)
		q.Del(key)
	}
	for key := range q {
		return s, errors.New(key + " is not known; filer, filerGroup, collection and replication are")
	}
	if !replication.MatchString(s.Replication) {
		return s, errors.New("has a replication of " + s.Replication + ", which is no three digits such as 001")
	}
	return s, nil
}

// replication is SeaweedFS's: copies in other data centers, in other racks, on other servers.
var replication = regexp.MustCompile(`^([0-9]{3})?$`)

// StoreSecurity says how to speak to a SeaweedFS that wants certificates or tokens.
type StoreSecurity struct {
	File                      string // SeaweedFS's security.toml
	CAFile, CertFile, KeyFile string
	HTTPS                     bool // volume servers speak HTTPS
	WriteKey, ReadKey         string
}

// BindStore adds the flags that say how to speak to a store's SeaweedFS.
func (c *Config) BindStore(f *pflag.FlagSet) { c.StoreSecurity.bind(f) }

func (s *StoreSecurity) bind(f *pflag.FlagSet) {
	f.StringVar(&s.File, "store-security", s.File,
		"SeaweedFS's security.toml; empty looks for one in ., ~/.seaweedfs and /etc/seaweedfs. Its keys grpc.ca, grpc.client, https.client, "+
			"jwt.signing.key and jwt.signing.read.key are used, and environment variables such as WEED_JWT_SIGNING_KEY beat it")
	f.StringVar(&s.CAFile, "store-ca", s.CAFile, "PEM file with the authorities that vouch for SeaweedFS (grpc.ca)")
	f.StringVar(&s.CertFile, "store-cert", s.CertFile, "PEM file with the certificate that is shown to SeaweedFS (grpc.client.cert)")
	f.StringVar(&s.KeyFile, "store-key", s.KeyFile, "PEM file with the key of --store-cert (grpc.client.key)")
	f.BoolVar(&s.HTTPS, "store-https", s.HTTPS, "speak HTTPS to volume servers, with --store-ca, --store-cert and --store-key (https.client)")
	f.StringVar(&s.WriteKey, "store-jwt-key", s.WriteKey,
		"key that signs tokens for writing to volume servers (jwt.signing.key); without it the tokens are used that come with file ids; "+
			"better given as KELP_STORE_JWT_KEY")
	f.StringVar(&s.ReadKey, "store-jwt-read-key", s.ReadKey,
		"key that signs tokens for reading from volume servers (jwt.signing.read.key); better given as KELP_STORE_JWT_READ_KEY")
}
