package vfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// maxBuffers is the kernel's limit of one pwritev (IOV_MAX).
const maxBuffers = 1024

// syncData leaves out what is not needed to read the data again, such as times.
func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

func writeBuffers(f *os.File, buffers [][]byte, off int64) error {
	for len(buffers) > 0 {
		n, err := unix.Pwritev(int(f.Fd()), buffers[:min(len(buffers), maxBuffers)], off)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("pwritev", err)
		}
		off += int64(n)
		for len(buffers) > 0 && n >= len(buffers[0]) {
			n -= len(buffers[0])
			buffers = buffers[1:]
		}
		if n > 0 { // the system took a part of one
			m, err := f.WriteAt(buffers[0][n:], off)
			if err != nil {
				return err
			}
			off += int64(m)
			buffers = buffers[1:]
		}
	}
	return nil
}

func reserve(f *os.File, size int64) error { return allocate(f, 0, 0, size) }

func punch(f *os.File, off, n int64) error {
	return allocate(f, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

func allocate(f *os.File, mode uint32, off, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), mode, off, n)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return ErrUnsupported
		default:
			return os.NewSyscallError("fallocate", err)
		}
	}
}
