//go:build unix

package node

import (
	"golang.org/x/sys/unix"

	"kelp/internal/api"
)

// logDir measures the volume that the data lies on.
func logDir(path string) api.LogDir {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return api.LogDir{Path: path, TotalBytes: -1, UsableBytes: -1}
	}
	block := int64(fs.Bsize) //nolint:unconvert // its type differs between systems
	return api.LogDir{Path: path, TotalBytes: int64(fs.Blocks) * block, UsableBytes: int64(fs.Bavail) * block}
}
