package tokenizer

import (
	"bytes"
	"strings"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
)

// parseMerges reads merges.txt: two tokens a line with a space between them, in
// order of priority. Only the first line may be a header, and only if it begins
// with "#version": other lines that begin with # are merges.
func (b *builder) parseMerges(f *file) error {
	if err := f.checkUTF8(); err != nil {
		return err
	}
	for offset := 0; offset < len(f.data); {
		line := f.data[offset:]
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		start := offset
		offset += len(line) + 1
		text := strings.Trim(string(line), " \t\r")
		if text == "" || start == 0 && strings.HasPrefix(text, "#version") {
			continue
		}
		parts := splitMerge(text)
		if parts == nil {
			return f.errorf(start, "%s is not a merge, want two tokens with a space between them", rawjson.Quote(text))
		}
		if err := b.addMerge(parts[0], parts[1]); err != nil {
			return f.errorf(start, "%w", err)
		}
	}
	return nil
}

// splitMerge returns the two tokens of a merge, or nil if s is none.
func splitMerge(s string) []string {
	left, right, ok := strings.Cut(s, " ")
	if !ok || left == "" || right == "" || strings.Contains(right, " ") {
		return nil
	}
	return []string{left, right}
}
