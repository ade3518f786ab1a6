//go:build linux || darwin

package run

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// openFlags keep open from following a link and from waiting for a pipe.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

func diskFree(dir string) (int64, bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	const limit = 1 << 62
	if st.Bsize > 0 && st.Bavail > limit/uint64(st.Bsize) {
		return limit, true
	}
	return int64(st.Bavail) * int64(st.Bsize), true
}

// lock takes the file's lock and writes the process's number into it, for the
// message that another one gives. The file stays: removing it would let two
// processes lock two files of the same name.
func lock(name string) (func(), error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o666)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		defer f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &os.PathError{Op: "flock", Path: name, Err: err}
		}
		var text [20]byte
		n, _ := f.ReadAt(text[:], 0)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n]))); err == nil {
			return nil, fmt.Errorf("%w (%d)", ErrLocked, pid)
		}
		return nil, ErrLocked
	}
	if err := f.Truncate(0); err == nil {
		f.WriteString(strconv.Itoa(os.Getpid()) + "\n") // only for the message
	}
	return func() { f.Close() }, nil
}
