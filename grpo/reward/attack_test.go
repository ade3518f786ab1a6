package reward

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// attacks are answers that a collapsing policy emits, or that somebody wrote to hurt.
func attacks() map[string]string {
	long := func(s string, n int) string { return strings.Repeat(s, n/len(s)+1)[:n] }
	a := map[string]string{
		"power tower":   `\boxed{\dfrac{5^{(5^{(5^{(5^5)})}-4)}-5}{16}}`,
		"big power":     "9**9**9**9",
		"code":          `__import__("os").system("true")`,
		"NaN":           "NaN",
		"infinity":      "-Infinity",
		"huge number":   "1e999999999",
		"zero bytes":    strings.Repeat("\x00", 1000),
		"not UTF-8":     "\xff\xfe[0,0,1,1]\x80A",
		"half a rune":   "A\xe2\x80",
		"surrogate":     "\xed\xa0\x80",
		"right to left": "\u202eB",
		"tags":          "<answer><answer><answer>",
		"the word":      "<think></think><answer>{[1,1,1,1]",
	}
	// Just under the limit of an answer, and 1 MB.
	for name, n := range map[string]int{"32 KiB": defaultAnswer - 8, "1 MB": 1 << 20} {
		for what, s := range map[string]string{
			"of digits": "9", "of letters": "A", "of spaces": " ", "of brackets": "[", "of closing brackets": "]", "of braces": "{", "of parentheses": "(", "of quotes": `"`,
			"of apostrophes": "'", "of backslashes": `\`, "of escaped quotes": `\"`, "of quotes and escapes": `"\`, "of boxes": `\boxed{`, "of whole boxes": `\boxed{A}`,
			"of text": `\text{`, "of fractions": `\frac{`, "of options": "A or B ", "of marks": "(A) ", "of sums": "1+", "of numbers": "1 ", "of commas": ",", "of dots": ".",
			"of sentences": "The answer is A. ", "of lines": "The answer is A\n", "of points": "(1,2)", "of pairs": "[1,2],", "of four": "[1,2,3,4]", "of keys": `"bbox_2d":`,
			"of boxes in JSON": `{"bbox_2d": [1, 2, 3, 4]},`, "of key values": `"bbox_2d": "[1,2,3,4]",`, "of the bomb": "<think></think><answer>{[1,1,1,1]", "of the bomb with spaces": "{ [1,1,1,1] ",
			"of NaN": "NaN,", "of minus": "-", "of stars": "*", "of dollars": "$", "of accents": "é", "of emoji": "🤔", "of colons": ":", "of x1": "x1=1 ", "of blocks": "<answer>", "of closed blocks": "<answer></answer>",
			"of combining": "a\u0301", "of not": "not ", "of the": "the answer is ", "of big": "the colour is blue ", "of exponents": "1e", "of percent": "50% ", "of zeros": "0",
		} {
			a[name+" "+what] = long(s, n)
		}
		a[name+" of depth"] = strings.Repeat("[", n/2) + strings.Repeat("]", n/2)
		a[name+" of depth around a box"] = strings.Repeat("[", n/2-8) + "0,0,1,1" + strings.Repeat("]", n/2-8)
		a[name+" number"] = "[0,0,1," + long("1", n-10) + "]"
		a[name+" fraction"] = "[0,0,1,0." + long("1", n-10) + "]"
		a[name+" box of text"] = `\boxed{` + long("x", n-10) + "}"
		a[name+" label"] = `{"label": "` + long("7", n-40) + `", "bbox_2d": [0, 0, 1, 1]}`
		a[name+" open label"] = `[{"bbox_2d": [0, 0, 1, 1], "label": "` + long("7 ", n-40)
	}
	return a
}

const (
	attackTime   = 10 * time.Millisecond
	attackMemory = 16 << 20
)

// measured runs f and fails where it takes too long or too much memory. It tries a few times, as the garbage collector's work counts.
func measured(t *testing.T, name string, f func()) {
	t.Helper()
	var took time.Duration
	var memory uint64
	limit := attackTime
	if slow {
		limit *= 20
	}
	for range 10 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begin := cpuTime()
		f()
		took = cpuTime() - begin
		runtime.ReadMemStats(&after)
		if memory = after.TotalAlloc - before.TotalAlloc; took <= limit && memory <= attackMemory {
			return
		}
	}
	t.Errorf("%s took %v and %d bytes", name, took, memory)
}

// TestAttacks gives every verifier every attack, in its block and bare: each is answered with a score in bounded time and memory.
func TestAttacks(t *testing.T) {
	g, err := New(Config{Math: func(gold, answer string) (bool, string, error) { return gold == answer, "compared", nil }})
	if err != nil {
		t.Fatal(err)
	}
	records := []*Record{
		{Type: Digit, Gold: "3"},
		{Type: MCQ, Gold: "B"},
		{Type: MCQ, Gold: "B", Options: colours},
		{Type: MCQ, Gold: "B", Options: []string{"aaaa", "9999", "$\\frac{1}{2}$", strings.Repeat("a ", 2000), "The answer is A"}},
		{Type: IoU, Gold: "[0, 0, 1, 1]"},
		{Type: IoU, Gold: "[0, 0, 100, 100]", ImageSize: [2]int{100, 100}, ResizedSize: [2]int{28, 28}},
		{Type: Math, Gold: "3"},
		{Type: OpenEnded, Gold: "a dog"},
	}
	for name, a := range attacks() {
		for _, response := range []string{"<answer>" + a + "</answer>", a, "<answer>" + a} {
			for i, r := range records {
				measured(t, fmt.Sprintf("%s against %s %d", name, r.Type, i), func() {
					x, err := g.Score(t.Context(), r, response)
					if err != nil || !x.Masked && !(x.Score >= 0 && x.Score <= 1) || x.Reason == "" || len(x.Reason) > 2000 || !utf8.ValidString(x.Answer) || !utf8.ValidString(x.Reason) {
						t.Errorf("%s against %s: %.300v, %v", name, r.Type, x, err)
					}
					if x.Masked && r.Type != OpenEnded {
						t.Errorf("%s against %s is masked: %s", name, r.Type, x.Reason)
					}
				})
			}
		}
		for _, p := range Places() {
			measured(t, name+" against "+p.Name, func() { p.Extract(a) })
		}
		measured(t, name+" as a judge's reply", func() {
			if v, err := parseVerdict(a); err == nil && !(v.score >= 0 && v.score <= 1) {
				t.Errorf("%s as a judge's reply: %+v", name, v)
			}
		})
		reply := []byte(a[:min(len(a), 1<<18)]) // longer ones are not read
		inside := []byte(completion(a[:min(len(a), 1<<17)]))
		measured(t, name+" as a chat completion", func() { parseChat(reply) })
		measured(t, name+" in a chat completion", func() { parseChat(inside) })
		measured(t, name+" as a score", func() { parseScore(reply, "1") })
		measured(t, name+" as a program's line", func() { parseCall(reply, "1") })
		measured(t, name+" as a question", func() { questionOptions(a) })
	}
}

// TestHostileGold: a gold answer that nobody can read masks the sample, or does no harm.
func TestHostileGold(t *testing.T) {
	g, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range attacks() {
		for _, kind := range []string{Digit, MCQ, IoU} {
			measured(t, name+" as the gold of "+kind, func() {
				x, err := g.Score(t.Context(), &Record{Type: kind, Gold: a, Options: []string{a, "b"}}, "<answer>A</answer>")
				if err != nil || !(x.Score >= 0 && x.Score <= 1) {
					t.Errorf("%s as the gold of %s: %.300v, %v", name, kind, x, err)
				}
			})
		}
	}
}

func FuzzExtract(f *testing.F) {
	for _, s := range []string{"<think>x</think><answer>3</answer>", "<answer><answer></answer>", `\boxed{\frac{1}{2}}`, `\boxed{1`, "The final answer is $x$.", "Answer: 1,234.5e-7", "$$x$$ $"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, p := range Places() {
			answer, rule, ok := p.Extract(s)
			if rule == "" || ok && !strings.Contains(s, answer) {
				t.Errorf("%s of %q: %q, %q", p.Name, s, answer, rule)
			}
		}
		if strings.Count(s, openTag) == 1 && strings.Count(s, closeTag) == 1 && strings.Index(s, openTag) < strings.Index(s, closeTag) {
			if _, _, ok := AnswerBlock(s); !ok {
				t.Errorf("%q has one block", s)
			}
		}
	})
}

func FuzzBox(f *testing.F) {
	for _, s := range []string{"[0.1, 0.2, 0.3, 0.4]", `[{"bbox_2d": [1, 2, 3, 4], "label": "car 2"}]`, "(1,2),(3,4)", "x1: 1, y1: 2, x2: 3, y2: 4", `{"bbox": "[1,2,3,4]"`, "[NaN, inf, -inf, 1e999]",
		"<|box_start|>(1,2),(3,4)<|box_end|>", "12px 1/2 3% \\left[ 'a' \""} {
		f.Add(s)
	}
	r := &Record{Type: IoU, Gold: "[0.1, 0.2, 0.3, 0.4]", ImageSize: [2]int{10, 20}, ResizedSize: [2]int{28, 56}}
	f.Fuzz(func(t *testing.T, s string) {
		boxes, err := parseBoxes(s)
		if len(boxes) > maxBoxes || err != nil && boxes != nil {
			t.Errorf("%q: %d boxes, %v", s, len(boxes), err)
		}
		v := &iouVerifier{reader{Whole, defaultAnswer}}
		if x := v.Verify(t.Context(), r, s); x.Masked || !(x.Score >= 0 && x.Score <= 1) || x.Reason == "" {
			t.Errorf("%q: %+v", s, x)
		}
		for _, b := range boxes { // what is read is read again from its own text
			if b.valid() != nil {
				continue
			}
			text := fmt.Sprint([]float64(b[:]))
			if again, err := parseBoxes(text); err != nil || len(again) != 1 || again[0] != b {
				t.Errorf("%s is read as %v, %v", text, again, err)
			}
			if math.Abs(b.iou(b)-1) > 1e-9 {
				t.Errorf("%v: %v of itself", b, b.iou(b))
			}
		}
	})
}

func FuzzMCQ(f *testing.F) {
	for _, s := range []string{"A", "(b)", "Option C", "The answer is A. red", "A or B", `\boxed{\text{A}}`, "not A", "dark red", "B) blue", "I think A", "{\\bf A}", "A\n\nB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, options := range [][]string{nil, colours, {s, "x"}} {
			rights := 0
			for i := range 26 {
				if options != nil && i >= len(options) {
					break
				}
				v := &mcqVerifier{reader{Whole, defaultAnswer}, nil}
				x := v.Verify(t.Context(), &Record{Type: MCQ, Gold: string(rune('A' + i)), Options: options}, s)
				if x.Masked || x.Score != 0 && x.Score != 1 || x.Reason == "" {
					t.Errorf("%q: %+v", s, x)
				}
				rights += int(x.Score)
			}
			if rights > 1 {
				t.Errorf("%q is right for %d options", s, rights)
			}
		}
		plain(s)
		questionOptions(s)
	})
}

func FuzzJudgeReply(f *testing.F) {
	for _, s := range []string{completion(`{"score": 7, "reason": "x"}`), `{"score": 7}`, "Score: 7/10", "```json\n{\"score\": \"7\"}\n```", "<think>8</think>7", `{"score": 1} {"score": 2}`, `{"choices": [{}]}`,
		`{"id": "1", "reward": 0.5, "why": "x"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := parseVerdict(string(b)); err == nil && (!(v.score >= 0 && v.score <= 1) || v.reason == "") {
			t.Errorf("%q: %+v", b, v)
		}
		if v, tokens, err := parseChat(b); err == nil && !(v.score >= 0 && v.score <= 1) || tokens < 0 {
			t.Errorf("%q: %+v, %d", b, v, tokens)
		}
		if v, err := parseScore(b, "1"); err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
			t.Errorf("%q: %v", b, v)
		}
		if x, err := parseCall(b, "1"); err == nil && !(x.Score >= 0 && x.Score <= 1) {
			t.Errorf("%q: %+v", b, x)
		}
	})
}
