//go:build !linux && !darwin

package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const openFlags = 0

// diskFree reports false: how much room there is is not known here.
func diskFree(string) (int64, bool) { return 0, false }

// lock makes the file, and so leaves it behind when the process is killed:
// there is no lock here that the system gives back.
func lock(name string) (func(), error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w: if none runs, remove %s", ErrLocked, name)
	}
	if err != nil {
		return nil, err
	}
	return func() { f.Close(); os.Remove(name) }, nil
}
