package reward

import (
	"context"
	"strings"
	"testing"
)

// score verifies an answer in its block.
func score(t testing.TB, r *Record, answer string) Result {
	t.Helper()
	g, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := g.Score(context.Background(), r, "<think>hm</think>\n<answer>"+answer+"</answer>")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

var colours = []string{"red", "blue", "dark red", "None of the above"}

func TestMCQ(t *testing.T) {
	five := []string{"$14 \\mathrm{~m}$", "$20 \\mathrm{~m}$", "$\\frac{1}{2}$", "25", "$x^2$"}
	ratio := []string{"The ratio increases as the rate increases.", "The ratio decreases as the rate increases.", "The ratio remains constant.", "It does not change"}
	for _, tt := range []struct {
		options []string // nil: unknown
		gold    string
		right   string // answers, separated by |
		wrong   string
	}{
		{nil, "A", `A|(A)|A.|A)|a|(a)|a.|[A]|{A}|A:| A |"A"|'A'|$A$|\(A\)|\boxed{A}|$\boxed{A}$|\boxed{(A)}|\boxed{A.}|\text{A}|\textbf{A}|\mathrm{A}|\boxed{\text{A}}|` +
			"\\boxed{\\text{(A)}}|**A**|*A*|`A`|**(A)**|Option A|option a|Option (A)|Choice A|The answer is A|The answer is A.|the answer is (a)|The correct answer is A.|" +
			"The correct option is A|Answer: A|Answer: (A)|**Answer:** A|Answer A|So the answer is \\boxed{A}.|Final answer: A|I think the answer is A|A is correct|" +
			"A is the correct answer.|(A) is correct|A. text|A) text|(A) text|A: text|A - text|A – text|(A). text|A.text|A) 5 cm|a) text|a. text|The answer is A. text|" +
			"Option A: text|The answer is option A|the correct choice would be A|It is A|It's A|Therefore, A|Thus the answer is: A|(A|A)|A,|A;|A!|The letter is A|" +
			"The correct answer is A because of the colour|\\text{Option A}|**Option A**|A\n|\n\nA\n\n|My answer: A|A (text)|Definitely A|The answer is A because it is small|" +
			"A. The point B is larger|**A. text**|\\boxed{A. text}|\\boxed{\\text{A. text}}|$\\text{A}$|The answer is $\\boxed{A}$|\\fbox{A}|The points B and C are not on the line.\nThe answer is (A).|" +
			"B is too small. C is not red. So the answer is A.|The answer is A.\nTherefore, the answer is (A).",
			`B|(B)|A or B|A and B|A, B|A/B|A & B|AB|A B|Either A or B|either (A) or (B)|A or maybe B|(A)(B)|(A) (B)|(A) or (B)|A. or B.|A) or B)|A; B|not A|Not A|` +
				`The answer is not A|It is not A|A is wrong|A is incorrect|The answer is A or B|The answer is A. Or maybe B.|The answer is either A or B|Option A or Option B|` +
				`\boxed{A} or \boxed{B}|\boxed{A or B}|\boxed{AB}|A. text or B. text|A) x B) y|A: x, B: y|Both A and B|neither A nor B|none|All of the above||1|Apple|AA|` +
				`a triangle|A triangle|The answer is a triangle|I don't know|A, B, C, D|ABCD|A|B|(A), (B)|A->B|B, not A|The answer is B, not A|A. No wait, B|Not B|1A|A1|А|Ａ|` +
				`{"A": 1, "B": 2}|A = B|A+B|2A`},
		{nil, "B", `B|b|(b)|Option B|\boxed{B}`, `A|bb|b or a|a/b|beta`},
		{nil, "B", "B", "The answer is A. The answer is B.|The answer is B.\nThe answer is A.|The answer is B.\nOr A.|B\nThe answer is (A)."},
		{nil, "I", `I|(I)|I.|Option I|The answer is I.`, `I think B|I do not know|I`},
		{nil, "(c)", `C|c|(C)`, `A`},
		{nil, "B) blue", `B|(b)|B. blue`, `A`},
		{colours, "B", `B|blue|Blue|BLUE.|"blue"|**blue**|\text{blue}|\boxed{blue}|B. blue|B) Blue|(B) blue|B blue|B, blue|B (blue)|The answer is blue|The answer is B. blue|` +
			`It is blue.|The correct answer is B, blue|The colour is blue|Option B (blue)`,
			`A|red|dark red|A. blue|B. red|B) dark red|blue or red|red, blue|green|E|F|The answer is F|E. blue|The answer is A, blue|not blue|The colour is not blue|` +
				`blueish|neither blue nor red|The answer is red and not blue|A (blue)|B (red)`},
		{colours, "A", `A|red|Red|A) red|The colour is red`, `dark red|C|the colour is dark red|C) dark red`},
		{colours, "C", `C|dark red|The colour is dark red|C. dark red`, `red|A`},
		{colours, "D", `D|None of the above|none of the above.|D. None of the above|\boxed{\text{None of the above}}|The answer is none of the above`, `none|All of the above|A`},
		{colours, "blue", `B|blue`, `A|red`},
		{five, "A", `A|14 m|14m|$14 \mathrm{~m}$|14 \mathrm{~m}|\boxed{14 \mathrm{~m}}|\boxed{\text{(A) } 14 \mathrm{~m}}|The answer is 14 m|A. 14 m`, `20 m|B|14 km|140 m|A. 20 m|F`},
		{five, "C", `\frac{1}{2}|$\frac{1}{2}$|\dfrac{1}{2}|\frac12 (C)|(C) \frac{1}{2}|C: $\frac{1}{2}$`, `\frac{1}{3}|(D) \frac{1}{2}|D. 25`},
		{five, "D", `25|D|$25$|25.|\boxed{25}|\text{25}|the answer is 25`, `2|5|250|2 5|D or E`},
		{five, "E", `x^2|$x^2$|E. x^2`, `x|x^{22}`},
		{five, "20 \\mathrm{~m}", `B|20 m`, `A`},
		{ratio, "B", `B|The ratio decreases as the rate increases|the ratio decreases as the rate increases.|B) The ratio decreases as the rate increases.|` +
			`In the figure, the ratio decreases as the rate increases.|**B) The ratio decreases as the rate increases.**`,
			`The ratio increases as the rate increases.|The ratio decreases|B) The ratio remains constant.|A`},
		{ratio, "D", `D|It does not change|D. It does not change`, `A. It does not change|C`},
		{[]string{"A", "B", "C"}, "B", `B|(B)|\boxed{B}|B. B|Point B is the answer`, `A|C|D|A. B|B. A`},
		{[]string{"x", "y", "z"}, "B", `B|y|$y$|\boxed{y}`, `x|A|z|x or y`},
		{[]string{"Yes", "No"}, "B", `No|B|no.|No, it is not.|No. It does not move.|B) No|B. No, it isn't`, `Yes|A|Yes, it is|yes or no|No, yes|No, the answer is yes|maybe|No, or A`},
		{[]string{"Yes", "No"}, "A", `Yes|Yes, it is.|Yes. It moves.`, `No|Yes and no|Yes, no`},
		{[]string{"5", "7"}, "A", `5|5.|5, as it is`, `5, 6|5, or 7|5, B|7`},
		{[]string{"\\frac{√{3}}{3}", "60°", "2×3"}, "A", `\frac{\sqrt{3}}{3}|$\dfrac{\sqrt{3}}{3}$|A`, `B`},
		{[]string{"\\frac{√{3}}{3}", "60°", "2×3"}, "B", `60^\circ|$60^{\circ}$|60°|B`, `A|6°`},
		{[]string{"\\frac{√{3}}{3}", "60°", "2×3"}, "C", `2 \times 3|2\times3|2 × 3`, `2 3|23`},
		{[]string{"P", "p"}, "A", `A|P`, `p|B`},
		{[]string{"5", "5", "6"}, "A", `A`, `5|B`},
		{[]string{"A) red", "B) blue"}, "B", `B|blue|B) blue|B. blue`, `A|red|A) blue`},
		{[]string{"(A) red", "(B) blue"}, "B", `B|blue|(B) blue`, `red`},
	} {
		r := &Record{Type: MCQ, Gold: tt.gold, Options: tt.options}
		for _, a := range strings.Split(tt.right, "|") {
			if x := score(t, r, a); x.Score != 1 {
				t.Errorf("gold %q, options %q: %q is wrong: %+v", tt.gold, tt.options, a, x)
			}
		}
		for _, a := range strings.Split(tt.wrong, "|") {
			if a == tt.gold {
				continue
			}
			if x := score(t, r, a); x.Score != 0 || x.Masked || x.Reason == "" {
				t.Errorf("gold %q, options %q: %q is right: %+v", tt.gold, tt.options, a, x)
			}
		}
	}
}
