package seaweed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"kelp/internal/seaweed/filerpb"
)

// assignAhead is how many file ids one call to the filer brings.
const assignAhead = 32

// idsKeptFor is how long they are used: their volume may fill up or move, and tokens that come with
// them are valid for ten seconds.
const idsKeptFor = 5 * time.Second

// Blob is bytes on volume servers under one file id.
type Blob struct {
	FileID string
	Bytes  int64
	ETag   string
}

// fileID is an id that nothing was written to yet.
type fileID struct {
	id, url, auth string
	until         time.Time
}

// place is where a volume was last seen.
type place struct {
	urls  []string
	until time.Time
}

// PutBlob writes bytes to a volume server and all replicas. With sync they are on stable storage
// when it returns nil. After an error the bytes may be there, under an id that nobody knows.
func (c *Client) PutBlob(ctx context.Context, b []byte, sync bool) (Blob, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.CallLimit)
	defer cancel()
	id, err := c.assign(ctx)
	if err != nil {
		return Blob{}, fmt.Errorf("assign a file id: %w", err)
	}
	url := c.url(id.url, id.id)
	if sync {
		url += "?fsync=true"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(b))
	if err != nil {
		return Blob{}, err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	switch key := c.o.Security.WriteKey; {
	case len(key) > 0:
		req.Header.Set("Authorization", "Bearer "+token(key, id.id, time.Now()))
	case id.auth != "":
		req.Header.Set("Authorization", "Bearer "+id.auth)
	}
	resp, err := c.web.Do(req)
	if err != nil {
		c.forgetSpare() // the server may be gone: the master names another one
		return Blob{}, fmt.Errorf("write to volume server %s: %w", id.url, err)
	}
	defer func() { drain(resp.Body); _ = resp.Body.Close() }()
	var said struct {
		ETag  string `json:"eTag"`
		Error string `json:"error"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&said)
	if resp.StatusCode/100 != 2 || err != nil || said.Error != "" {
		c.forgetSpare() // the volume may be full or read-only: further ids of it are not worth trying
		return Blob{}, fmt.Errorf("write to volume server %s: %s %s", id.url, resp.Status, said.Error)
	}
	return Blob{FileID: id.id, Bytes: int64(len(b)), ETag: said.ETag}, nil
}

func (c *Client) assign(ctx context.Context) (fileID, error) {
	c.mu.Lock()
	if n := len(c.spare); n > 0 && time.Now().Before(c.spare[n-1].until) {
		id := c.spare[n-1]
		c.spare = c.spare[:n-1]
		c.mu.Unlock()
		return id, nil
	}
	c.mu.Unlock()
	resp, err := c.filer.AssignVolume(ctx, &filerpb.AssignVolumeRequest{
		Count: assignAhead, Collection: c.o.Collection, Replication: c.o.Replication,
	})
	if err == nil && resp.Error != "" {
		err = errors.New(resp.Error)
	}
	if err != nil {
		return fileID{}, err
	}
	if resp.Location == nil || resp.FileId == "" {
		return fileID{}, errors.New("the filer named no volume server")
	}
	first := fileID{id: resp.FileId, url: resp.Location.Url, auth: resp.Auth, until: time.Now().Add(idsKeptFor)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spare) > 0 && !time.Now().Before(c.spare[len(c.spare)-1].until) {
		c.spare = c.spare[:0]
	}
	for i := range int(min(resp.Count, assignAhead)) - 1 {
		next := first
		next.id = fmt.Sprintf("%s_%d", first.id, i+1)
		c.spare = append(c.spare, next)
	}
	return first, nil
}

func (c *Client) forgetSpare() {
	c.mu.Lock()
	c.spare = nil
	c.mu.Unlock()
}

// ReadBlob fills b with a blob's bytes from an offset on. ErrNotFound says that no volume server
// has it.
func (c *Client) ReadBlob(ctx context.Context, fileID string, at int64, b []byte) error {
	ctx, cancel := context.WithTimeout(ctx, c.o.CallLimit)
	defer cancel()
	var failed error
	for attempt := range 2 {
		urls, err := c.locate(ctx, fileID, attempt > 0)
		if err != nil {
			return err
		}
		for _, url := range urls {
			if err = c.readFrom(ctx, url, fileID, at, b); err == nil {
				return nil
			}
			failed = err
		}
	}
	return failed
}

func (c *Client) readFrom(ctx context.Context, url, fileID string, at int64, b []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url(url, fileID), http.NoBody)
	if err != nil {
		return err
	}
	if key := c.o.Security.ReadKey; len(key) > 0 {
		req.Header.Set("Authorization", "Bearer "+token(key, fileID, time.Now()))
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", at, at+int64(len(b))-1))
	resp, err := c.web.Do(req)
	if err != nil {
		return fmt.Errorf("read %s from volume server %s: %w", fileID, url, err)
	}
	defer func() { drain(resp.Body); _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("read %s from volume server %s: %w", fileID, url, ErrNotFound)
	case resp.StatusCode == http.StatusOK: // a server that ignores ranges
		if _, err := io.CopyN(io.Discard, resp.Body, at); err != nil {
			return err
		}
	case resp.StatusCode != http.StatusPartialContent:
		return fmt.Errorf("read %s from volume server %s: %s", fileID, url, resp.Status)
	}
	if _, err := io.ReadFull(resp.Body, b); err != nil {
		return fmt.Errorf("read %s from volume server %s: %w", fileID, url, err)
	}
	return nil
}

// locate names the servers of a file id's volume.
func (c *Client) locate(ctx context.Context, fileID string, again bool) ([]string, error) {
	volume, _, ok := strings.Cut(fileID, ",")
	if !ok {
		return nil, fmt.Errorf("file id %q: %w", fileID, ErrNotFound)
	}
	c.mu.Lock()
	known := c.places[volume]
	c.mu.Unlock()
	if !again && time.Now().Before(known.until) {
		return known.urls, nil
	}
	resp, err := c.filer.LookupVolume(ctx, &filerpb.LookupVolumeRequest{VolumeIds: []string{volume}})
	if err != nil {
		return nil, fmt.Errorf("look up volume %s: %w", volume, err)
	}
	var urls []string
	if l := resp.LocationsMap[volume]; l != nil {
		for _, at := range l.Locations {
			urls = append(urls, at.Url)
		}
	}
	if len(urls) == 0 {
		return nil, fmt.Errorf("volume %s is on no server: %w", volume, ErrNotFound)
	}
	c.mu.Lock()
	c.places[volume] = place{urls: urls, until: time.Now().Add(locationsKeptFor)}
	c.mu.Unlock()
	return urls, nil
}

func (c *Client) url(server, fileID string) string {
	if c.o.Security.HTTPS != nil {
		return "https://" + server + "/" + fileID
	}
	return "http://" + server + "/" + fileID
}

// drain reads the little that is left, so that the connection can be used again.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, 1<<16) }
