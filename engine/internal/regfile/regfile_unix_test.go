//go:build unix

package regfile

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Opening a FIFO without a writer blocks; Open must not.
func TestOpenFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	if _, _, err := Open(path); err == nil || !strings.Contains(err.Error(), "named pipe") {
		t.Errorf("Open(FIFO): %v", err)
	}
}
