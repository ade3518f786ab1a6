package reward

import (
	"strings"
	"testing"
)

func TestExtract(t *testing.T) {
	const none = "\x00"
	for _, tt := range []struct {
		name, response, want string // none: there is no answer
	}{
		{"answer", "<think>x</think><answer>3</answer>", "3"},
		{"answer", "<answer>\n 3 \t</answer> trailing", "3"},
		{"answer", "<answer>line\nline</answer>", "line\nline"},
		{"answer", "<answer></answer>", ""},
		{"answer", "", none},
		{"answer", "3", none},
		{"answer", "<answer>3", none},
		{"answer", "3</answer>", none},
		{"answer", "</answer>3<answer>", none},
		{"answer", "<answer>3</answer><answer>3</answer>", none},
		{"answer", "<answer>3</answer> or <answer>4</answer>", none},
		{"answer", "<answer>3</answer> <answer>", "3"},  // as the authors' pattern has it: one whole block
		{"answer", "<answer>3</answer> </answer>", "3"}, // the same
		{"answer", "<answer><answer>3</answer></answer>", none},
		{"answer", "<Answer>3</Answer>", none},
		{"answer", "<answer >3</answer>", none},
		{"answer", "&lt;answer&gt;3&lt;/answer&gt;", none},
		{"boxed", `so \boxed{3}`, "3"},
		{"boxed", `\boxed{1} and \boxed{2}`, "2"},
		{"boxed", `\boxed{\frac{1}{2}}`, `\frac{1}{2}`},
		{"boxed", `\boxed {x}`, "x"},
		{"boxed", `\fbox{x}`, "x"},
		{"boxed", `\boxed{a\}b}`, `a\}b`},
		{"boxed", `\boxed{1} and \boxed{2`, "1"},
		{"boxed", `\boxed{}`, ""},
		{"boxed", `\boxed`, none},
		{"boxed", `3`, none},
		{"last-number", "1, 2 and 3.", "3"},
		{"last-number", "it is 1,234.5 m", "1,234.5"},
		{"last-number", "x = -7", "-7"},
		{"last-number", "10-7", "7"},
		{"last-number", "1.5e-3", "1.5e-3"},
		{"last-number", "1,2", "2"},
		{"last-number", "1,2345", "2345"},
		{"last-number", "none", none},
		{"last-number", "-", none},
		{"math-verify", `\boxed{1}. The final answer is $2$. I hope it is correct.`, "2"},
		{"math-verify", `The answer is 3. So \boxed{4}.`, "4"},
		{"math-verify", "Answer: 7\nbecause", "7"},
		{"math-verify", "The answer is 1. Answer: 2", "2"},
		{"math-verify", "so the answer is 12 cm.", "12 cm"},
		{"math-verify", "The answer is $\\frac{1}{2}$.", `\frac{1}{2}`},
		{"math-verify", "The answer is (B) blue.", "(B) blue"},
		{"math-verify", "The answer is A. blue", "A. blue"},
		{"math-verify", "hence $x = 3$ and $y = 4$.", "y = 4"},
		{"math-verify", `hence \(x = 3\).`, "x = 3"},
		{"math-verify", "I count 3 dogs", "3"},
		{"math-verify", "nothing", none},
		{"whole", "  all of it ", "all of it"},
	} {
		for _, p := range Places() {
			if p.Name != tt.name {
				continue
			}
			got, rule, ok := p.Extract(tt.response)
			if ok != (tt.want != none) || ok && got != tt.want || rule == "" {
				t.Errorf("%s of %q: %q, %q, %v; want %q", tt.name, tt.response, got, rule, ok, tt.want)
			}
		}
	}
	for _, p := range Places() {
		if got, _, ok := p.Extract(p.Wrap("42")); !ok || got != "42" {
			t.Errorf("%s of its own wrapping: %q, %v", p.Name, got, ok)
		}
	}
}

func TestDigit(t *testing.T) {
	for _, tt := range []struct{ gold, right, wrong string }{
		{"3", "3|3.| 3 |\n3\n|03|+3", "|4|3 apples|three|3.0|3..|.3|3,|(3)|3 4|33|-3|$3$|\\boxed{3}|0x3|3e0|III|٣|３|3\u200b|3%|1+2|3 or 4|" + strings.Repeat("3", 5000)},
		{"0", "0|0.|00|-0", "|O|none|.|0.0"},
		{"-7", "-7|-7.|\u22127|-07", "7|- 7|--7|+-7"},
		{"3.0", "3", "3.0|30"},
		{"12.", "12", "1"},
		{"1e2", "100", "1e2"},
		{`\boxed{5}`, "5", "4"},
		{"$5$", "5", "4"},
		{"123456789012345678901234567890", "123456789012345678901234567890|0123456789012345678901234567890.", "123456789012345678901234567891"},
	} {
		r := &Record{Type: Digit, Gold: tt.gold}
		for _, a := range strings.Split(tt.right, "|") {
			if x := score(t, r, a); x.Score != 1 {
				t.Errorf("gold %q: %q is wrong: %+v", tt.gold, a, x)
			}
		}
		for _, a := range strings.Split(tt.wrong, "|") {
			if x := score(t, r, a); x.Score != 0 || x.Masked || x.Reason == "" {
				t.Errorf("gold %q: %q is right: %+v", tt.gold, a, x)
			}
		}
	}
	for _, gold := range []string{"", "x", "3.5", "1e400", "1e-1", "NaN", "3 4"} {
		if x := score(t, &Record{Type: Digit, Gold: gold}, "3"); !x.Masked || x.Reason == "" {
			t.Errorf("gold %q is not masked: %+v", gold, x)
		}
	}
	// A response that is wrong is wrong whatever the gold is.
	g, _ := New(Config{})
	if x, err := g.Score(t.Context(), &Record{Type: Digit, Gold: "x"}, "3"); err != nil || x.Masked || x.Score != 0 {
		t.Errorf("no block and no gold: %+v, %v", x, err)
	}
}

func TestQuestionOptions(t *testing.T) {
	for _, tt := range []struct{ question, want string }{
		{"Find x.\nChoices:\nA: \\frac{1}{2}\nB: 2\nC: 3", `\frac{1}{2}|2|3`},
		{"Choose from the following options\nA) The ratio increases.\nB) It decreases.", "The ratio increases.|It decreases."},
		{"Which?\n(A) red\n(B) blue\n(C) green\nAnswer with the letter.", "red|blue|green"},
		{"Which? (A) red (B) blue (C) green", "red|blue|green"},
		{"Which?\nA. red\nB. blue", "red|blue"},
		{"A. Smith asks:\nA. red\nB. blue", "red|blue"},
		{"- A. red\n- B. blue", "red|blue"},
		{"What is A: B?", ""},
		{"Only\nA: one", ""},
		{"", ""},
	} {
		if got := strings.Join(questionOptions(tt.question), "|"); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.question, got, tt.want)
		}
	}
	r := &Record{Type: MCQ, Gold: "B", Question: "Which?\nChoices:\nA: red\nB: blue"}
	for answer, want := range map[string]float64{"blue": 1, "B": 1, "red": 0, "C": 0} {
		if x := score(t, r, answer); x.Score != want {
			t.Errorf("%q: %+v", answer, x)
		}
	}
}
