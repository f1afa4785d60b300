package seaweed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"kelp/internal/seaweed/filerpb"
	"kelp/internal/seaweed/masterpb"
)

// metadata is what a filer keeps; several filers may share one.
type metadata struct {
	id int32

	mu      sync.Mutex
	entries map[string]*filerpb.Entry
}

func newMetadata(id int32) *metadata {
	return &metadata{id: id, entries: map[string]*filerpb.Entry{}}
}

// fakeFiler speaks a filer's side over real connections; its fields make it misbehave.
type fakeFiler struct {
	filerpb.UnimplementedSeaweedFilerServer
	*metadata
	addr    string
	volumes []*fakeVolume
	server  *grpc.Server

	blind  bool  // creates do not look for what is there
	ttl    int32 // entries expire
	silent bool  // creates take place, but the answer is lost
	lock   string
	late   string // comes too late for the lock
	tokens int
	listed int
}

func (f *fakeFiler) GetFilerConfiguration(
	context.Context, *filerpb.GetFilerConfigurationRequest,
) (*filerpb.GetFilerConfigurationResponse, error) {
	return &filerpb.GetFilerConfigurationResponse{Signature: f.id}, nil
}

func (f *fakeFiler) CreateEntry(_ context.Context, r *filerpb.CreateEntryRequest) (*filerpb.CreateEntryResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := r.Directory + "/" + r.Entry.Name
	if r.OExcl && f.entries[at] != nil && !f.blind {
		return &filerpb.CreateEntryResponse{Error: "there", ErrorCode: filerpb.FilerError_ENTRY_ALREADY_EXISTS}, nil
	}
	r.Entry.Attributes.TtlSec = f.ttl
	f.entries[at] = r.Entry
	if f.silent {
		return nil, errors.New("the answer is lost")
	}
	return &filerpb.CreateEntryResponse{}, nil
}

func (f *fakeFiler) LookupDirectoryEntry(
	_ context.Context, r *filerpb.LookupDirectoryEntryRequest,
) (*filerpb.LookupDirectoryEntryResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entries[r.Directory+"/"+r.Name]
	if e == nil {
		return nil, errors.New("filer: " + missingText)
	}
	return &filerpb.LookupDirectoryEntryResponse{Entry: e}, nil
}

func (f *fakeFiler) ListEntries(r *filerpb.ListEntriesRequest, s grpc.ServerStreamingServer[filerpb.ListEntriesResponse]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listed++
	sent := uint32(0)
	for _, at := range slices.Sorted(maps.Keys(f.entries)) {
		name, in := strings.CutPrefix(at, r.Directory+"/")
		if !in || strings.Contains(name, "/") || name <= r.StartFromFileName || sent == r.Limit {
			continue
		}
		sent++
		if err := s.Send(&filerpb.ListEntriesResponse{Entry: f.entries[at]}); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeFiler) DeleteEntry(_ context.Context, r *filerpb.DeleteEntryRequest) (*filerpb.DeleteEntryResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := r.Directory + "/" + r.Name
	maps.DeleteFunc(f.entries, func(p string, _ *filerpb.Entry) bool { return p == at || strings.HasPrefix(p, at+"/") })
	return &filerpb.DeleteEntryResponse{}, nil
}

// AssignVolume names the volume servers in turn, as a master does that knows of no trouble yet.
func (f *fakeFiler) AssignVolume(_ context.Context, r *filerpb.AssignVolumeRequest) (*filerpb.AssignVolumeResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Replication == "009" {
		return &filerpb.AssignVolumeResponse{Error: "no free volumes left"}, nil
	}
	v := f.volumes[f.tokens%len(f.volumes)]
	f.tokens++
	return &filerpb.AssignVolumeResponse{
		FileId: fmt.Sprintf("%d,%02x00000000", slices.Index(f.volumes, v)+1, f.tokens), Count: r.Count, Auth: v.auth,
		Location: &filerpb.Location{Url: strings.TrimPrefix(v.URL, "http://")},
	}, nil
}

func (f *fakeFiler) LookupVolume(_ context.Context, r *filerpb.LookupVolumeRequest) (*filerpb.LookupVolumeResponse, error) {
	resp := &filerpb.LookupVolumeResponse{LocationsMap: map[string]*filerpb.Locations{}}
	for _, id := range r.VolumeIds {
		l := &filerpb.Locations{}
		for _, v := range f.volumes {
			l.Locations = append(l.Locations, &filerpb.Location{Url: strings.TrimPrefix(v.URL, "http://")})
		}
		resp.LocationsMap[id] = l
	}
	return resp, nil
}

func (f *fakeFiler) DistributedLock(_ context.Context, r *filerpb.LockRequest) (*filerpb.LockResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Owner == f.late {
		return &filerpb.LockResponse{Error: "lock already owned by somebody"}, nil
	}
	if f.lock != "" && (f.lock != r.Owner || r.RenewToken == "") {
		return &filerpb.LockResponse{Error: "lock already owned by " + f.lock}, nil
	}
	if f.lock == "" && r.RenewToken != "" {
		return &filerpb.LockResponse{Error: "lock: non-empty token on a new lock"}, nil
	}
	f.lock = r.Owner
	f.tokens++
	return &filerpb.LockResponse{RenewToken: fmt.Sprint(f.tokens)}, nil
}

func (f *fakeFiler) DistributedUnlock(context.Context, *filerpb.UnlockRequest) (*filerpb.UnlockResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lock = ""
	return &filerpb.UnlockResponse{}, nil
}

// fakeVolume is a volume server: what was put under which file id, with which token.
type fakeVolume struct {
	*httptest.Server
	auth string
	full bool

	mu    sync.Mutex
	blobs map[string][]byte
	seen  []string // Authorization headers
}

func newVolume(t *testing.T) *fakeVolume {
	t.Helper()
	v := &fakeVolume{blobs: map[string][]byte{}}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	return v
}

func (v *fakeVolume) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen = append(v.seen, r.Header.Get("Authorization"))
	switch {
	case r.Method == http.MethodPut && v.full:
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `{"error":"volume 1 is read only"}`)
	case r.Method == http.MethodPut:
		b, _ := io.ReadAll(r.Body)
		v.blobs[r.URL.Path] = b
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"eTag":"x"}`)
	default:
		b, ok := v.blobs[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(b)))
	}
}

// serve gives a gRPC server an address in SeaweedFS's form.
func serve(t *testing.T, register func(*grpc.Server)) (string, *grpc.Server) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	register(s)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return fmt.Sprintf("127.0.0.1:1.%d", l.Addr().(*net.TCPAddr).Port), s
}

func newFiler(t *testing.T, m *metadata) *fakeFiler {
	t.Helper()
	f := &fakeFiler{metadata: m, volumes: []*fakeVolume{newVolume(t)}}
	f.addr, f.server = serve(t, func(s *grpc.Server) { filerpb.RegisterSeaweedFilerServer(s, f) })
	return f
}

// fakeMaster knows filers and who leads.
type fakeMaster struct {
	masterpb.UnimplementedSeaweedServer
	filers []*fakeFiler
	leader string
}

func (m *fakeMaster) GetMasterConfiguration(
	context.Context, *masterpb.GetMasterConfigurationRequest,
) (*masterpb.GetMasterConfigurationResponse, error) {
	return &masterpb.GetMasterConfigurationResponse{Leader: m.leader}, nil
}

func (m *fakeMaster) ListClusterNodes(context.Context, *masterpb.ListClusterNodesRequest) (*masterpb.ListClusterNodesResponse, error) {
	resp := &masterpb.ListClusterNodesResponse{}
	for i, f := range m.filers {
		resp.ClusterNodes = append(resp.ClusterNodes, &masterpb.ListClusterNodesResponse_ClusterNode{Address: f.addr, CreatedAtNs: int64(10 - i)})
	}
	return resp, nil
}

func newMaster(t *testing.T, filers ...*fakeFiler) (string, *fakeMaster) {
	t.Helper()
	m := &fakeMaster{filers: filers}
	addr, _ := serve(t, func(s *grpc.Server) { masterpb.RegisterSeaweedServer(s, m) })
	return addr, m
}

func dialled(t *testing.T, f *fakeFiler, o Options) *Client {
	t.Helper()
	o.Filer = f.addr
	c, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
