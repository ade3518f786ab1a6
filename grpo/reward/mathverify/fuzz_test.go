package mathverify

import (
	"testing"
	"time"
)

func seed(f *testing.F) {
	for i, c := range pairs() {
		if i%4 == 0 {
			f.Add(c.answer)
		}
	}
	for _, s := range hostile() {
		if len(s) < 200 {
			f.Add(s)
		}
	}
}

// FuzzTokenize: every text is cut into tokens that cover it in order, or refused.
func FuzzTokenize(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, s string) {
		for _, math := range []bool{false, true} {
			k, err := tokenize(s, math, math)
			if err != nil {
				continue
			}
			if n := len(k.out); n == 0 || k.out[n-1].k != tEnd || n > MaxTokens+16 {
				t.Fatalf("%d tokens", n)
			}
			at := int32(0)
			for _, x := range k.out {
				if x.pos < at || int(x.pos) > len(s) {
					t.Fatalf("token at %d behind %d of %d bytes", x.pos, at, len(s))
				}
				at = x.pos
				if x.k == tNumber && x.num == nil || x.k == tSymbol && x.s == "" {
					t.Fatal("a number without its value or a variable without a name")
				}
			}
		}
	})
}

// depth returns how deep a tree is, and its nodes.
func depth(e Expr) (d, nodes int) {
	nodes = 1
	for _, c := range children(e) {
		if c == nil {
			continue
		}
		k, n := depth(c)
		d = max(d, k)
		nodes += n
	}
	return d + 1, nodes
}

// FuzzParse: a tree is no deeper or larger than the limits allow, can be written, and equals itself.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Parse(s)
		if err != nil {
			return
		}
		if d, n := depth(e); d > 12*MaxDepth || n > 4*MaxTokens {
			t.Fatalf("%d levels, %d nodes", d, n)
		}
		if e.String() == "" && s != "" {
			if _, ok := e.(*Text); !ok {
				t.Fatalf("%T without a text", e)
			}
		}
		if v := Compare(e, e, Options{}); !v.Equal && v.Outcome != Undecided {
			t.Fatalf("%q is not itself: %s", e, v.Reason)
		}
	})
}

// FuzzVerify: a verdict comes in time, with its reason, within the limit of work, and twice the same.
func FuzzVerify(f *testing.F) {
	for i, c := range pairs() {
		if i%3 == 0 {
			f.Add(c.gold, c.answer)
		}
	}
	for _, s := range hostile() {
		if len(s) < 200 {
			f.Add("5", s)
		}
	}
	f.Fuzz(func(t *testing.T, gold, answer string) {
		start := time.Now()
		v := Verify(gold, answer, Options{})
		if took := time.Since(start); took > 2*time.Second {
			t.Fatalf("took %v", took)
		}
		if v.Work > MaxWork+MaxWork/4 || v.Reason == "" || v.Rule == "" {
			t.Fatalf("%+v", v)
		}
		if v.Equal != (v.Outcome == Equal) || (v.Err != nil) != (v.Outcome >= BadAnswer) {
			t.Fatalf("%+v", v)
		}
		if w := Verify(gold, answer, Options{}); w.Equal != v.Equal || w.Rule != v.Rule || w.Work != v.Work {
			t.Fatalf("%+v, then %+v", v, w)
		}
	})
}

// FuzzExtract: what is extracted lies in the text, but for the conjunctions of lists.
func FuzzExtract(f *testing.F) {
	seed(f)
	f.Add(`The answer is $\boxed{5}$ and $6$. Final answer: 7`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, p := range []Places{0, LaTeX, Plain, Whole, LaTeX | Plain} {
			c := Extract(s, p)
			if len(c) > maxCandidates {
				t.Fatalf("%d candidates", len(c))
			}
			for _, x := range c {
				if x.Text == "" || x.Place == "" || len(x.Text) > 2*len(s)+400 {
					t.Fatalf("%+v", x)
				}
			}
		}
	})
}
