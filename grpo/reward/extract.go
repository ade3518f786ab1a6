package reward

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Extractor finds the answer in a response, in time proportional to its length. Where there is none, or not exactly one, ok is
// false and rule says why; answer may hold what was there instead.
type Extractor func(response string) (answer, rule string, ok bool)

const (
	openTag  = "<answer>"
	closeTag = "</answer>"
)

// AnswerBlock takes the content of the only <answer> block, without the white space around it. It is the rule of the paper's authors:
// blocks do not nest, are told case for case, and a second one spoils both.
func AnswerBlock(response string) (answer, rule string, ok bool) {
	_, rest, ok := strings.Cut(response, openTag)
	if !ok {
		return "", "no <answer> block", false
	}
	answer, rest, ok = strings.Cut(rest, closeTag)
	if !ok {
		return "", "the <answer> block is not closed", false
	}
	if _, rest, ok = strings.Cut(rest, openTag); ok && strings.Contains(rest, closeTag) {
		return "", "several <answer> blocks", false
	}
	answer = strings.TrimSpace(answer)
	if strings.Contains(answer, openTag) {
		return answer, "an <answer> block within an <answer> block", false
	}
	return answer, "the <answer> block", true
}

// Whole takes the whole response.
func Whole(response string) (answer, rule string, ok bool) {
	return strings.TrimSpace(response), "the whole response", true
}

// tailLength is how much of a response's end is looked at for an answer without a block.
const tailLength = 64 << 10

func tailOf(s string) string {
	i := max(0, len(s)-tailLength)
	for i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	return s[i:]
}

// Boxed takes the content of the last complete \boxed{} or \fbox{} in the last 64 KiB.
func Boxed(response string) (answer, rule string, ok bool) {
	response = tailOf(response)
	if answer, ok = lastBoxed(response); !ok {
		return "", `no \boxed{}`, false
	}
	return answer, `the last \boxed{}`, true
}

// boxTries is how many boxes are tried from the end: those behind the last complete one were cut off.
const boxTries = 16

func lastBoxed(s string) (string, bool) {
	end := len(s)
	for range boxTries {
		i, n := strings.LastIndex(s[:end], `\boxed`), len(`\boxed`)
		if j := strings.LastIndex(s[:end], `\fbox`); j > i {
			i, n = j, len(`\fbox`)
		}
		if i < 0 {
			return "", false
		}
		if content, _, ok := braced(strings.TrimLeft(s[i+n:], " \t\n")); ok {
			return strings.TrimSpace(content), true
		}
		end = i
	}
	return "", false
}

// braced returns what is between the brace that s begins with and its match, and what is behind it.
func braced(s string) (content, rest string, ok bool) {
	if s == "" || s[0] != '{' {
		return "", s, false
	}
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++ // \{ and \} are no braces
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return s[1:i], s[i+1:], true
			}
		}
	}
	return "", s, false
}

// LastNumber takes the last number: digits, with commas between thousands, a sign, a fraction and an exponent. It looks at the
// last 64 KiB.
func LastNumber(response string) (answer, rule string, ok bool) {
	response = tailOf(response)
	begin, end := -1, -1
	for i := 0; i < len(response); {
		if n := numberAt(response, i); n > 0 {
			begin, end = i, i+n
			i += n
			continue
		}
		i++
	}
	if begin < 0 {
		return "", "no number", false
	}
	return response[begin:end], "the last number", true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// numberAt returns the length of the number that begins at i, 0 if none does. A sign belongs to a number that follows no operand.
func numberAt(s string, i int) int {
	j := i
	if s[j] == '-' || s[j] == '+' {
		if k := len(strings.TrimRight(s[:i], " ")); k > 0 && (isDigit(s[k-1]) || isLetter(s[k-1]) || s[k-1] == ')' || s[k-1] == '}') {
			return 0
		}
		j++
	}
	digits := 0
	for ; j < len(s) && (isDigit(s[j]) || s[j] == ',' && digits > 0 && thousands(s[j:])); j++ {
		digits++
	}
	if j+1 < len(s) && s[j] == '.' && isDigit(s[j+1]) {
		for j++; j < len(s) && isDigit(s[j]); j++ {
			digits++
		}
	}
	if digits == 0 {
		return 0
	}
	if j+1 < len(s) && (s[j] == 'e' || s[j] == 'E') {
		k := j + 1
		if s[k] == '-' || s[k] == '+' {
			k++
		}
		if k < len(s) && isDigit(s[k]) {
			for j = k; j < len(s) && isDigit(s[j]); j++ {
			}
		}
	}
	return j - i
}

// thousands reports whether s begins with a comma and exactly three digits.
func thousands(s string) bool {
	return len(s) >= 4 && isDigit(s[1]) && isDigit(s[2]) && isDigit(s[3]) && (len(s) == 4 || !isDigit(s[4]))
}

// MathVerifyOrder takes the answer from the first of these places that there is, each time from the last of its kind: behind "final
// answer is" or "final answer:", in \boxed{}, behind "answer:", behind "answer is", in LaTeX between dollar signs or their like, a
// number. It is Math-Verify's order with boxes before all but the final answer. It looks at the last 64 KiB.
func MathVerifyOrder(response string) (answer, rule string, ok bool) {
	response = tailOf(response)
	lower := asciiLower(response)
	for _, p := range []struct {
		rule    string
		anchors []string
	}{
		{"behind the final answer", []string{"final answer is", "final answer:"}},
		{`the last \boxed{}`, nil},
		{"behind answer:", []string{"answer:", "answer**:", "answer:**"}},
		{"behind the answer is", []string{"answer is", "answer to the question is", "answer would be", "answer should be"}},
	} {
		if p.anchors == nil {
			if answer, ok = lastBoxed(response); ok && answer != "" {
				return answer, p.rule, true
			}
			continue
		}
		at := -1
		for _, a := range p.anchors {
			if i := strings.LastIndex(lower, a); i >= 0 {
				at = max(at, i+len(a))
			}
		}
		if at >= 0 {
			if answer = statement(response[at:]); answer != "" {
				return answer, p.rule, true
			}
		}
	}
	if answer, ok = lastLatex(response); ok {
		return answer, "the last LaTeX", true
	}
	return LastNumber(response)
}

// asciiLower lower-cases the letters A to Z and keeps every byte's place.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

var latexPairs = []struct{ open, close string }{{"$$", "$$"}, {`\[`, `\]`}, {`\(`, `\)`}, {"$", "$"}}

// statement returns the answer that follows an anchor: a LaTeX block or \boxed{} that comes at once, else the rest of the sentence.
func statement(s string) string {
	s = strings.TrimLeft(s, " \t\r\n:*_")
	for _, p := range latexPairs {
		if rest, ok := strings.CutPrefix(s, p.open); ok {
			if content, after, ok := strings.Cut(rest, p.close); ok {
				if tail := strings.TrimLeft(after, " *_"); tail == "" || strings.IndexByte(".,;!\n", tail[0]) >= 0 || boxedOnly(content) {
					return unbox(strings.TrimSpace(content))
				}
			}
			break
		}
	}
	return unbox(strings.TrimSpace(strings.Trim(sentence(s), " *_")))
}

func boxedOnly(s string) bool { return strings.HasPrefix(strings.TrimSpace(s), `\boxed`) }

func unbox(s string) string {
	if strings.Contains(s, `\boxed`) {
		if content, ok := lastBoxed(s); ok {
			return content
		}
	}
	return s
}

// sentence returns s up to the end of the line or of the sentence.
func sentence(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	for i := 0; i < len(s); i++ {
		if s[i] == '.' && (i+1 == len(s) || s[i+1] == ' ') && i > 1 { // "A. text" begins a choice
			return s[:i]
		}
	}
	return s
}

// lastLatex returns the content of the last block between dollar signs or their like.
func lastLatex(s string) (string, bool) {
	best, at := "", -1
	for _, p := range latexPairs {
		end := strings.LastIndex(s, p.close)
		if end <= 0 || end < at {
			continue
		}
		if begin := strings.LastIndex(s[:end], p.open); begin >= 0 && begin+len(p.open) <= end {
			if content := strings.TrimSpace(s[begin+len(p.open) : end]); content != "" && end > at {
				best, at = content, end
			}
		}
	}
	return best, at >= 0
}

// A Place is an extractor with its name.
type Place struct {
	Name    string
	Extract Extractor
	Wrap    func(answer string) string // makes a response that has the answer there
}

// Places lists the extractors, the default first.
func Places() []Place {
	whole := func(answer string) string { return answer }
	boxed := func(answer string) string { return `\boxed{` + answer + `}` }
	return []Place{
		{"answer", AnswerBlock, func(answer string) string { return openTag + answer + closeTag }},
		{"boxed", Boxed, boxed},
		{"last-number", LastNumber, whole},
		{"math-verify", MathVerifyOrder, boxed},
		{"whole", Whole, whole},
	}
}

// spaceAt returns the length of the white space at i, 0 if there is none.
func spaceAt(s string, i int) int {
	r, n := utf8.DecodeRuneInString(s[i:])
	if unicode.IsSpace(r) {
		return n
	}
	return 0
}
