package embedded

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"kelp/internal/vfs"
)

// maxSend is how much one sendfile may move: a socket is not held longer than that by one call.
const maxSend = 4 << 20

// sendSection writes n bytes of f from pos on. To a TCP connection they go by sendfile with an
// offset of its own, so that many connections may read one open file.
func sendSection(w io.Writer, f vfs.File, pos, n int64) (int64, error) {
	conn, ok := w.(*net.TCPConn)
	from := f.OS()
	if !ok || from == nil {
		return copySection(w, f, pos, n)
	}
	out, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	in := int(from.Fd())
	left := n
	var failed error
	err = out.Write(func(to uintptr) bool { // true ends it, false waits until the socket takes more
		for left > 0 {
			sent, err := syscall.Sendfile(int(to), in, &pos, int(min(left, maxSend)))
			switch {
			case sent > 0:
				left -= int64(sent)
			case errors.Is(err, syscall.EAGAIN):
				return false
			case errors.Is(err, syscall.EINTR):
			case err == nil:
				failed = io.ErrUnexpectedEOF
				return true
			default:
				failed = os.NewSyscallError("sendfile", err)
				return true
			}
		}
		return true
	})
	return n - left, errors.Join(err, failed)
}
