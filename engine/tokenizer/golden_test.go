package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/thinker-vl/thinker/engine/internal/testdata"
)

func load(tb testing.TB, dir string) *Tokenizer {
	tb.Helper()
	t, err := Load(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// loadReleased loads the released tokenizer once for all tests.
var loadReleased = func() func(dir string) (*Tokenizer, error) {
	var once sync.Once
	var t *Tokenizer
	var err error
	return func(dir string) (*Tokenizer, error) {
		once.Do(func() { t, err = Load(dir) })
		return t, err
	}
}()

// released returns the tokenizer of the released model.
func released(tb testing.TB) *Tokenizer {
	tb.Helper()
	t, err := loadReleased(testdata.Path(tb, "qwen2.5-vl-3b"))
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// readLines decodes a file of JSON lines.
func readLines[T any](tb testing.TB, path string) []T {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var lines []T
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 16<<20)
	for scanner.Scan() {
		var line T
		if err := json.Unmarshal(scanner.Bytes(), &line); err != nil {
			tb.Fatalf("%s:%d: %v", path, len(lines)+1, err)
		}
		lines = append(lines, line)
	}
	if err := scanner.Err(); err != nil {
		tb.Fatal(err)
	}
	return lines
}

type goldenLine struct {
	Text    string  `json:"text"`
	IDs     []int32 `json:"ids"`
	Decoded string  `json:"decoded"`
}

func TestGoldenIDs(t *testing.T) {
	tok := released(t)
	lines := readLines[goldenLine](t, testdata.Path(t, "golden", "tokenizer", "ids.jsonl"))
	if len(lines) < 1496 {
		t.Fatalf("only %d lines", len(lines))
	}
	for i, line := range lines {
		if diff := cmp.Diff(line.IDs, tok.Encode(line.Text)); diff != "" {
			t.Errorf("line %d: Encode(%q): (-want +got)\n%s", i+1, line.Text, diff)
		}
		if got := tok.Decode(line.IDs, false); got != line.Decoded {
			t.Errorf("line %d: Decode = %q, want %q", i+1, got, line.Decoded)
		}
	}
}
