package tokenizer

import (
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
	start := 0
	for line := range strings.Lines(string(f.data)) {
		text := strings.Trim(line, " \t\r\n")
		if text != "" && !(start == 0 && strings.HasPrefix(text, "#version")) {
			left, right, ok := splitMerge(text)
			if !ok {
				return f.errorf(start, "%s is not a merge, want two tokens with a space between them", rawjson.Quote(text))
			}
			if err := b.addMerge(left, right); err != nil {
				return f.errorf(start, "%w", err)
			}
		}
		start += len(line)
	}
	return nil
}

// splitMerge returns the two tokens of a merge, which have one space between them.
func splitMerge(s string) (left, right string, ok bool) {
	left, right, _ = strings.Cut(s, " ")
	return left, right, left != "" && right != "" && !strings.Contains(right, " ")
}
