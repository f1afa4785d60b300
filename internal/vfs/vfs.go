// Package vfs is the file system as a durable store needs it: positioned reads and writes, syncs
// that say what survives, preallocation, holes. [OS] is the real one; [Mem] lives in memory, can be
// cloned as a crash would leave it and runs out of space; [Faulty] injects errors at every call.
//
// Invariants: what was written before a Sync that returned nil survives a crash; a created,
// renamed or removed name does once SyncDir of its folder returned nil. Nothing else is promised,
// and Mem.CrashClone takes every liberty that this leaves.
package vfs

import (
	"errors"
	"io"
	"os"
)

// FS is a file system. All methods may be called concurrently.
type FS interface {
	// Create makes a file for reading and writing; one that exists is emptied.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing; fs.ErrNotExist when there is none.
	Open(name string) (File, error)
	// Remove deletes a name; fs.ErrNotExist when there is none.
	Remove(name string) error
	// Rename gives a file another name, in place of the file that had it.
	Rename(from, to string) error
	// List gives the names in a folder, sorted.
	List(dir string) ([]string, error)
	// MakeDir makes a folder and its parents; one that exists is fine.
	MakeDir(dir string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
	// Lock takes a lock file for as long as the result is not closed; an error when another has it.
	Lock(name string) (io.Closer, error)
}

// File is an open file. Reads and writes of different ranges may be concurrent.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// WriteBuffers writes the buffers one after the other from off on, in as few calls as it can. It does not keep them.
	WriteBuffers(buffers [][]byte, off int64) error
	// Sync makes everything written before it durable, with the size. After an error nothing is
	// known of what was written since the last success, and a later success says nothing about it.
	Sync() error
	// Truncate sets the size.
	Truncate(size int64) error
	// Preallocate grows the file to size with zeros and reserves the space, so that writing there cannot
	// fail for want of it. Where the system cannot reserve, the zeros are written.
	Preallocate(size int64) error
	// Punch gives the space of a range back; it reads as zeros from then on. ErrUnsupported where the system cannot.
	Punch(off, n int64) error
	Size() (int64, error)
	// OS is the system's file for sendfile, nil when there is none.
	OS() *os.File
}

// ErrUnsupported is what the system cannot do.
var ErrUnsupported = errors.New("not supported by the file system")
