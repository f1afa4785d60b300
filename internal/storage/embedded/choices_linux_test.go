package embedded

import (
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"kelp/internal/vfs"
)

// The measurements behind docs/decisions: what the log does and what it could do instead. They need
// a real disk: TMPDIR says which.

// BenchmarkFilePerPartition is the alternative to a journal: each partition appends to a file of its
// own and syncs it; 64 appends are in flight, and those of one partition share a sync.
func BenchmarkFilePerPartition(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 1 << 20} {
		for _, partitions := range []int{1, 8, 1000} {
			b.Run(fmt.Sprintf("%dKiB/%d", size>>10, partitions), func(b *testing.B) { filePerPartition(b, size, partitions) })
		}
	}
}

func filePerPartition(b *testing.B, size, partitions int) {
	dir := b.TempDir()
	type file struct {
		mu   sync.Mutex
		f    vfs.File
		pos  int64
		wait []chan struct{}
		busy bool
	}
	files := make([]*file, partitions)
	for i := range files {
		f, err := vfs.OS{}.Create(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			b.Fatal(err)
		}
		files[i] = &file{f: f}
	}
	payload := make([]byte, size)
	flush := func(f *file) {
		for {
			f.mu.Lock()
			wait := f.wait
			f.wait, f.busy = nil, len(wait) > 0
			f.mu.Unlock()
			if len(wait) == 0 {
				return
			}
			_ = f.f.Sync()
			for _, w := range wait {
				close(w)
			}
		}
	}
	inFlight := make([]chan struct{}, 64)
	b.SetBytes(int64(size))
	b.ResetTimer()
	for i := range b.N {
		if w := inFlight[i%64]; w != nil {
			<-w
		}
		f, w := files[i%partitions], make(chan struct{})
		inFlight[i%64] = w
		f.mu.Lock()
		if _, err := f.f.WriteAt(payload, f.pos); err != nil {
			b.Fatal(err)
		}
		f.pos += int64(size)
		f.wait = append(f.wait, w)
		if !f.busy {
			f.busy = true
			go flush(f)
		}
		f.mu.Unlock()
	}
	for _, w := range inFlight {
		if w != nil {
			<-w
		}
	}
	b.StopTimer()
	for _, f := range files {
		_ = f.f.Close()
	}
}

// BenchmarkDurableWrite is one write and what makes it durable, in files prepared in several ways.
func BenchmarkDurableWrite(b *testing.B) {
	const fileBytes = 64 << 20
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20} {
		for _, c := range []struct {
			name  string
			flags int
			zeros bool
			alloc bool
		}{
			{name: "grow"},
			{name: "fallocate", alloc: true},
			{name: "written", zeros: true},
			{name: "written-dsync", zeros: true, flags: unix.O_DSYNC},
			{name: "written-direct", zeros: true, flags: unix.O_DIRECT | unix.O_DSYNC},
		} {
			b.Run(fmt.Sprintf("%s/%dKiB", c.name, size>>10), func(b *testing.B) {
				name := filepath.Join(b.TempDir(), "f")
				f, err := vfs.OS{}.Create(name)
				if err != nil {
					b.Fatal(err)
				}
				if c.zeros {
					_, err = f.WriteAt(make([]byte, fileBytes), 0)
				} else if c.alloc {
					err = f.Preallocate(fileBytes)
				}
				if err != nil || f.Sync() != nil {
					b.Fatal(err)
				}
				fd, err := unix.Open(name, unix.O_RDWR|c.flags, 0)
				if err != nil {
					b.Skip("the file system does not take it: ", err)
				}
				defer unix.Close(fd)
				buf, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // aligned
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(size))
				b.ResetTimer()
				for i := range b.N {
					if _, err := unix.Pwrite(fd, buf, int64(i*size%fileBytes)); err != nil {
						b.Fatal(err)
					}
					if c.flags == 0 && unix.Fdatasync(fd) != nil {
						b.Fatal("fdatasync")
					}
				}
			})
		}
	}
}

// BenchmarkSend is the ways from a file in the page cache to a socket. cpu-s/GB is of the sending thread.
func BenchmarkSend(b *testing.B) {
	const fileBytes = 64 << 20
	f, err := vfs.OS{}.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	memory := make([]byte, fileBytes)
	if _, err := f.WriteAt(memory, 0); err != nil {
		b.Fatal(err)
	}
	whole, err := unix.Mmap(int(f.OS().Fd()), 0, fileBytes, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = unix.Munmap(whole) }()
	for _, size := range []int{4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20} {
		buf := make([]byte, size)
		for name, send := range map[string]func(c *net.TCPConn, off int64) error{
			"sendfile": func(c *net.TCPConn, off int64) error { _, err := sendSection(c, f, off, int64(size)); return err },
			"memory":   func(c *net.TCPConn, off int64) error { _, err := c.Write(memory[off : off+int64(size)]); return err },
			"copy": func(c *net.TCPConn, off int64) error {
				if _, err := f.ReadAt(buf, off); err != nil {
					return err
				}
				_, err := c.Write(buf)
				return err
			},
			"mapped": func(c *net.TCPConn, off int64) error { _, err := c.Write(whole[off : off+int64(size)]); return err },
			"map": func(c *net.TCPConn, off int64) error {
				m, err := unix.Mmap(int(f.OS().Fd()), off, size, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
				if err != nil {
					return err
				}
				_, err = c.Write(m)
				_ = unix.Munmap(m)
				return err
			},
		} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				c := sink(b)
				defer c.Close()
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				b.SetBytes(int64(size))
				b.ResetTimer()
				began := threadSeconds()
				for i := range b.N {
					if err := send(c, int64(i*size%fileBytes)); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric((threadSeconds()-began)/float64(b.N*size)*1e9, "cpu-s/GB")
			})
		}
	}
}

func threadSeconds() float64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
