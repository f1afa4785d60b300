// Package proc reads what a process has used from /proc: CPU time and memory. It knows no server.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticksPerSecond is USER_HZ, which is 100 on every Linux that Go runs on.
const ticksPerSecond = 100

// Process is a running process.
type Process struct{ Pid int }

func (p Process) path(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.Pid), name)
}

// CPU is the user and system time of all threads so far, in steps of 10 ms.
func (p Process) CPU() (time.Duration, error) {
	b, err := os.ReadFile(p.path("stat"))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may hold spaces: fields are counted from behind it.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	var ticks int64
	for _, i := range []int{11, 12} { // utime, stime
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// Peak is the most resident memory since the start or the last ResetPeak, in bytes (VmHWM).
func (p Process) Peak() (int64, error) { return p.status("VmHWM:") }

// Resident is the resident memory now, in bytes (VmRSS).
func (p Process) Resident() (int64, error) { return p.status("VmRSS:") }

// ResetPeak makes what is resident now the new peak.
func (p Process) ResetPeak() error { return os.WriteFile(p.path("clear_refs"), []byte("5"), 0) }

func (p Process) status(key string) (int64, error) {
	b, err := os.ReadFile(p.path("status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc/%d/status", key, p.Pid)
}
