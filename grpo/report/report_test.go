package report

import (
	"bytes"
	"os"
	"testing"
)

// TestReport writes the report of a run. With THINKER_REPORT_OUT it stays there, to be looked at.
func TestReport(t *testing.T) {
	dir := fake{60, 48, 4}.write(t)
	var b bytes.Buffer
	if err := Write(&b, dir, Options{}); err != nil {
		t.Fatal(err)
	}
	if out := os.Getenv("THINKER_REPORT_OUT"); out != "" {
		if err := os.WriteFile(out, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Log(b.Len())
}
