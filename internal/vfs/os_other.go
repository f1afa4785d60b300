//go:build !linux

package vfs

import "os"

func syncData(f *os.File) error { return f.Sync() }

func writeBuffers(f *os.File, buffers [][]byte, off int64) error {
	for _, b := range buffers {
		n, err := f.WriteAt(b, off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

func reserve(*os.File, int64) error { return ErrUnsupported }

func punch(*os.File, int64, int64) error { return ErrUnsupported }
