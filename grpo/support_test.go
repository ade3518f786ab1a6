package grpo_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/engine/imageproc"
)

// testdata is the path of a file or folder of the test data. It skips the test, saying why, if there is none.
func testdata(t testing.TB, elem ...string) string {
	t.Helper()
	root := os.Getenv("THINKER_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "shared", "testdata")
	}
	path := filepath.Join(append([]string{root}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no test data at %s: set THINKER_TESTDATA to its folder", path)
	}
	return path
}

func promptOf(e *engine.Engine, ids []int32, paths []string) (*engine.Prompt, error) {
	var images []*imageproc.Image
	for _, p := range paths {
		m, err := e.Images().Load(p)
		if err != nil {
			return nil, err
		}
		images = append(images, m)
	}
	return e.PromptFromIDs(ids, images)
}
