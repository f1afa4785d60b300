package proc

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine describes where a result was measured: processor, memory, kernel and the file system of dir.
func Machine(dir string) string {
	model := firstField("/proc/cpuinfo", "model name")
	memory := strings.Fields(firstField("/proc/meminfo", "MemTotal") + " 0")[0]
	var kib int64
	_, _ = fmt.Sscan(memory, &kib)
	var u unix.Utsname
	kernel := "unknown"
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	fs := "unknown"
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) == nil {
		fs = fmt.Sprintf("type %#x, %d GB free", s.Type, int64(s.Bavail)*s.Bsize/1e9) //nolint:unconvert // differs between systems
	}
	return fmt.Sprintf("%d cores of %s, %.0f GB memory, Linux %s, %s; file system %s; clients on the same machine over loopback",
		runtime.NumCPU(), model, float64(kib)*1024/1e9, kernel, runtime.Version(), fs)
}

func firstField(path, key string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
