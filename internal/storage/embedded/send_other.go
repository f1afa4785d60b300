//go:build !linux

package embedded

import (
	"io"
	"os"
)

// sendSection writes n bytes of f from pos on.
func sendSection(w io.Writer, f *os.File, pos, n int64) (int64, error) {
	return io.Copy(w, io.NewSectionReader(f, pos, n))
}
