package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// Mem is a file system in memory that knows what a crash may take.
type Mem struct {
	mu       sync.Mutex // guards everything, inodes too
	names    map[string]*inode
	durable  map[string]*inode // the names that survive
	moves    []move            // changes of names since their folder was synced, in order
	locks    map[string]bool
	capacity int64 // bytes of all files together; 0: no end
}

// inode is a file's content: what survives, and every change since.
type inode struct {
	data, durable []byte
	changes       []change
}

// change is a write, or with data nil a new size.
type change struct {
	off  int64
	data []byte
}

// move puts an inode at a name, nil takes the name away; a rename is one move of two names.
type move struct {
	name string
	to   *inode
	gone string // the name that a rename takes away
}

// NewMem makes an empty file system.
func NewMem() *Mem {
	return &Mem{names: map[string]*inode{}, durable: map[string]*inode{}, locks: map[string]bool{}}
}

// SetCapacity bounds the bytes of all files; 0 is no bound. Beyond it calls fail with ENOSPC.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Used is the bytes of all files.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used()
}

func (m *Mem) used() (n int64) {
	for _, f := range m.names {
		n += int64(len(f.data))
	}
	return n
}

// CrashClone is a state that the file system may be in after a power loss now: what was synced is
// there; of each later write any sectors may be, and of later names any beginning of their history.
func (m *Mem) CrashClone(random *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	names := maps.Clone(m.durable)
	for _, mv := range m.moves[:random.IntN(len(m.moves)+1)] {
		mv.apply(names)
	}
	c := NewMem()
	for _, name := range slices.Sorted(maps.Keys(names)) { // in order, so that a seed repeats
		b := names[name].crashed(random)
		c.names[name] = &inode{data: b, durable: slices.Clone(b)}
	}
	c.durable = maps.Clone(c.names)
	return c
}

func (mv move) apply(names map[string]*inode) {
	delete(names, mv.gone)
	if mv.to == nil {
		delete(names, mv.name)
		return
	}
	names[mv.name] = mv.to
}

// crashed is the content after a crash: each change survives whole, not at all, or in some sectors.
func (f *inode) crashed(random *rand.Rand) []byte {
	b := slices.Clone(f.durable)
	for _, c := range f.changes {
		switch kind := random.IntN(3); {
		case kind == 0:
		case kind == 1 || c.data == nil:
			b = c.apply(b)
		default:
			for at := int64(0); at < int64(len(c.data)); {
				n := min(sector-(c.off+at)%sector, int64(len(c.data))-at)
				if random.IntN(2) == 0 {
					b = change{c.off + at, c.data[at : at+n]}.apply(b)
				}
				at += n
			}
		}
	}
	return b
}

func (c change) apply(b []byte) []byte {
	end := c.off + int64(len(c.data))
	if c.data == nil && end < int64(len(b)) {
		return b[:end]
	}
	if grow := end - int64(len(b)); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	copy(b[c.off:], c.data)
	return b
}

func (f *inode) do(c change) {
	f.data = c.apply(f.data)
	f.changes = append(f.changes, c)
}

func missing(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[name]
	if f == nil {
		f = &inode{}
		m.names[name] = f
		m.moves = append(m.moves, move{name: name, to: f})
	} else {
		f.do(change{})
	}
	return &memFile{m: m, f: f, name: name}, nil
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[name]
	if f == nil {
		return nil, missing("open", name)
	}
	return &memFile{m: m, f: f, name: name}, nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[name] == nil {
		return missing("remove", name)
	}
	delete(m.names, name)
	m.moves = append(m.moves, move{name: name})
	return nil
}

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.names[from]
	if f == nil {
		return missing("rename", from)
	}
	mv := move{name: to, to: f, gone: from}
	mv.apply(m.names)
	m.moves = append(m.moves, mv)
	return nil
}

// List implements FS.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []string
	for name := range m.names {
		if path.Dir(name) == path.Clean(dir) {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// MakeDir implements FS. Folders are not kept: every name has one.
func (m *Mem) MakeDir(string) error { return nil }

// SyncDir implements FS. As in a journaling file system, the names of every folder become durable.
func (m *Mem) SyncDir(string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.durable, m.moves = maps.Clone(m.names), nil
	return nil
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, fmt.Errorf("lock %s: held", name)
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

type memFile struct {
	m      *Mem
	f      *inode
	name   string
	closed bool // guarded by m
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return 0, fs.ErrClosed
	}
	if off >= int64(len(f.f.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.f.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.grow(off + int64(len(b))); err != nil {
		return 0, err
	}
	if len(b) > 0 {
		f.f.do(change{off, slices.Clone(b)})
	}
	return len(b), nil
}

// grow says whether there is room for a file of size bytes; the lock is held.
func (f *memFile) grow(size int64) error {
	if f.closed {
		return fs.ErrClosed
	}
	more := size - int64(len(f.f.data))
	if more > 0 && f.m.capacity > 0 && f.m.used()+more > f.m.capacity {
		return &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	return nil
}

func (f *memFile) WriteBuffers(buffers [][]byte, off int64) error {
	_, err := f.WriteAt(slices.Concat(buffers...), off)
	return err
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return fs.ErrClosed
	}
	for _, c := range f.f.changes {
		f.f.durable = c.apply(f.f.durable)
	}
	f.f.changes = nil
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.grow(size); err != nil {
		return err
	}
	f.f.do(change{off: size})
	return nil
}

func (f *memFile) Preallocate(size int64) error { return f.Truncate(size) }

func (f *memFile) Punch(off, n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if n = min(n, int64(len(f.f.data))-off); n > 0 {
		f.f.do(change{off, make([]byte, n)})
	}
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.f.data)), nil
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return errors.New("file closed twice")
	}
	f.closed = true
	return nil
}

func (f *memFile) OS() *os.File { return nil }
