package vfs

import (
	"errors"
	"io"
	"os"
)

// OS is the system's file system.
type OS struct{}

type osFile struct{ *os.File }

// Create implements FS.
func (OS) Create(name string) (File, error) { return open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC) }

// Open implements FS.
func (OS) Open(name string) (File, error) { return open(name, os.O_RDWR) }

func open(name string, flags int) (File, error) {
	f, err := os.OpenFile(name, flags, 0o640)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// List implements FS.
func (OS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// MakeDir implements FS.
func (OS) MakeDir(dir string) error { return os.MkdirAll(dir, 0o750) }

// SyncDir implements FS.
func (OS) SyncDir(dir string) error { return syncDir(dir) }

// Lock implements FS.
func (OS) Lock(name string) (io.Closer, error) { return lockFile(name) }

func (f osFile) Sync() error { return syncData(f.File) }

func (f osFile) WriteBuffers(buffers [][]byte, off int64) error {
	return writeBuffers(f.File, buffers, off)
}

func (f osFile) Preallocate(size int64) error {
	err := reserve(f.File, size)
	if errors.Is(err, ErrUnsupported) {
		return fill(f.File, size)
	}
	return err
}

// fillBytes is how much of a file is filled with one write.
const fillBytes = 1 << 20

// fill reserves space where the system cannot: by writing zeros from the file's end on.
func fill(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, fillBytes)
	for at := info.Size(); at < size; at += fillBytes {
		if _, err := f.WriteAt(zeros[:min(fillBytes, size-at)], at); err != nil {
			return err
		}
	}
	return nil
}

func (f osFile) Punch(off, n int64) error { return punch(f.File, off, n) }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) OS() *os.File { return f.File }
