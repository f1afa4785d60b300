package wire

import (
	"syscall"
	"unsafe"
)

// canPeek says that a socket can be asked whether there is something, without reading it.
const canPeek = true

// somethingComes asks once, as what came before the wait began wakes nobody; the second call comes after a wait.
// The plain system call is made for the sake of the stack: it checks none, and what does not block needs no scheduler.
func (r *Reader) somethingComes(fd uintptr) bool {
	if r.looked {
		return true
	}
	r.looked = true
	var b byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1,
		syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return errno != syscall.EAGAIN && errno != syscall.EINTR
}
