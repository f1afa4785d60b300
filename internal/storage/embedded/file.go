package embedded

import (
	"container/list"
	"errors"
	"fmt"
	"path"
	"sync"
	"sync/atomic"

	"kelp/internal/storage"
	"kelp/internal/vfs"
)

// file is one data file.
type file struct {
	seq  uint64
	kind fileKind
	name string
	// limit is how large a journal file may become, without the reserve.
	limit int64

	uses atomic.Int64 // views and checkpoints that lie in it
	live atomic.Int64 // their bytes

	payload atomic.Int64 // bytes of all batches and checkpoints in it, dead ones too
	fresh   atomic.Bool  // written by this process and nothing went wrong: what is read back needs no check

	// Guarded by the store's lock.
	pieces    *pieces
	sealed    bool
	settling  bool  // being made, or being packed: it stays
	damaged   bool  // cannot be packed
	runs      int64 // stretches of batches of one partition
	dataEnd   int64
	lastChunk uint64
	noIndex   error // why its index was built again after a start

	// Guarded by the handles' lock.
	handle  vfs.File
	pins    int
	removed bool // goes when the last pin does
	idle    *list.Element
}

// handles bounds the open files: one that nobody reads is closed when there are too many.
type handles struct {
	fs    vfs.FS
	limit int
	sweep func(error) // told when a removed file could not be

	mu   sync.Mutex
	open int
	idle *list.List // of *file, unpinned and open, longest unused first
}

func newHandles(fs vfs.FS, limit int, sweep func(error)) *handles {
	return &handles{fs: fs, limit: limit, sweep: sweep, idle: list.New()}
}

// pin opens the file where needed and keeps it open until unpin.
func (h *handles) pin(f *file) (vfs.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.handle == nil {
		if f.removed {
			return nil, fmt.Errorf("%w: file %s is gone", storage.ErrNotFound, path.Base(f.name))
		}
		handle, err := h.fs.Open(f.name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
		}
		f.handle = handle
		h.open++
	}
	if f.idle != nil {
		h.idle.Remove(f.idle)
		f.idle = nil
	}
	f.pins++
	for h.open > h.limit && h.idle.Len() > 0 {
		h.close(h.idle.Front().Value.(*file))
	}
	return f.handle, nil
}

func (h *handles) unpin(f *file) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.pins--; f.pins > 0 {
		return
	}
	f.idle = h.idle.PushBack(f)
	if f.removed {
		h.remove(f)
	} else if h.open > h.limit {
		h.close(f)
	}
}

// hold adds a file that is open already, pinned once.
func (h *handles) hold(f *file, handle vfs.File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.handle, f.pins = handle, f.pins+1
	h.open++
}

func (h *handles) close(f *file) {
	if f.idle != nil {
		h.idle.Remove(f.idle)
		f.idle = nil
	}
	if f.handle != nil {
		h.open--
		if err := f.handle.Close(); err != nil {
			h.sweep(err)
		}
		f.handle = nil
	}
}

// drop removes the file now or when nobody reads it any more.
func (h *handles) drop(f *file) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if f.removed {
		return
	}
	f.removed = true
	if f.pins == 0 {
		h.remove(f)
	}
}

func (h *handles) remove(f *file) {
	h.close(f)
	if err := h.fs.Remove(f.name); err != nil {
		h.sweep(fmt.Errorf("remove a file that is not needed: %w", err))
	}
}

// closeAll closes what is open when nobody reads any more.
func (h *handles) closeAll(files []*file) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for _, f := range files {
		if f.handle != nil {
			errs = append(errs, f.handle.Close())
			f.handle = nil
			h.open--
		}
	}
	return errors.Join(errs...)
}
