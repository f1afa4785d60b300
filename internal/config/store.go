package config

import (
	"errors"
	"net/url"
	"strings"
)

// Store is where --store keeps records on SeaweedFS.
type Store struct {
	Masters []string // host:port or host:port.grpcPort
	Folder  string   // in the filer, such as /kelp
	// Filer pins the filer that all nodes use; Collection and Replication are given with every
	// file that is written. Empty leaves them to SeaweedFS.
	Filer, Collection, Replication string
}

// ParseStore reads seaweedfs://master[,master]/folder[?filer=…&collection=…&replication=…]. A
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
	for key, to := range map[string]*string{"filer": &s.Filer, "collection": &s.Collection, "replication": &s.Replication} {
		*to = q.Get(key)
		q.Del(key)
	}
	for key := range q {
		return s, errors.New(key + " is not known; filer, collection and replication are")
	}
	return s, nil
}
