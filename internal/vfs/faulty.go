package vfs

import (
	"io"
	"os"
)

// Op is a kind of call that can be made to fail.
type Op string

// The calls of FS and File that Faulty asks about.
const (
	OpCreate      Op = "create"
	OpOpen        Op = "open"
	OpRemove      Op = "remove"
	OpRename      Op = "rename"
	OpList        Op = "list"
	OpSyncDir     Op = "syncdir"
	OpRead        Op = "read"
	OpWrite       Op = "write"
	OpSync        Op = "sync"
	OpTruncate    Op = "truncate"
	OpPreallocate Op = "preallocate"
)

// Faulty asks before every call whether it fails. A write that fails has written half of its bytes;
// a sync that fails has synced nothing.
type Faulty struct {
	FS
	Fault func(op Op, name string) error // nil lets the call through; may be called concurrently
}

type faultyFile struct {
	File
	fs   *Faulty
	name string
}

// Create implements FS.
func (f *Faulty) Create(name string) (File, error) {
	if err := f.Fault(OpCreate, name); err != nil {
		return nil, err
	}
	return f.wrap(name)(f.FS.Create(name))
}

// Open implements FS.
func (f *Faulty) Open(name string) (File, error) {
	if err := f.Fault(OpOpen, name); err != nil {
		return nil, err
	}
	return f.wrap(name)(f.FS.Open(name))
}

func (f *Faulty) wrap(name string) func(File, error) (File, error) {
	return func(file File, err error) (File, error) {
		if err != nil {
			return nil, err
		}
		return &faultyFile{File: file, fs: f, name: name}, nil
	}
}

// Remove implements FS.
func (f *Faulty) Remove(name string) error {
	if err := f.Fault(OpRemove, name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// Rename implements FS.
func (f *Faulty) Rename(from, to string) error {
	if err := f.Fault(OpRename, from); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

// List implements FS.
func (f *Faulty) List(dir string) ([]string, error) {
	if err := f.Fault(OpList, dir); err != nil {
		return nil, err
	}
	return f.FS.List(dir)
}

// SyncDir implements FS.
func (f *Faulty) SyncDir(dir string) error {
	if err := f.Fault(OpSyncDir, dir); err != nil {
		return err
	}
	return f.FS.SyncDir(dir)
}

// Lock implements FS.
func (f *Faulty) Lock(name string) (io.Closer, error) { return f.FS.Lock(name) }

func (f *faultyFile) ReadAt(b []byte, off int64) (int, error) {
	if err := f.fs.Fault(OpRead, f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, off)
}

func (f *faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.fs.Fault(OpWrite, f.name); err != nil {
		n, _ := f.File.WriteAt(b[:len(b)/2], off)
		return n, err
	}
	return f.File.WriteAt(b, off)
}

func (f *faultyFile) WriteBuffers(buffers [][]byte, off int64) error {
	if err := f.fs.Fault(OpWrite, f.name); err != nil {
		_ = f.File.WriteBuffers(buffers[:len(buffers)/2], off)
		return err
	}
	return f.File.WriteBuffers(buffers, off)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.Fault(OpSync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Truncate(size int64) error {
	if err := f.fs.Fault(OpTruncate, f.name); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *faultyFile) Preallocate(size int64) error {
	if err := f.fs.Fault(OpPreallocate, f.name); err != nil {
		return err
	}
	return f.File.Preallocate(size)
}

// OS is nil: what goes around the calls cannot be made to fail.
func (f *faultyFile) OS() *os.File { return nil }
