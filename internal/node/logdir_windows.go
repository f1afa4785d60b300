package node

import (
	"golang.org/x/sys/windows"

	"kelp/internal/api"
)

// logDir measures the volume that the data lies on.
func logDir(path string) api.LogDir {
	name, err := windows.UTF16PtrFromString(path)
	var usable, total, free uint64
	if err == nil {
		err = windows.GetDiskFreeSpaceEx(name, &usable, &total, &free)
	}
	if err != nil {
		return api.LogDir{Path: path, TotalBytes: -1, UsableBytes: -1}
	}
	return api.LogDir{Path: path, TotalBytes: int64(total), UsableBytes: int64(usable)}
}
