package seaweed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"kelp/internal/seaweed/filerpb"
)

// reconnect is quick: a filer that restarts is back within seconds.
var reconnect = backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: time.Second}

// missingText is how a filer says that there is no such entry: it gives no code for it.
const missingText = "no entry is found in filer store"

// existsText is how filers said that an entry exists before they had codes.
const existsText = "EEXIST"

// Entry is a file in the filer: inline content, bytes on volume servers, or both.
type Entry struct {
	Name    string
	Content []byte
	Blobs   []Blob // in order of their place in the file
	// TTLSeconds is when the filer lets the entry expire, which only its own rules ask for; 0: never.
	TTLSeconds int32
}

// message gives an entry its attributes in the filer's form.
func message(entry Entry) *filerpb.Entry {
	now := time.Now()
	e := &filerpb.Entry{Name: entry.Name, Content: entry.Content}
	size := uint64(len(entry.Content))
	at := int64(0)
	for _, b := range entry.Blobs {
		e.Chunks = append(e.Chunks, &filerpb.FileChunk{
			FileId: b.FileID, Offset: at, Size: uint64(b.Bytes), ModifiedTsNs: now.UnixNano(), ETag: b.ETag,
		})
		at += b.Bytes
	}
	size = max(size, uint64(at))
	e.Attributes = &filerpb.FuseAttributes{FileSize: size, Mtime: now.Unix(), Crtime: now.Unix(), FileMode: 0o640}
	return e
}

// CreateOnce makes an entry that must not exist: of all that try the same name through this filer
// exactly one gets nil, the others ErrExists. ErrUnclear says that the filer did not answer.
func (c *Client) CreateOnce(ctx context.Context, dir string, e Entry) error {
	return c.create(ctx, &filerpb.CreateEntryRequest{Directory: dir, Entry: message(e), OExcl: true})
}

// Put makes or replaces an entry; blobs that the old one alone had are freed.
func (c *Client) Put(ctx context.Context, dir string, e Entry) error {
	return c.create(ctx, &filerpb.CreateEntryRequest{Directory: dir, Entry: message(e)})
}

func (c *Client) create(ctx context.Context, req *filerpb.CreateEntryRequest) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.CallLimit)
	defer cancel()
	resp, err := c.filer.CreateEntry(ctx, req)
	name := req.Directory + "/" + req.Entry.Name
	switch {
	case err != nil:
		return fmt.Errorf("create %s: %w: %w", name, ErrUnclear, err)
	case resp.ErrorCode == filerpb.FilerError_ENTRY_ALREADY_EXISTS || strings.HasPrefix(resp.Error, existsText):
		return fmt.Errorf("create %s: %w", name, ErrExists)
	case resp.ErrorCode != filerpb.FilerError_OK || resp.Error != "":
		return fmt.Errorf("create %s: %s (%s)", name, resp.Error, resp.ErrorCode)
	}
	return nil
}

// Lookup gives an entry, or ErrNotFound.
func (c *Client) Lookup(ctx context.Context, dir, name string) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.CallLimit)
	defer cancel()
	resp, err := c.filer.LookupDirectoryEntry(ctx, &filerpb.LookupDirectoryEntryRequest{Directory: dir, Name: name})
	if err == nil && resp.Entry == nil || err != nil && strings.Contains(err.Error(), missingText) || status.Code(err) == codes.NotFound {
		return Entry{}, fmt.Errorf("look up %s/%s: %w", dir, name, ErrNotFound)
	}
	if err != nil {
		return Entry{}, fmt.Errorf("look up %s/%s: %w", dir, name, err)
	}
	return entryOf(resp.Entry), nil
}

func entryOf(e *filerpb.Entry) Entry {
	out := Entry{Name: e.Name, Content: e.Content, TTLSeconds: e.GetAttributes().GetTtlSec()}
	for _, ch := range e.Chunks {
		id := ch.FileId
		if id == "" && ch.Fid != nil {
			id = fmt.Sprintf("%d,%x%08x", ch.Fid.VolumeId, ch.Fid.FileKey, ch.Fid.Cookie)
		}
		out.Blobs = append(out.Blobs, Blob{FileID: id, Bytes: int64(ch.Size), ETag: ch.ETag})
	}
	return out
}

// listPage is how many entries one call of List asks for; a filer cuts longer answers by itself.
const listPage = 1000

// List calls visit for the files and folders of dir whose names are after the given one, in byte
// order of their names. A missing folder is empty.
func (c *Client) List(ctx context.Context, dir, after string, visit func(e Entry, folder bool) error) error {
	for {
		seen, last, err := c.page(ctx, dir, after, visit)
		if err != nil {
			return fmt.Errorf("list %s: %w", dir, err)
		}
		if seen == 0 {
			return nil
		}
		after = last
	}
}

func (c *Client) page(ctx context.Context, dir, after string, visit func(Entry, bool) error) (seen int, last string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.CallLimit)
	defer cancel()
	stream, err := c.filer.ListEntries(ctx, &filerpb.ListEntriesRequest{Directory: dir, StartFromFileName: after, Limit: listPage})
	if err != nil {
		return 0, "", err
	}
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) || err != nil && strings.Contains(err.Error(), missingText) {
			return seen, last, nil
		}
		if err != nil {
			return seen, last, err
		}
		if resp.Entry == nil {
			continue
		}
		seen, last = seen+1, resp.Entry.Name
		if err := visit(entryOf(resp.Entry), resp.Entry.IsDirectory); err != nil {
			return seen, last, err
		}
	}
}

// Delete removes an entry and frees its blobs; a folder goes with all that is in it. A missing
// entry is fine.
func (c *Client) Delete(ctx context.Context, dir, name string) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.CallLimit)
	defer cancel()
	resp, err := c.filer.DeleteEntry(ctx, &filerpb.DeleteEntryRequest{Directory: dir, Name: name, IsDeleteData: true, IsRecursive: true})
	if err == nil && resp.Error != "" {
		err = errors.New(resp.Error)
	}
	if err != nil && !strings.Contains(err.Error(), missingText) {
		return fmt.Errorf("delete %s/%s: %w", dir, name, err)
	}
	return nil
}

// Lock takes or renews a lease. token is empty at first and the last one returned afterwards.
// ErrLocked says that another owner has it. It is only a hint: after a filer's restart two owners
// can hold the same lock.
func (c *Client) Lock(ctx context.Context, name, owner, token string, lease time.Duration) (renewed string, err error) {
	ctx, cancel := context.WithTimeout(ctx, min(c.o.CallLimit, lease))
	defer cancel()
	resp, err := c.filer.DistributedLock(ctx, &filerpb.LockRequest{
		Name: name, Owner: owner, RenewToken: token, SecondsToLock: int64(max(1, lease/time.Second)),
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("lock %s: %w", name, err)
	case resp.Error != "":
		return "", fmt.Errorf("lock %s: %w: %s", name, ErrLocked, resp.Error)
	}
	return resp.RenewToken, nil
}

// Unlock gives a lease back.
func (c *Client) Unlock(ctx context.Context, name, token string) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.CallLimit)
	defer cancel()
	resp, err := c.filer.DistributedUnlock(ctx, &filerpb.UnlockRequest{Name: name, RenewToken: token})
	if err == nil && resp.Error != "" {
		err = errors.New(resp.Error)
	}
	return err
}
