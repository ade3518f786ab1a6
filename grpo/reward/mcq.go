package reward

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// An mcqVerifier compares the letter of the option that an answer chooses with the gold answer's.
type mcqVerifier struct {
	read  reader
	equal MathVerifier // nil: values are not compared
}

func (v *mcqVerifier) CheckGold(r *Record) error {
	_, err := newChoice(r, v.equal).gold(r.Gold)
	return err
}

func (v *mcqVerifier) Verify(_ context.Context, r *Record, response string) Result {
	answer, x, ok := v.read.answer(response)
	if !ok {
		return x
	}
	c := newChoice(r, v.equal)
	gold, err := c.gold(r.Gold)
	if err != nil {
		return found(answer, Mask("%v", err))
	}
	if len(answer) > maxChoice {
		return found(v.read.cut(answer), Wrong("the answer has %d bytes, more than a choice's %d", len(answer), maxChoice))
	}
	got, rule, err := c.letter(answer)
	if err == errNoOption && v.equal != nil {
		var has bool
		if has, err = c.hasValue(gold, answer); has {
			return found(answer, right(true, "option %c by its value", 'A'+gold))
		} else if err == nil {
			err = fmt.Errorf("the answer names no option and has not the value of %c", 'A'+gold)
		}
	}
	if err != nil {
		return found(answer, Wrong("%v", err))
	}
	if got != gold {
		return found(answer, Wrong("option %c by %s, not %c", 'A'+got, rule, 'A'+gold))
	}
	return found(answer, right(true, "option %c by %s", 'A'+gold, rule))
}

// A choice is a question with options.
type choice struct {
	options []string // nil: unknown, so that any letter may be meant
	tight   []string
	equal   MathVerifier
}

const (
	maxOptions = 26
	maxChoice  = 16 << 10 // bytes of an answer
	maxOption  = 4 << 10  // bytes of an option's text that are compared
)

func newChoice(r *Record, equal MathVerifier) *choice {
	options := r.Options
	if len(options) == 0 {
		options = questionOptions(r.Question)
	}
	c := &choice{options: options[:min(len(options), maxOptions)], equal: equal}
	for i, o := range c.options {
		c.tight = append(c.tight, tight(optionText(i, cutAt(o, maxOption))))
	}
	return c
}

// optionText takes the letter off an option that bears its own, as "B) blue" as the second.
func optionText(i int, s string) string {
	t := strings.TrimSpace(s)
	open := strings.HasPrefix(t, "(")
	if open {
		t = t[1:]
	}
	if len(t) < 2 || t[0]&^0x20 != byte('A'+i) || strings.IndexByte(").:", t[1]) < 0 || open != (t[1] == ')' && open) {
		return s
	}
	if rest := strings.TrimSpace(t[2:]); rest != "" {
		return rest
	}
	return s
}

// gold returns the number of the option that a gold answer names.
func (c *choice) gold(gold string) (int, error) {
	if strings.TrimSpace(gold) == "" {
		return 0, errors.New("the gold is empty")
	}
	if len(gold) > maxOption {
		return 0, fmt.Errorf("the gold has %d bytes", len(gold))
	}
	i, _, err := c.letter(gold)
	if err != nil {
		return 0, fmt.Errorf("the gold %s names no option: %v", quote(gold), err)
	}
	return i, nil
}

var errNoOption = errors.New("the answer names no option")

// letter returns the number of the one option that an answer names, and the rule by which it does.
func (c *choice) letter(answer string) (int, string, error) {
	text, err := c.essence(answer)
	if err != nil {
		return 0, "", err
	}
	if i, ok := c.bare(text); ok {
		return c.within(i, "its letter")
	}
	if i, err := c.byText(text); err != nil || i >= 0 {
		return i, "its text", err
	}
	core := strip(text)
	if core != text {
		if i, ok := c.bare(core); ok {
			return c.within(i, "its letter")
		}
		if i, err := c.byText(core); err != nil || i >= 0 {
			return i, "its text", err
		}
	}
	if i, rest, ok := leading(core); ok {
		if c.options == nil || i < len(c.options) {
			if err := c.checkRest(i, rest); err != nil {
				return 0, "", err
			}
			return i, "its letter before text", nil
		} else if !isLower(strings.TrimLeft(core, "([ ")[0]) {
			return c.within(i, "")
		}
	}
	if letter, rest, ok := strings.Cut(core, " "); ok { // "A text" and "A, text", where the text is known to be that option's
		if i := letterOf(strings.TrimSuffix(letter, ",")); i >= 0 {
			if j, err := c.byText(rest); err == nil && j == i {
				return i, "its letter before its text", nil
			}
		}
	}
	if i, err := c.headed(core); err != nil || i >= 0 {
		return i, "its text at the beginning", err
	}
	if i, err := c.concluded(answer); err != nil || i >= 0 {
		return i, "its last sentence", err
	}
	if i, err := c.mentioned(text); err != nil || i >= 0 {
		if err == nil {
			return c.within(i, "the only letter")
		}
		return 0, "", err
	}
	if i, err := c.contained(text); err != nil || i >= 0 {
		return i, "its text within the answer", err
	}
	return 0, "", errNoOption
}

// essence returns what an answer has in its box, or else all of it, without markup.
func (c *choice) essence(answer string) (string, error) {
	if strings.Contains(answer, `\boxed`) {
		boxed, err := onlyBox(answer)
		if err != nil {
			return "", err
		}
		if boxed != "" {
			answer = boxed
		}
	}
	return plain(answer), nil
}

// onlyBox returns what the boxes in an answer hold, "" if none is complete. Boxes that differ are ambiguous.
func onlyBox(answer string) (string, error) {
	boxed := ""
	for n, rest := 0, answer; n <= maxOptions; n++ {
		_, after, ok := strings.Cut(rest, `\boxed`)
		if !ok {
			break
		}
		content, next, ok := braced(strings.TrimLeft(after, " "))
		if !ok {
			rest = after
			continue
		}
		if boxed != "" && tight(content) != tight(boxed) {
			return "", errors.New("ambiguous: several boxes that differ")
		}
		boxed, rest = content, next
	}
	return boxed, nil
}

func (c *choice) within(i int, rule string) (int, string, error) {
	if c.options != nil && i >= len(c.options) {
		return 0, "", fmt.Errorf("there is no option %c, the last is %c", 'A'+i, 'A'+len(c.options)-1)
	}
	return i, rule, nil
}

// bare reads a letter that has nothing but brackets and punctuation around it.
func (c *choice) bare(s string) (int, bool) {
	s = strings.Trim(s, " ()[]{}<>.,:;!_*#\"'“”‘’\\")
	if len(s) != 1 || !isLetter(s[0]) {
		return 0, false
	}
	i := int(s[0]&^0x20 - 'A')
	if c.options != nil && i >= len(c.options) { // it may be an option's text, as x
		if j, err := c.byText(s); err == nil && j >= 0 {
			return j, true
		}
	}
	return i, true
}

// byText returns the option whose text is s, -1 if there is none: as it is written, else but for case.
func (c *choice) byText(s string) (int, error) {
	t := tight(s)
	if t == "" {
		return -1, nil
	}
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		found := -1
		for i, o := range c.tight {
			if !same(o, t) {
				continue
			}
			if found >= 0 {
				return 0, fmt.Errorf("ambiguous: the options %c and %c have the same text", 'A'+found, 'A'+i)
			}
			found = i
		}
		if found >= 0 {
			return found, nil
		}
	}
	return -1, nil
}

// Words around a letter that say nothing but that it is the answer.
var (
	before = set("so thus therefore hence finally then ok okay well yes i i'd i'm we think believe guess choose pick select say would going go with " +
		"my our the final correct right best only most likely probably possibly answer option choice letter is are be should must will " +
		"ans that which it it's it’s this : = , - – — → > \" ' to question chosen selected solution result and conclusion in conclude can clearly definitely certainly indeed sure")
	after = set("is are the correct right answer option choice one best only final true solution . ! , ; \" '")
)

func set(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// strip takes the words off both ends of an answer that say nothing but that the rest is the answer.
func strip(s string) string {
	w := words(s)
	i, j := 0, len(w)
	for i < j && before[strings.ToLower(w[i].text)] {
		if w[i].text == "I" && i+1 < j && !isLetter(w[i+1].text[0]) { // the letter, as in I.
			break
		}
		i++
	}
	if i == len(w) {
		return s
	}
	for j > i+1 && after[strings.ToLower(w[j-1].text)] {
		j--
	}
	return s[w[i].begin:w[j-1].end]
}

// leading reads an answer that begins with a letter and what sets it off: "(A) text", "A) text", "A. text", "A: text", "A - text".
func leading(s string) (i int, rest string, ok bool) {
	t := s
	open := false
	if t != "" && (t[0] == '(' || t[0] == '[') {
		open = true
		t = strings.TrimLeft(t[1:], " ")
	}
	if len(t) < 2 || !isLetter(t[0]) {
		return 0, "", false
	}
	i, upper := int(t[0]&^0x20-'A'), t[0] < 'a'
	t = t[1:]
	spaced := t[0] == ' '
	t = strings.TrimLeft(t, " ")
	switch {
	case t == "":
		return 0, "", false
	case open:
		if t[0] != ')' && t[0] != ']' {
			return 0, "", false
		}
		t = strings.TrimLeft(t[1:], ".:,")
	case t[0] == ')' || t[0] == ']':
		t = strings.TrimLeft(t[1:], ".:,")
	case t[0] == '.' || t[0] == ':':
		t = t[1:]
		if t != "" && t[0] != ' ' && (!upper || len(t) > 1 && t[1] == '.') { // e.g. and U.S. are no options
			return 0, "", false
		}
	case spaced && upper && t[0] == '(': // "A (text)"
	case spaced && upper && (t[0] == '-' || strings.HasPrefix(t, "–") || strings.HasPrefix(t, "—")):
		rest, ok := strings.CutPrefix(strings.TrimLeft(t, "-–—"), " ")
		if !ok {
			return 0, "", false
		}
		t = rest
	default:
		return 0, "", false
	}
	return i, strings.TrimSpace(t), true
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }

// checkRest looks at the text behind the letter of option i for another option.
func (c *choice) checkRest(i int, rest string) error {
	if inner, ok := strings.CutPrefix(rest, "("); ok && strings.HasSuffix(inner, ")") && letterOf(inner[:len(inner)-1]) < 0 {
		rest = inner[:len(inner)-1]
	}
	if j, err := c.byText(rest); err == nil && j >= 0 && j != i && !(i < len(c.tight) && strings.EqualFold(c.tight[i], c.tight[j])) {
		return fmt.Errorf("ambiguous: the letter %c with the text of option %c", 'A'+i, 'A'+j)
	} else if j == i {
		return nil
	}
	if j, err := c.contained(rest); err == nil && j >= 0 && j != i {
		return fmt.Errorf("ambiguous: the letter %c with the text of option %c", 'A'+i, 'A'+j)
	}
	w := words(rest)
	doubt := len(w) > 0 && doubts[strings.ToLower(w[0].text)]
	for _, x := range w { // a second statement
		doubt = doubt || strings.EqualFold(x.text, "answer") || strings.EqualFold(x.text, "option") || strings.EqualFold(x.text, "choice")
	}
	for k := range w {
		j := letterOf(w[k].text)
		if j < 0 || j == i || c.options != nil && j >= len(c.options) {
			continue
		}
		prev, next := "", ""
		if k > 0 {
			prev = strings.ToLower(w[k-1].text)
		}
		if k+1 < len(w) {
			next = w[k+1].text
		}
		marked := prev == "(" && next == ")" || next == ")" || (next == "." || next == ":") && k+2 < len(w)
		joined := (prev == "or" || prev == "and" || prev == "," || prev == "/" || prev == "&") && (k <= 2 || k+2 >= len(w))
		if doubt || marked || joined || k == 0 && len(w) <= 2 {
			return fmt.Errorf("ambiguous: the letters %c and %c", 'A'+i, 'A'+j)
		}
	}
	return nil
}

// headed returns the option whose text an answer begins with, up to a comma or the end of a sentence, as "Yes, it is.", -1 if there is none.
// What follows must not speak of another.
func (c *choice) headed(s string) (int, error) {
	at := strings.IndexAny(s, ",;:.")
	if at <= 0 || at+1 >= len(s) || s[at+1] != ' ' {
		return -1, nil
	}
	i, err := c.byText(s[:at])
	if err != nil || i < 0 {
		return -1, nil
	}
	rest := strings.ToLower(s[at+2:])
	w := words(rest)
	for k, x := range w {
		j := int(x.text[0]) - 'a'
		if isDigit(x.text[0]) || k == 0 && doubts[x.text] && x.text != "not" || len(x.text) == 1 && j > 0 && j < len(c.options) && j != i && !glued(rest, x) {
			return 0, fmt.Errorf("ambiguous: the text of option %c and more", 'A'+i)
		}
	}
	for j, t := range c.tight {
		if t = strings.ToLower(t); j != i && t != "" && !strings.Contains(strings.ToLower(c.tight[i]), t) && containsWords(rest, t) {
			return 0, fmt.Errorf("ambiguous: the texts of the options %c and %c", 'A'+i, 'A'+j)
		}
	}
	return i, nil
}

// statements is how many sentences of an answer that state one are compared.
const statements = 64

// concluded returns the option that the last sentence of a longer answer states, as "The answer is (B).", -1 if it does not. Other
// sentences that do must agree.
func (c *choice) concluded(answer string) (int, error) {
	found, n := -1, 0
	for end := len(answer); end > 0 && n < statements; {
		begin := max(sentenceBreak(answer[:end]), strings.LastIndexByte(answer[:end], '\n')+1)
		sentence := strings.TrimSpace(answer[begin:end])
		end = begin - 1
		if sentence == "" {
			continue
		}
		i := -1
		if n++; strings.Contains(asciiLower(sentence), "answer") {
			i = c.stated(sentence)
		}
		switch {
		case found < 0 && i < 0:
			return -1, nil
		case found < 0:
			found = i
		case i >= 0 && i != found:
			return 0, fmt.Errorf("ambiguous: the answers %c and %c", 'A'+i, 'A'+found)
		}
	}
	if n < 2 {
		return -1, nil
	}
	return found, nil
}

// sentenceBreak returns where the last sentence of s begins, behind a full stop after a word.
func sentenceBreak(s string) int {
	for end := len(s); ; {
		i := strings.LastIndex(s[:end], ". ")
		if i < 2 {
			return 0
		}
		if isWordByte(s[i-1]) && isWordByte(s[i-2]) {
			return i + 2
		}
		end = i
	}
}

func isWordByte(c byte) bool { return isLetter(c) || isDigit(c) || c == '$' || c == ')' || c >= 0x80 }

// stated returns the option that a sentence states and nothing else, -1 if none.
func (c *choice) stated(sentence string) int {
	core := strip(plain(sentence))
	i, ok := c.bare(core)
	if !ok {
		if j, err := c.byText(core); err == nil && j >= 0 {
			return j
		}
		var rest string
		if i, rest, ok = leading(core); ok && c.checkRest(i, rest) != nil {
			return -1
		}
	}
	if !ok || c.options != nil && i >= len(c.options) {
		return -1
	}
	return i
}

// letterOf returns the number of the option that an upper-case letter alone names, else -1.
func letterOf(s string) int {
	if len(s) == 1 && s[0] >= 'A' && s[0] <= 'Z' {
		return int(s[0] - 'A')
	}
	return -1
}

var (
	cues      = set("option options choice choices answer answers letter choose chose pick select correct right")
	negations = set("not isn't isn’t aren't aren’t can't can’t cannot doesn't doesn’t don't don’t won't won’t neither nor none never except incorrect wrong false " +
		"eliminate eliminated exclude excluded unless without")
	// doubts are words that take back an answer before them.
	doubts = set("or and but maybe perhaps possibly no not wait actually sorry hmm alternatively")
	// follows are words after which an A before them is the option and not the article.
	follows = set("is was are or and because since as with which that has seems looks would should must will than over but if though")
)

// mentioned returns the one option whose letter a sentence mentions as an option, -1 if there is none.
func (c *choice) mentioned(s string) (int, error) {
	w := words(s)
	cue, negated := false, false
	found := -1
	bound := maxOptions
	if c.options != nil {
		bound = len(c.options)
	}
	several := error(nil)
	strong := false
	for k := range w {
		lower := strings.ToLower(w[k].text)
		cue = cue || cues[lower]
		negated = negated || negations[lower]
		if len(w[k].text) != 1 || !isLetter(w[k].text[0]) {
			continue
		}
		i := int(w[k].text[0]&^0x20 - 'A')
		upper := w[k].text[0] < 'a'
		prev, next := "", ""
		if k > 0 {
			prev = strings.ToLower(w[k-1].text)
		}
		if k+1 < len(w) {
			next = w[k+1].text
		}
		bracketed := (prev == "(" || prev == "[") && (next == ")" || next == "]")
		anchored := prev == "option" || prev == "choice" || prev == "answer" || prev == "letter"
		switch {
		case glued(s, w[k]): // an operand, as in 2A or A+1
			continue
		case bracketed, anchored && upper:
		case !upper:
			// A small letter counts where a sentence ends with it behind a cue.
			if !cue || k+1 < len(w) && next != "." && next != ")" && next != "or" && next != "," {
				continue
			}
		case i == 0 && next != "" && isLower(next[0]) && !follows[strings.ToLower(next)]: // the article
			continue
		case i == 'I'-'A' && next != "" && isLetter(next[0]): // the pronoun
			continue
		}
		if i >= bound {
			if anchored || bracketed && cue {
				return 0, fmt.Errorf("there is no option %c, the last is %c", 'A'+i, 'A'+bound-1)
			}
			continue
		}
		strong = strong || bracketed || anchored
		if found >= 0 && found != i {
			several = fmt.Errorf("ambiguous: the letters %c and %c", 'A'+min(found, i), 'A'+max(found, i))
		}
		if found < 0 {
			found = i
		}
	}
	switch {
	case several != nil:
		if negated || cue || strong || onlyLetters(w) {
			return 0, several
		}
		return -1, nil
	case found < 0 || !cue && !strong:
		return -1, nil
	case negated:
		return 0, errors.New("ambiguous: a letter in a sentence with a negation")
	}
	if j, err := c.contained(s); err == nil && j >= 0 && j != found {
		return 0, fmt.Errorf("ambiguous: the letter %c with the text of option %c", 'A'+found, 'A'+j)
	}
	return found, nil
}

// glued reports whether a letter stands in a formula: an operator or a digit touches it.
func glued(s string, w word) bool {
	const operators = `+-*/^_=<>\{}|~'`
	return w.begin > 0 && strings.IndexByte(operators, s[w.begin-1]) >= 0 || w.end < len(s) && strings.IndexByte(operators, s[w.end]) >= 0
}

// onlyLetters reports whether an answer is letters, conjunctions and punctuation.
func onlyLetters(w []word) bool {
	for _, x := range w {
		if t := strings.ToLower(x.text); len(t) > 1 && t != "or" && t != "and" && t != "both" && t != "either" && t != "maybe" {
			return false
		}
	}
	return true
}

// containTries is how many places of an option's text are looked at.
const containTries = 64

// contained returns the one option in words whose text a sentence contains, -1 if there is none. Of texts that lie in one another the
// longest counts.
func (c *choice) contained(s string) (int, error) {
	if c.options == nil {
		return -1, nil
	}
	text := strings.ToLower(plain(s))
	found := -1
	var texts []string
	for _, o := range c.options {
		texts = append(texts, strings.ToLower(strings.Trim(plain(cutAt(o, maxOption)), " .,;:!\"'")))
	}
	for i, o := range texts {
		o = strings.ToLower(strings.Trim(plain(optionText(i, o)), " .,;:!\"'"))
		texts[i] = o
		if !prose(o) || !containsWords(text, o) {
			continue
		}
		if found >= 0 {
			switch a, b := texts[found], o; {
			case a != b && strings.Contains(b, a):
				found = i
				continue
			case a != b && strings.Contains(a, b):
				continue
			}
			return 0, fmt.Errorf("ambiguous: the texts of the options %c and %c", 'A'+found, 'A'+i)
		}
		found = i
	}
	if found < 0 {
		return -1, nil
	}
	own := words(texts[found])
	for _, w := range words(text) {
		if (negations[w.text] || w.text == "or" || w.text == "either") && !hasWord(own, w.text) {
			return 0, fmt.Errorf("ambiguous: the text of option %c in a sentence with %q", 'A'+found, w.text)
		}
	}
	return found, nil
}

func hasWord(w []word, s string) bool {
	for _, x := range w {
		if x.text == s {
			return true
		}
	}
	return false
}

// prose reports whether an option's text has a word of three letters or more.
func prose(s string) bool {
	run := 0
	for _, w := range words(s) {
		if w.begin > 0 && s[w.begin-1] == '\\' {
			continue
		}
		run = max(run, len(w.text))
		if len(w.text) >= 3 && !isDigit(w.text[0]) {
			return true
		}
	}
	return false
}

// containsWords reports whether text contains s with no letter or digit at its edges.
func containsWords(text, s string) bool {
	for from, n := 0, 0; n < containTries; n++ {
		i := strings.Index(text[from:], s)
		if i < 0 {
			return false
		}
		begin, end := from+i, from+i+len(s)
		if !wordBefore(text[:begin]) && !wordAfter(text[end:]) {
			return true
		}
		from = begin + 1
	}
	return false
}

func wordBefore(s string) bool { return s != "" && (isLetter(s[len(s)-1]) || isDigit(s[len(s)-1])) }
func wordAfter(s string) bool  { return s != "" && (isLetter(s[0]) || isDigit(s[0])) }

// maxValue is how long an answer may be whose value is compared with the options'.
const maxValue = 1 << 10

// hasValue reports whether an answer that names no option equals the gold one in mathematics, and no other. Other options are compared only
// where it does, so that most answers cost one comparison.
func (c *choice) hasValue(gold int, answer string) (bool, error) {
	text, err := c.essence(answer)
	if err != nil {
		return false, err
	}
	text = strip(text)
	if gold >= len(c.options) || len(text) > maxValue {
		return false, nil
	}
	for _, w := range words(text) {
		if t := strings.ToLower(w.text); negations[t] || t == "or" || t == "and" || t == "either" || t == "both" {
			return false, nil
		}
	}
	equal := func(i int) bool {
		if t := c.tight[i]; len(t) == 1 && isLetter(t[0]) { // a name, not a value
			return false
		}
		equal, _, err := c.equal(optionText(i, c.options[i]), text)
		return equal && err == nil
	}
	if !equal(gold) {
		return false, nil
	}
	for i := range c.options {
		if i != gold && equal(i) {
			return false, fmt.Errorf("ambiguous: the options %c and %c have the answer's value", 'A'+min(i, gold), 'A'+max(i, gold))
		}
	}
	return true, nil
}

// questionOptions reads the options that stand in a question, each behind its letter, in order from A: on lines of their own as
// "A: text", "A) text", "(A) text" or "A. text", else behind letters in brackets. There are two at least.
func questionOptions(q string) []string {
	q = cutAt(q, defaultAnswer)
	for _, lines := range []bool{true, false} {
		var at, text []int // where each option and its text begin
		for i := range len(q) {
			if lines && i > 0 && q[i-1] != '\n' || !lines && (q[i] != '(' || i > 0 && q[i-1] != ' ' && q[i-1] != '\n') {
				continue
			}
			letter, begin := optionMark(q, i, lines)
			switch n := len(at); {
			case begin == 0:
			case letter == n && n < maxOptions:
				at, text = append(at, i), append(text, begin)
			case letter == 0 && n == 1: // the A before was none
				at[0], text[0] = i, begin
			}
		}
		if len(at) < 2 {
			continue
		}
		options := make([]string, len(at))
		for k := range at {
			end := len(q)
			if k+1 < len(at) {
				end = at[k+1]
			}
			options[k], _, _ = strings.Cut(strings.TrimLeft(q[text[k]:end], " \t\r\n"), "\n")
			options[k] = strings.TrimSpace(options[k])
		}
		return options
	}
	return nil
}

// optionMark reads the letter of an option at i, and returns its number and where its text begins, 0 if there is none.
func optionMark(q string, i int, line bool) (letter, text int) {
	for line && i < len(q) && strings.IndexByte(" \t-*", q[i]) >= 0 {
		i++
	}
	open := i < len(q) && q[i] == '('
	if open {
		i++
	}
	if i+1 >= len(q) || q[i] < 'A' || q[i] > 'Z' || !(q[i+1] == ')' || !open && (q[i+1] == ':' || q[i+1] == '.')) {
		return 0, 0
	}
	return int(q[i] - 'A'), i + 2
}
