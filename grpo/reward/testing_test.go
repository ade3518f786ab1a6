package reward

import (
	"os"
	"path/filepath"
	"testing"
)

// testdata returns the path of a file or folder of the test data: under $THINKER_TESTDATA, else under ../shared/testdata from the
// folder of go.mod. It skips the test, saying why, if there is none.
func testdata(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("THINKER_TESTDATA")
	if root == "" {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				break
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				t.Skip("no go.mod above the test's folder: set THINKER_TESTDATA to the test data's folder")
			}
			dir = parent
		}
		root = filepath.Join(filepath.Dir(dir), "shared", "testdata")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no test data at %s: set THINKER_TESTDATA to its folder", path)
	}
	return path
}
