package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// systems are the file systems that keep the contract, each with an empty folder.
func systems(t *testing.T) map[string]func(t *testing.T) (FS, string) {
	t.Helper()
	return map[string]func(t *testing.T) (FS, string){
		"os":  func(t *testing.T) (FS, string) { return OS{}, t.TempDir() },
		"mem": func(*testing.T) (FS, string) { return NewMem(), "folder" },
		"faulty": func(*testing.T) (FS, string) {
			return &Faulty{FS: NewMem(), Fault: func(Op, string) error { return nil }}, "folder"
		},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, fsys FS, name string) File {
	t.Helper()
	f, err := fsys.Create(name)
	must(t, err)
	return f
}

func content(t *testing.T, f File) string {
	t.Helper()
	size, err := f.Size()
	must(t, err)
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n != len(b) || err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("read %d of %d bytes: %v", n, len(b), err)
	}
	return string(b)
}

// TestFiles is what every file system does alike, the crashable twin as the real one.
func TestFiles(t *testing.T) {
	for name, open := range systems(t) {
		t.Run(name, func(t *testing.T) {
			fsys, dir := open(t)
			must(t, fsys.MakeDir(dir))
			must(t, fsys.MakeDir(dir)) // again is fine
			at := func(name string) string { return filepath.Join(dir, name) }
			if _, err := fsys.Open(at("a")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open what is not there: %v", err)
			}
			f := create(t, fsys, at("a"))
			if _, err := f.WriteAt([]byte("world"), 6); err != nil {
				t.Fatal(err)
			}
			must(t, f.WriteBuffers([][]byte{[]byte("hel"), {}, []byte("lo")}, 0))
			if got := content(t, f); got != "hello\x00world" {
				t.Errorf("%q", got)
			}
			if n, err := f.ReadAt(make([]byte, 10), 6); n != 5 || !errors.Is(err, io.EOF) {
				t.Errorf("read over the end: %d, %v", n, err)
			}
			many := make([][]byte, 3000) // more than one call of the system takes
			for i := range many {
				many[i] = fmt.Appendf(nil, "%d,", i)
			}
			must(t, f.WriteBuffers(many, 3))
			if got := content(t, f); got != "hel"+string(slices.Concat(many...)) {
				t.Errorf("%d bytes of many buffers", len(got))
			}
			must(t, f.Truncate(4))
			must(t, f.Preallocate(8))
			if got := content(t, f); got != "hel0\x00\x00\x00\x00" {
				t.Errorf("%q", got)
			}
			if err := f.Punch(1, 2); err == nil {
				if got := content(t, f); got != "h\x00\x000\x00\x00\x00\x00" {
					t.Errorf("with a hole: %q", got)
				}
			} else if !errors.Is(err, ErrUnsupported) {
				t.Error(err)
			}
			must(t, f.Sync())
			must(t, f.Close())
			if _, err := f.ReadAt(make([]byte, 1), 0); err == nil {
				t.Error("a closed file is read")
			}
			must(t, create(t, fsys, at("b")).Close())
			must(t, fsys.Rename(at("a"), at("c")))
			must(t, fsys.Rename(at("c"), at("b"))) // takes the place of what was there
			must(t, fsys.SyncDir(dir))
			if names, err := fsys.List(dir); err != nil || !slices.Equal(names, []string{"b"}) {
				t.Errorf("%v, %v", names, err)
			}
			f, err := fsys.Open(at("b"))
			must(t, err)
			if size, _ := f.Size(); size != 8 {
				t.Errorf("%d bytes after renaming", size)
			}
			must(t, f.Close())
			f = create(t, fsys, at("b"))
			if size, _ := f.Size(); size != 0 {
				t.Errorf("%d bytes after creating anew", size)
			}
			must(t, f.Close())
			must(t, fsys.Remove(at("b")))
			if err := fsys.Remove(at("b")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("remove what is not there: %v", err)
			}
			lock, err := fsys.Lock(at("LOCK"))
			must(t, err)
			if second, err := fsys.Lock(at("LOCK")); err == nil {
				t.Error("locked twice")
				must(t, second.Close())
			}
			must(t, lock.Close())
			lock, err = fsys.Lock(at("LOCK"))
			must(t, err)
			must(t, lock.Close())
		})
	}
}

// TestACrashKeepsWhatWasSynced and takes every liberty with the rest: over many seeds each later
// sector is seen written and missing, each alone, and never anything else.
func TestACrashKeepsWhatWasSynced(t *testing.T) {
	m := NewMem()
	f := create(t, m, "d/f")
	must(t, f.WriteBuffers([][]byte{bytes.Repeat([]byte("s"), 4*sector)}, 0))
	must(t, f.Sync())
	must(t, m.SyncDir("d"))
	if _, err := f.WriteAt(bytes.Repeat([]byte("n"), 2*sector), sector); err != nil { // sectors 1 and 2
		t.Fatal(err)
	}
	seen := map[string]int{}
	for seed := range uint64(200) {
		c, err := m.CrashClone(rand.New(rand.NewPCG(seed, 1))).Open("d/f")
		must(t, err)
		b := content(t, c)
		if len(b) != 4*sector {
			t.Fatalf("%d bytes", len(b))
		}
		state := ""
		for i := range 4 {
			part := b[i*sector : (i+1)*sector]
			if strings.Count(part, part[:1]) != sector {
				t.Fatalf("sector %d is torn in itself", i)
			}
			state += part[:1]
		}
		seen[state]++
	}
	for _, state := range []string{"ssss", "snss", "ssns", "snns"} {
		if seen[state] == 0 {
			t.Errorf("never seen: %s of %v", state, seen)
		}
		delete(seen, state)
	}
	if len(seen) > 0 {
		t.Errorf("invented: %v", seen)
	}
}

// TestWritesAreReordered: of two writes a crash may keep the later one alone.
func TestWritesAreReordered(t *testing.T) {
	m := NewMem()
	f := create(t, m, "d/f")
	must(t, m.SyncDir("d"))
	for i, text := range []string{"first", "later"} {
		if _, err := f.WriteAt([]byte(text), int64(i*sector)); err != nil {
			t.Fatal(err)
		}
	}
	later := 0
	for seed := range uint64(100) {
		c, err := m.CrashClone(rand.New(rand.NewPCG(seed, 1))).Open("d/f")
		must(t, err)
		if b := content(t, c); strings.HasSuffix(b, "later") && !strings.HasPrefix(b, "first") {
			later++
		}
	}
	if later == 0 {
		t.Error("writes always survive in their order")
	}
}

// TestNamesSurviveOnceTheirFolderIsSynced: before that a crash may take the newest changes of names.
func TestNamesSurviveOnceTheirFolderIsSynced(t *testing.T) {
	m := NewMem()
	must(t, create(t, m, "d/kept").Close())
	must(t, m.SyncDir("d"))
	must(t, create(t, m, "d/new").Close())
	must(t, m.Rename("d/new", "d/renamed"))
	must(t, m.Remove("d/kept"))
	seen := map[string]bool{}
	for seed := range uint64(100) {
		names, err := m.CrashClone(rand.New(rand.NewPCG(seed, 1))).List("d")
		must(t, err)
		seen[strings.Join(names, " ")] = true
	}
	want := []string{"kept", "kept new", "kept renamed", "renamed"} // the beginnings of its history
	for _, names := range want {
		if !seen[names] {
			t.Errorf("never seen: %q", names)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("seen: %v", seen)
	}
}

// TestAFullDisk: what needs no more room goes on.
func TestAFullDisk(t *testing.T) {
	m := NewMem()
	f := create(t, m, "f")
	must(t, f.Preallocate(100))
	m.SetCapacity(100)
	for name, call := range map[string]func() error{
		"write":       func() error { _, err := f.WriteAt(make([]byte, 2), 99); return err },
		"buffers":     func() error { return f.WriteBuffers([][]byte{make([]byte, 200)}, 0) },
		"truncate":    func() error { return f.Truncate(101) },
		"preallocate": func() error { return f.Preallocate(101) },
	} {
		if err := call(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.WriteAt(make([]byte, 100), 0); err != nil {
		t.Errorf("writing what is reserved: %v", err)
	}
	must(t, f.Truncate(50))
	if m.Used() != 50 {
		t.Errorf("%d bytes are used", m.Used())
	}
}

// TestFaultsReachEveryCall: each call asks first, with its name, and does nothing when it fails, but for
// a write, which has written half.
func TestFaultsReachEveryCall(t *testing.T) {
	boom := errors.New("boom")
	var fail Op
	var asked []Op
	inner := NewMem()
	fsys := &Faulty{FS: inner, Fault: func(op Op, _ string) error {
		asked = append(asked, op)
		if op == fail {
			return boom
		}
		return nil
	}}
	f := create(t, fsys, "d/f")
	for op, call := range map[Op]func() error{
		OpCreate:      func() error { _, err := fsys.Create("d/g"); return err },
		OpOpen:        func() error { _, err := fsys.Open("d/f"); return err },
		OpRemove:      func() error { return fsys.Remove("d/f") },
		OpRename:      func() error { return fsys.Rename("d/f", "d/h") },
		OpList:        func() error { _, err := fsys.List("d"); return err },
		OpSyncDir:     func() error { return fsys.SyncDir("d") },
		OpRead:        func() error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		OpSync:        f.Sync,
		OpTruncate:    func() error { return f.Truncate(1000) },
		OpPreallocate: func() error { return f.Preallocate(1000) },
	} {
		fail, asked = op, nil
		if err := call(); !errors.Is(err, boom) || !slices.Equal(asked, []Op{op}) {
			t.Errorf("%s: %v, asked %v", op, err, asked)
		}
		if names, _ := inner.List("d"); !slices.Equal(names, []string{"f"}) || inner.Used() != 0 {
			t.Errorf("%s did something: %v, %d bytes", op, names, inner.Used())
		}
	}
	fail = OpWrite
	if _, err := f.WriteAt([]byte("abcd"), 0); !errors.Is(err, boom) {
		t.Error(err)
	}
	if err := f.WriteBuffers([][]byte{[]byte("12"), []byte("34")}, 2); !errors.Is(err, boom) {
		t.Error(err)
	}
	fail = ""
	if got := content(t, f); got != "ab12" {
		t.Errorf("half of two writes: %q", got)
	}
}

// TestReadOnlyChangesNothing, whatever is called.
func TestReadOnlyChangesNothing(t *testing.T) {
	inner := NewMem()
	f := create(t, inner, "d/f")
	if _, err := f.WriteAt([]byte("text"), 0); err != nil {
		t.Fatal(err)
	}
	fsys := ReadOnly{inner}
	if _, err := fsys.Create("d/g"); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
	must(t, fsys.Remove("d/f"))
	must(t, fsys.Rename("d/f", "d/g"))
	must(t, fsys.SyncDir("d"))
	g, err := fsys.Open("d/f")
	must(t, err)
	if n, err := g.WriteAt([]byte("other"), 0); n != 5 || err != nil {
		t.Error(n, err)
	}
	must(t, g.WriteBuffers([][]byte{[]byte("x")}, 0))
	must(t, errors.Join(g.Truncate(0), g.Preallocate(100), g.Punch(0, 4), g.Sync()))
	if got := content(t, g); got != "text" {
		t.Errorf("%q", got)
	}
}

// TestFillReservesByWriting is Preallocate where the system cannot reserve.
func TestFillReservesByWriting(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	must(t, err)
	defer f.Close()
	if _, err := f.WriteString("text"); err != nil {
		t.Fatal(err)
	}
	must(t, fill(f, 2*fillBytes+7))
	b, err := os.ReadFile(f.Name())
	must(t, err)
	if len(b) != 2*fillBytes+7 || string(b[:4]) != "text" || len(bytes.Trim(b[4:], "\x00")) != 0 {
		t.Errorf("%d bytes, %q at the front", len(b), b[:8])
	}
	must(t, fill(f, 100)) // it never shrinks
	if info, err := f.Stat(); err != nil || info.Size() != 2*fillBytes+7 {
		t.Error(info.Size(), err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		t.Log("the system has no /dev/full: a disk without room is not tried")
		return
	}
	must(t, err)
	defer full.Close()
	if err := fill(full, 10); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("no room: %v", err)
	}
}
