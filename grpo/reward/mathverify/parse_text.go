package mathverify

import (
	"strings"
	"unicode"
)

// onlyText returns what stands in \text{} if that is all there is.
func onlyText(t []token) (string, bool) {
	s, n := "", 0
	for i := range t {
		switch t[i].k {
		case '{', '}', '.', tEnd:
		case tText:
			s = t[i].s
			n++
		default:
			return "", false
		}
	}
	return s, n == 1
}

// onlyLetters reports whether the text of a \text{} is a word and neither a letter nor a name for one.
func onlyLetters(s string) bool {
	n := 0
	for i := range len(s) {
		switch c := s[i]; {
		case isLetter(c):
			n++
		case c != ' ' && c != '.':
			return false
		}
	}
	for _, f := range strings.Fields(s) {
		if f == "and" || f == "or" {
			return false
		}
	}
	return n > 1 && !greekNamed(strings.Trim(s, " ."))
}

// plainNumber reads the most common answer, a short integer, without the tokenizer.
func plainNumber(s string) *Num {
	digits := s
	if len(s) > 0 && s[0] == '-' {
		digits = s[1:]
	}
	if len(digits) == 0 || len(digits) > 15 {
		return nil
	}
	n := int64(0)
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return nil
		}
		n = n*10 + int64(digits[i]-'0')
	}
	if len(digits) < len(s) {
		n = -n
	}
	return number(n)
}

// words returns the letters and digits of s in lower case, in words with one space between them.
func words(s string) string {
	for _, command := range [...]string{`\textbf`, `\textit`, `\textrm`, `\text`, `\mathrm`, `\mbox`, `\mathbf`, `\operatorname`, `\boxed`, `\quad`, `\left`, `\right`} {
		if strings.Contains(s, command) {
			s = strings.ReplaceAll(s, command, " ")
		}
	}
	var b strings.Builder
	gap := false
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			if r != '\'' && r != '’' {
				gap = true
			}
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte(' ')
		}
		gap = false
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// hasCommand reports whether s has a LaTeX command that does not only set text.
func hasCommand(s string) bool {
	for i := strings.IndexByte(s, '\\'); i >= 0; {
		j := i + 1
		for j < len(s) && isLetter(s[j]) {
			j++
		}
		switch s[i+1 : j] {
		case "", "text", "textbf", "textit", "textrm", "mathrm", "mbox", "mathbf", "operatorname", "boxed", "quad", "qquad", "left", "right", "bf":
		default:
			return true
		}
		k := strings.IndexByte(s[j:], '\\')
		if k < 0 {
			break
		}
		i = j + k
	}
	return false
}

// prose returns the words of s if s is words rather than mathematics.
func prose(s string) (string, bool) {
	if len(s) > 300 || hasCommand(s) {
		return "", false
	}
	w := words(s)
	letters, longest, run := 0, 0, 0
	for _, r := range w {
		if unicode.IsLetter(r) {
			letters++
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	if letters == 0 || longest < 2 && strings.ContainsAny(s, `\^_=+*/<>`) {
		return "", false
	}
	if longest < 3 && strings.ContainsAny(s, `\^=+*<>`) {
		return "", false
	}
	for _, r := range s {
		if r == unicode.ReplacementChar || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return "", false
		}
	}
	return w, true
}
