package reward

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// wrappers are LaTeX commands whose argument is what they mean.
var wrappers = map[string]bool{
	"boxed": true, "fbox": true, "text": true, "textbf": true, "textit": true, "textrm": true, "textsf": true, "texttt": true, "textup": true,
	"emph": true, "underline": true, "mathrm": true, "mathbf": true, "mathit": true, "mathsf": true, "mathtt": true, "mathnormal": true,
	"bm": true, "boldsymbol": true, "pmb": true, "operatorname": true, "mbox": true, "hbox": true,
}

// silent are LaTeX commands that show nothing, or nothing but space.
var silent = map[string]bool{
	"left": true, "right": true, "big": true, "Big": true, "bigl": true, "bigr": true, "displaystyle": true, "textstyle": true, "rm": true, "bf": true,
	"quad": true, "qquad": true, "limits": true, "nolimits": true, "centering": true, "large": true, "Large": true,
}

// plain takes the markup off a text: LaTeX's math signs, wrappers and spacing, and Markdown's emphasis and backticks; white space
// becomes single spaces. What means something in mathematics stays.
func plain(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	var kept []bool // of the open braces: whether they are written
	space := false
	write := func(t string) {
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteString(t)
	}
	for i := 0; i < len(s); {
		if n := spaceAt(s, i); n > 0 {
			space = true
			i += n
			continue
		}
		switch c := s[i]; c {
		case '\\':
			j := i + 1
			for j < len(s) && isLetter(s[j]) {
				j++
			}
			switch name := s[i+1 : j]; {
			case name == "" && j < len(s):
				if strings.IndexByte(`()[]`, s[j]) >= 0 {
					space = true
				} else if strings.IndexByte(`,;:! `, s[j]) >= 0 || s[j] == '\\' {
					space = true
				} else if strings.IndexByte(`{}`, s[j]) >= 0 {
					write(`\` + s[j:j+1])
				} else { // \% and \$ are the signs
					_, n := utf8.DecodeRuneInString(s[j:])
					write(s[j : j+n])
					j += n - 1
				}
				j++
			case wrappers[name]:
				k := j
				for k < len(s) && s[k] == ' ' {
					k++
				}
				if k < len(s) && s[k] == '{' {
					kept = append(kept, false)
					j = k + 1
				}
			case silent[name]:
				space = true
			case name == "dfrac" || name == "tfrac" || name == "cfrac":
				write(`\frac`)
			default:
				write(s[i:j])
			}
			i = j
		case '{':
			kept = append(kept, true)
			write("{")
			i++
		case '}':
			if n := len(kept); n > 0 {
				if kept[n-1] {
					write("}")
				}
				kept = kept[:n-1]
			} else {
				write("}")
			}
			i++
		case '$', '`':
			i++
		case '*':
			// Emphasis stands at an edge of a word; between operands it multiplies.
			if i+1 < len(s) && s[i+1] == '*' {
				i += 2
				continue
			}
			before := i > 0 && s[i-1] != ' ' && s[i-1] != '\n' && s[i-1] != '*'
			after := i+1 < len(s) && s[i+1] != ' ' && s[i+1] != '\n' && s[i+1] != '*'
			if before && after || !before && !after && i > 0 && i+1 < len(s) {
				write("*")
			}
			i++
		case '~':
			space = true
			i++
		default:
			_, n := utf8.DecodeRuneInString(s[i:])
			write(s[i : i+n])
			i += n
		}
	}
	return strings.TrimSpace(b.String())
}

// unwrap takes markup, quotes and the dots at the end off a text that is one short answer.
func unwrap(s string) string {
	return strings.TrimSpace(strings.Trim(plain(s), "\"'“”‘’ "))
}

// symbols writes what has several spellings in one.
var symbols = strings.NewReplacer("√", `\sqrt`, "^{\\circ}", "°", "^\\circ", "°", `\degree`, "°", "×", `\times`, "·", `\cdot`, "π", `\pi`, "÷", `\div`, "\u2212", "-",
	"≤", `\leq`, "≥", `\geq`, "≠", `\neq`, "∞", `\infty`, "\u00a0", " ", "’", "'", "‘", "'", "“", `"`, "”", `"`)

// tight is a text for comparison: plain, without white space but between words and numbers, and without punctuation at its ends.
func tight(s string) string {
	s = strings.Trim(symbols.Replace(plain(s)), " .,;:!\"'“”‘’")
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' && i > 0 && i+1 < len(s) {
			before, _ := utf8.DecodeLastRuneInString(s[:i])
			after, _ := utf8.DecodeRuneInString(s[i+1:])
			if !(isWord(before) && isWord(after)) || unicode.IsDigit(before) != unicode.IsDigit(after) {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// A word is a run of letters and digits in a text, or any other single character but white space.
type word struct {
	text       string
	begin, end int
}

// words splits a text.
func words(s string) []word {
	var all []word
	for i := 0; i < len(s); {
		if n := spaceAt(s, i); n > 0 {
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		j := i + n
		if isWord(r) {
			for j < len(s) {
				r, n := utf8.DecodeRuneInString(s[j:])
				// An apostrophe within a word belongs to it.
				if r == '\'' || r == '’' {
					if next, _ := utf8.DecodeRuneInString(s[j+n:]); unicode.IsLetter(next) {
						j += n
						continue
					}
				}
				if !isWord(r) {
					break
				}
				j += n
			}
		}
		all = append(all, word{s[i:j], i, j})
		i = j
	}
	return all
}
