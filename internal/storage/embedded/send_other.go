//go:build !linux

package embedded

import (
	"io"

	"kelp/internal/vfs"
)

// sendSection writes n bytes of f from pos on.
func sendSection(w io.Writer, f vfs.File, pos, n int64) (int64, error) {
	return copySection(w, f, pos, n)
}
