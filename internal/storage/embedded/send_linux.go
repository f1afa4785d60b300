package embedded

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// maxSend is how much one sendfile may move: a socket is not held longer than that by one call.
const maxSend = 4 << 20

// sendSection writes n bytes of f from pos on. To a TCP connection they go by sendfile with an
// offset of its own, so that many connections may read one open file.
func sendSection(w io.Writer, f *os.File, pos, n int64) (int64, error) {
	conn, ok := w.(*net.TCPConn)
	if !ok {
		return io.Copy(w, io.NewSectionReader(f, pos, n))
	}
	out, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	in, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	left := n
	var failed error
	send := func(to uintptr) bool { // true ends it, false waits until the socket takes more
		for left > 0 && failed == nil {
			var sent int
			var err error
			if control := in.Control(func(from uintptr) {
				sent, err = syscall.Sendfile(int(to), int(from), &pos, int(min(left, maxSend)))
			}); control != nil {
				err = control
			}
			switch {
			case sent > 0:
				left -= int64(sent)
			case errors.Is(err, syscall.EAGAIN):
				return false
			case errors.Is(err, syscall.EINTR):
			case err == nil:
				failed = io.ErrUnexpectedEOF
			default:
				failed = os.NewSyscallError("sendfile", err)
			}
		}
		return true
	}
	err = out.Write(send)
	return n - left, errors.Join(err, failed)
}
