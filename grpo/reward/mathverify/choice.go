package mathverify

import "strings"

// choose decides a multiple-choice question: the answer is the letter of the gold option, or its text or value.
func choose(w *work, gold, answer string, opt *Options) Verdict {
	letter := strings.Trim(strings.TrimSpace(gold), "(). ")
	v := Verdict{Gold: letter, Rule: RuleChoice}
	want := -1
	if len(letter) == 1 && letter[0]|0x20 >= 'a' && letter[0]|0x20 <= 'z' {
		want = int(letter[0]|0x20) - 'a'
	}
	if want < 0 || want >= len(opt.Choices) {
		v.Outcome, v.Err, v.Reason = BadGold, ErrNothing, "the gold answer is no letter of an option"
		return v
	}
	places := opt.Places
	candidates := Extract(answer, places)
	text := ""
	for _, c := range candidates {
		if c.Place != "number" && c.Place != "formula" || text == "" && c.Place == "formula" {
			text = c.Text
			break
		}
	}
	if l, ok := stated(answer); ok && (len(candidates) == 0 || candidates[0].Place != "boxed" && candidates[0].Place != "final answer") {
		text = l
	}
	if text == "" && len(candidates) > 0 {
		text = candidates[0].Text
	}
	if text == "" {
		v.Outcome, v.Rule, v.Err, v.Reason = BadAnswer, RuleNothing, ErrNothing, "answer: "+ErrNothing.Error()
		return v
	}
	v.Answer = text
	got, many := letterOf(text, len(opt.Choices))
	switch {
	case many:
		v.Reason = "several options are named"
		return v
	case got >= 0:
		v.Equal = got == want
		v.Reason = "the option of the letter"
		if v.Equal {
			v.Outcome = Equal
		}
		return v
	}
	// The option itself: equal to the gold option and to no other.
	plain := *opt
	plain.Choices = nil
	for i, c := range opt.Choices {
		if sameOption(w, c, text, &plain) {
			v.Equal = i == want
			v.Reason = "the text or value of option " + string(rune('A'+i))
			if v.Equal {
				v.Outcome = Equal
				return v
			}
		}
	}
	if v.Reason == "" {
		v.Reason = "no option is named"
	}
	return v
}

func sameOption(w *work, option, text string, opt *Options) bool {
	if a, b := words(option), words(text); a != "" && a == b {
		return true
	}
	g, err := find(option, opt)
	if err != nil {
		return false
	}
	e, err := find(text, opt)
	if err != nil {
		return false
	}
	same, _, err := compare(w, g, e, opt)
	return err == nil && same
}

// letterOf returns the option whose letter a text is: A, (A), A., \text{(A)}, "Option A", "(A) 5", "A. five".
func letterOf(s string, n int) (option int, many bool) {
	w := strings.Fields(strings.Map(func(r rune) rune {
		switch r {
		case '{', '}', '$', '~', '\\', '*':
			return ' '
		}
		return r
	}, strings.NewReplacer(`\textbf`, " ", `\textrm`, " ", `\text`, " ", `\mathrm`, " ", `\mathbf`, " ", `\mbox`, " ", `\left`, "", `\right`, "", `\bf`, " ", `\quad`, " ").Replace(s)))
	option = -1
	count := 0
	for i, f := range w {
		bare := strings.Trim(f, "().,:;[]")
		if len(bare) != 1 || bare[0] < 'A' || bare[0] > 'Z' {
			if strings.EqualFold(bare, "and") || strings.EqualFold(bare, "or") || strings.EqualFold(bare, "option") || strings.EqualFold(bare, "choice") ||
				strings.EqualFold(bare, "answer") || strings.EqualFold(bare, "the") || strings.EqualFold(bare, "is") {
				continue
			}
			// A,B or (A)(B)
			if i == 0 && letters(bare) {
				return -1, true
			}
			if option >= 0 && (i >= 1 && strings.ContainsAny(w[i-1], "().:") || count == 1 && len(w) > 1 && strings.ContainsAny(w[0], "().:")) {
				break
			}
			if len(w) == 1 && len(bare) == 1 && bare[0] >= 'a' && int(bare[0]-'a') < n {
				return int(bare[0] - 'a'), false
			}
			return -1, count > 1
		}
		if k := int(bare[0] - 'A'); k != option {
			option = k
			count++
		}
	}
	if count > 1 {
		return -1, true
	}
	return option, false
}

// letters reports whether s is several letters of options, as A,B,C or BD.
func letters(s string) bool {
	if len(s) < 2 || len(s) > 9 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'E') && c != ',' && c != ')' && c != '(' {
			return false
		}
	}
	return true
}

// stated finds the letter in "the answer is (B)", the last one of the text.
func stated(s string) (string, bool) {
	if len(s) > MaxText {
		s = s[len(s)-MaxText:]
	}
	i := lastIndexFold(s, "answer")
	if i < 0 {
		return "", false
	}
	rest := s[i+len("answer"):]
	rest = strings.TrimLeft(rest, " \n*:")
	rest = strings.TrimPrefix(rest, "is")
	rest = strings.TrimLeft(rest, " \n*:$")
	rest = strings.TrimPrefix(rest, "option ")
	rest = strings.TrimPrefix(rest, `\(`)
	end := sentence(rest, 0)
	line := strings.TrimSpace(rest[:end])
	if line == "" {
		return "", false
	}
	if k, many := letterOf(line, 26); k >= 0 || many {
		return line, true
	}
	return "", false
}
