//go:build linux || darwin

package checkpoint

import "syscall"

// diskFree returns how many bytes may be written to the disk of the folder dir.
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
