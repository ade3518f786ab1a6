package reward

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain is the program of the process tests, too.
func TestMain(m *testing.M) {
	if mode := os.Getenv("REWARD_TEST_PROGRAM"); mode != "" {
		program(mode)
		return
	}
	os.Exit(m.Run())
}

// program verifies lines by what their responses say.
func program(mode string) {
	if mode == "silent" {
		os.Exit(3)
	}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var q struct{ ID, Response, GT string }
		if err := json.Unmarshal(line, &q); err != nil {
			panic(err)
		}
		switch what, argument, _ := strings.Cut(q.Response, " "); what {
		case "reward":
			fmt.Printf(`{"id": %q, "reward": %s, "extracted": "x", "why": %q}`+"\n", q.ID, argument, "pid "+strconv.Itoa(os.Getpid()))
		case "die":
			fmt.Fprintln(os.Stderr, "I cannot go on")
			os.Exit(1)
		case "hang":
			time.Sleep(time.Hour)
		case "child": // which would keep the pipes open
			p, err := os.StartProcess("/bin/sleep", []string{"sleep", "300"}, &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}})
			if err == nil {
				os.WriteFile(argument, []byte(strconv.Itoa(p.Pid)), 0o666)
			}
			os.Exit(1)
		case "flood":
			for {
				os.Stdout.WriteString(strings.Repeat("x", 1<<16))
			}
		case "shout":
			for range 1000 {
				os.Stderr.WriteString(strings.Repeat("y", 1<<12))
			}
			fmt.Fprintln(os.Stderr, "\nthe end")
			os.Exit(1)
		case "eat":
			var all [][]byte
			for {
				b := make([]byte, 64<<20)
				for i := 0; i < len(b); i += 4096 {
					b[i] = 1
				}
				all = append(all, b)
				if len(all) > 1000 {
					os.Exit(9)
				}
			}
		case "raw":
			fmt.Println(argument)
		case "twice":
			fmt.Printf(`{"id": %q, "reward": 1}`+"\n", q.ID)
			fmt.Printf(`{"id": %q, "reward": 1}`+"\n", q.ID)
		}
	}
}

func newProcess(t *testing.T, c ProcessConfig) *Process {
	t.Helper()
	c.Path = os.Args[0]
	if c.Env == nil {
		c.Env = append(os.Environ(), "REWARD_TEST_PROGRAM=verify")
	}
	p, err := NewProcess(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestProcess(t *testing.T) {
	p := newProcess(t, ProcessConfig{Timeout: 20 * time.Second, BreakAfter: 100})
	r := &Record{Type: "mine", Gold: "g"}
	first := p.Verify(t.Context(), r, "reward 0.25")
	if first.Masked || first.Score != 0.25 || first.Answer != "x" || !first.Found {
		t.Fatalf("%+v", first)
	}
	if again := p.Verify(t.Context(), r, "reward 0.5"); again.Reason != first.Reason || again.Score != 0.5 {
		t.Errorf("the program was started again: %+v", again)
	}
	if x := p.Verify(t.Context(), r, "reward null"); !x.Masked {
		t.Errorf("%+v", x)
	}
	if x := p.Verify(t.Context(), r, "reward 1 "+strings.Repeat("é", 1<<19)); x.Score != 0 && !x.Masked {
		t.Errorf("%.200v", x)
	}
	for name, tt := range map[string]struct{ response, why string }{
		"dies":       {"die", "I cannot go on"},
		"floods":     {"flood", "more than"},
		"shouts":     {"shout", "the end"},
		"above 1":    {"reward 1.5", "0 to 1"},
		"NaN":        {"reward NaN", "not a JSON object"},
		"text":       {`reward "1"`, "want a number"},
		"no JSON":    {"raw hello", "not a JSON object"},
		"another id": {`raw {"id": "999", "reward": 1}`, "id"},
		"no id":      {`raw {"reward": 1}`, "id"},
		"no reward":  {`raw {"id": "0"}`, "id"},
		"two keys":   {`raw {"reward": 1, "reward": 0}`, "twice"},
		"deep":       {"raw " + strings.Repeat("[", 100000), "not a JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			if x := p.Verify(t.Context(), r, tt.response); !x.Masked || !strings.Contains(x.Reason, tt.why) {
				t.Errorf("%+v, want it masked for %q", x, tt.why)
			}
			if x := p.Verify(t.Context(), r, "reward 1"); x.Masked || x.Score != 1 {
				t.Errorf("it was not started again: %+v", x)
			}
		})
	}
	t.Run("answers twice", func(t *testing.T) {
		if x := p.Verify(t.Context(), r, "twice"); x.Score != 1 {
			t.Errorf("%+v", x)
		}
		for range 3 { // the second answer is nobody's, and takes no other's place
			if x := p.Verify(t.Context(), r, "reward 0.5"); !x.Masked && x.Score != 0.5 {
				t.Errorf("%+v", x)
			}
		}
	})
	if s := p.Stats(); s.Failures[Crashed] == 0 || s.Failures[BadReply] == 0 {
		t.Errorf("%+v", s)
	}
	p.Close()
	p.Close()
	if x := p.Verify(t.Context(), r, "reward 1"); !x.Masked {
		t.Errorf("closed: %+v", x)
	}
}

func TestProcessLimits(t *testing.T) {
	r := &Record{Type: "mine"}
	t.Run("time", func(t *testing.T) {
		p := newProcess(t, ProcessConfig{Timeout: 300 * time.Millisecond, BreakAfter: 100})
		begin := time.Now()
		if x := p.Verify(t.Context(), r, "hang"); !x.Masked || !strings.Contains(x.Reason, "no reply within") || time.Since(begin) > 10*time.Second {
			t.Errorf("%+v after %v", x, time.Since(begin))
		}
	})
	t.Run("breaker", func(t *testing.T) {
		p := newProcess(t, ProcessConfig{Env: append(os.Environ(), "REWARD_TEST_PROGRAM=silent"), BreakAfter: 2, BreakFor: time.Hour})
		for range 5 {
			if x := p.Verify(t.Context(), r, "reward 1"); !x.Masked {
				t.Errorf("%+v", x)
			}
		}
		if s := p.Stats(); s.Attempts != 2 || s.Failures[BreakerOpen] != 3 {
			t.Errorf("%+v", s)
		}
	})
	t.Run("workers", func(t *testing.T) {
		p := newProcess(t, ProcessConfig{Workers: 3})
		var wait sync.WaitGroup
		for i := range 30 {
			wait.Go(func() {
				want := float64(i) / 32
				if x := p.Verify(t.Context(), r, fmt.Sprint("reward ", want)); x.Score != want || x.Masked {
					t.Errorf("%+v, want %v", x, want)
				}
			})
		}
		wait.Wait()
	})
	t.Run("cancel", func(t *testing.T) {
		p := newProcess(t, ProcessConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if x := p.Verify(ctx, r, "hang"); !x.Masked || time.Since(begin) > 10*time.Second {
			t.Errorf("%+v after %v", x, time.Since(begin))
		}
	})
	t.Run("children", func(t *testing.T) {
		if _, err := os.Stat("/bin/sleep"); err != nil {
			t.Skip("no /bin/sleep")
		}
		p := newProcess(t, ProcessConfig{Timeout: 2 * time.Second})
		file := filepath.Join(t.TempDir(), "pid")
		begin := time.Now()
		if x := p.Verify(t.Context(), r, "child "+file); !x.Masked || time.Since(begin) > 10*time.Second {
			t.Errorf("%+v after %v", x, time.Since(begin))
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Skip("no child: ", err)
		}
		pid, _ := strconv.Atoi(string(b))
		for range 100 {
			if gone(pid) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("the program's child %d lives", pid)
	})
	t.Run("memory", func(t *testing.T) {
		if !canLimitMemory {
			t.Skip("memory cannot be limited here")
		}
		p := newProcess(t, ProcessConfig{Memory: 3 << 30, Timeout: time.Minute})
		if x := p.Verify(t.Context(), r, "reward 1"); x.Masked {
			t.Fatalf("%+v", x)
		}
		if x := p.Verify(t.Context(), r, "eat"); !x.Masked || !strings.Contains(x.Reason, "ended") {
			t.Errorf("%+v", x)
		}
	})
	for _, c := range []ProcessConfig{{}, {Path: "/no/such/program"}, {Path: os.Args[0], Workers: -1}, {Path: os.Args[0], Memory: -1}} {
		if _, err := NewProcess(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

// gone reports whether a process has ended; one that nobody has waited for yet has.
func gone(pid int) bool {
	if runtime.GOOS != "linux" {
		p, err := os.FindProcess(pid)
		return err != nil || p.Signal(syscall.Signal(0)) != nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

func TestService(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q map[string]any
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		if q["difficulty"] != 3.0 || q["gt"] != "g" || q["verifier_type"] != "mine" || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("%v", q)
		}
		if q["response"] == "bad" {
			io.WriteString(w, `{"id": "x"}`)
			return
		}
		fmt.Fprintf(w, `{"id": %q, "reward": 0.75, "why": "as I like"}`, q["id"])
	}))
	defer s.Close()
	v, err := NewService(s.URL, "secret", Policy{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	v.clock = newFakeClock()
	r := &Record{Type: "mine", Gold: "g", Extra: map[string]json.RawMessage{"difficulty": json.RawMessage("3"), "id": json.RawMessage(`"not mine"`)}}
	g, err := New(Config{Custom: map[string]Verifier{"mine": v}})
	if err != nil {
		t.Fatal(err)
	}
	if x, err := g.Score(t.Context(), r, "good"); err != nil || x.Score != 0.75 || x.Reason != "as I like" || x.Found {
		t.Errorf("%+v, %v", x, err)
	}
	if x, err := g.Score(t.Context(), r, "bad"); err != nil || !x.Masked {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestRegistry(t *testing.T) {
	if _, err := New(Config{Custom: map[string]Verifier{"x": nil}}); err == nil {
		t.Error("a nil verifier is accepted")
	}
	if _, err := New(Config{Limits: Limits{Answer: -1}}); err == nil {
		t.Error("a negative limit is accepted")
	}
	g, err := New(Config{Custom: map[string]Verifier{
		"panics":   Func(func(context.Context, *Record, string) Result { panic("oh") }),
		"nil map":  Func(func(_ context.Context, r *Record, _ string) Result { r.Extra["a"] = nil; return Result{} }),
		"NaN":      Func(func(context.Context, *Record, string) Result { return Result{Score: math.NaN()} }),
		"infinite": Func(func(context.Context, *Record, string) Result { return Result{Score: math.Inf(1)} }),
		"negative": Func(func(context.Context, *Record, string) Result { return Result{Score: -0.5} }),
		"above":    Func(func(context.Context, *Record, string) Result { return Result{Score: 2, Answer: "x", Found: true} }),
		"cheats": Func(func(_ context.Context, r *Record, _ string) Result {
			r.Gold, r.Options[0] = "changed", "changed"
			return Result{Score: 1}
		}),
		"half": Func(func(context.Context, *Record, string) Result { return Result{Score: 0.5, Reason: "half"} }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	r := &Record{Gold: "g", Options: []string{"a"}}
	for _, name := range []string{"panics", "nil map", "NaN", "infinite", "negative", "above"} {
		r.Type = name
		if x, err := g.Score(t.Context(), r, ""); err != nil || !x.Masked || x.Score != 0 || x.Reason == "" {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
		if s := g.Stats()[name]; s.Masked != 1 || s.Scored != 0 || (s.Panics == 1) != (name == "panics" || name == "nil map") {
			t.Errorf("%s is counted as %+v", name, s)
		}
	}
	r.Type = "cheats"
	if x, err := g.Score(t.Context(), r, ""); err != nil || x.Score != 1 || r.Gold != "g" || r.Options[0] != "a" {
		t.Errorf("%+v, %v: the record is %+v", x, err, r)
	}
	r.Type = "half"
	for range 3 {
		g.Score(t.Context(), r, "")
	}
	if s := g.Stats()["half"]; s.Mean != 0.5 || s.Scored != 3 || s.Std != 0 {
		t.Errorf("%+v", s)
	}
	r.Type = "halve"
	if _, err := g.Score(t.Context(), r, ""); !errors.Is(err, ErrType) || !strings.Contains(err.Error(), `"halve"`) || !strings.Contains(err.Error(), "digit") {
		t.Error(err)
	}
	r.Type = Math
	if _, err := g.Score(t.Context(), r, "<answer>1</answer>"); !errors.Is(err, ErrNoMath) {
		t.Error(err)
	}
}

func TestMath(t *testing.T) {
	g, err := New(Config{Math: func(gold, answer string) (bool, string, error) {
		if gold == "?" {
			return false, "", errors.New("no number")
		}
		return strings.TrimSuffix(answer, ".0") == gold, "compared", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		gold, response string
		score          float64
		masked         bool
	}{
		{"1", "<answer>1.0</answer>", 1, false}, {"1", "<answer>2</answer>", 0, false}, {"?", "<answer>2</answer>", 0, true}, {"?", "2", 0, false},
	} {
		if x, err := g.Score(t.Context(), &Record{Type: Math, Gold: tt.gold}, tt.response); err != nil || x.Score != tt.score || x.Masked != tt.masked || x.Reason == "" {
			t.Errorf("%+v: %+v, %v", tt, x, err)
		}
	}
	// Choices that are answered by their value.
	r := &Record{Type: MCQ, Gold: "B", Options: []string{"1", "2", "3", "3.0"}}
	for answer, want := range map[string]float64{"2.0": 1, "1.0": 0, "the answer is 2.0": 1, "3.0.0": 0, "not 2.0": 0, "2.0 or 4": 0, `\boxed{2.0}`: 1, "2.0.0": 0} {
		if x, err := g.Score(t.Context(), r, "<answer>"+answer+"</answer>"); err != nil || x.Score != want {
			t.Errorf("%s: %+v, %v", answer, x, err)
		}
	}
}

func TestSum(t *testing.T) {
	one := Func(func(context.Context, *Record, string) Result { return found("a", Result{Score: 1, Reason: "one"}) })
	mask := Func(func(context.Context, *Record, string) Result { return Mask("down") })
	v, err := Sum(Term{"accuracy", 0.9, one}, Term{"format", 0.1, Func(Format)})
	if err != nil {
		t.Fatal(err)
	}
	for response, want := range map[string]float64{
		"<think>x</think>\n<answer>1</answer>": 1, "<answer>1</answer>": 0.9, "": 0.9, "<think>x</think><answer>1</answer> and": 0.9,
		"a<think>x</think><answer>1</answer>": 0.9, "<think>x<think>y</think><answer>1</answer>": 0.9, "<think>x</think>then<answer>1</answer>": 0.9,
	} {
		x := v.Verify(t.Context(), &Record{}, response)
		if math.Abs(x.Score-want) > 1e-12 || x.Answer != "a" || !strings.Contains(x.Reason, "0.9 x accuracy 1 (one) + 0.1 x format") {
			t.Errorf("%q: %+v, want %v", response, x, want)
		}
	}
	v, _ = Sum(Term{"a", 0.5, one}, Term{"b", 0.5, mask})
	if x := v.Verify(t.Context(), &Record{}, ""); !x.Masked || x.Score != 0 || x.Reason != "b: down" {
		t.Errorf("%+v", x)
	}
	for _, terms := range [][]Term{{}, {{"a", 0, one}}, {{"a", -1, one}}, {{"a", math.NaN(), one}}, {{"a", 1, nil}}, {{"a", 0.6, one}, {"b", 0.6, one}}} {
		if _, err := Sum(terms...); err == nil {
			t.Errorf("%v is accepted", terms)
		}
	}
}

func TestTry(t *testing.T) {
	g, err := New(Config{Math: func(gold, answer string) (bool, string, error) { return true, "always", nil }})
	if err != nil {
		t.Fatal(err)
	}
	var records []*Record
	for _, r := range []Record{
		{Type: Digit, Gold: "3"}, {Type: Digit, Gold: "4"}, {Type: Digit, Gold: "x"}, {Type: MCQ, Gold: "A"}, {Type: MCQ, Gold: "(a)"}, {Type: MCQ, Gold: "B"},
		{Type: IoU, Gold: "[10, 10, 50, 50]", ImageSize: [2]int{100, 100}, ResizedSize: [2]int{28, 28}}, {Type: IoU, Gold: "[50, 50, 90, 90]"},
		{Type: IoU, Gold: "[5, 5, 1, 1]"}, {Type: OpenEnded, Gold: "text"}, {Type: OpenEnded, Gold: " "}, {Type: Math, Gold: "1"}, {Type: Math, Gold: "2"},
	} {
		records = append(records, &r)
	}
	run, err := g.Try(t.Context(), records, Places()[0].Wrap)
	if err != nil {
		t.Fatal(err)
	}
	want := "[{digit 3 2 2 2 2 2} {iou 3 2 2 2 2 2} {math 2 2 2 2 2 0} {mcq 3 3 3 3 3 3} {open_ended 2 1 0 0 0 0}]"
	if got := fmt.Sprint(run.Types); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	var never, loose []int
	for _, c := range run.Never {
		never = append(never, c.Record)
	}
	for _, c := range run.Loose {
		loose = append(loose, c.Record)
	}
	if fmt.Sprint(never, loose) != "[2 8 10] [11 12]" {
		t.Errorf("never %v, loose %v", never, loose)
	}
	if _, err := g.Try(t.Context(), []*Record{{Type: "x"}}, nil); !errors.Is(err, ErrType) {
		t.Error(err)
	}
}

// TestVLAA tries the real records, with the types that their sources have in the paper.
func TestVLAA(t *testing.T) {
	types := []string{Digit, MCQ, "", MCQ, ""}
	for i, r := range readLines[struct {
		ID, Question string
		GT           any
	}](t, testdata(t, "vlaa", "records.jsonl")) {
		if types[i] == "" {
			continue
		}
		record := &Record{Type: types[i], Question: r.Question, Gold: fmt.Sprint(r.GT)}
		if x := score(t, record, fmt.Sprint(r.GT)); x.Score != 1 {
			t.Errorf("%s: %+v", r.ID, x)
		}
		if types[i] != MCQ {
			continue
		}
		for j, o := range questionOptions(r.Question) {
			want := 0.0
			if string(rune('A'+j)) == r.GT {
				want = 1
			}
			for _, a := range []string{o, string(rune('A' + j)), fmt.Sprintf("%c) %s", 'A'+j, o), fmt.Sprintf("The answer is (%c) %s", 'A'+j, o)} {
				if x := score(t, record, a); x.Score != want || x.Masked {
					t.Errorf("%s, %q: %+v, want %v", r.ID, a, x, want)
				}
			}
		}
	}
}

func ExampleRegistry() {
	rewards, err := New(Config{})
	if err != nil {
		panic(err)
	}
	record := &Record{Type: MCQ, Gold: "B", Options: []string{"red", "blue"}}
	for _, answer := range []string{"(B)", "Blue", "A or B"} {
		x, err := rewards.Score(context.Background(), record, "<think>...</think><answer>"+answer+"</answer>")
		if err != nil {
			panic(err)
		}
		fmt.Println(x.Score, x.Answer, "-", x.Reason)
	}
	// Output:
	// 1 (B) - option B by its letter
	// 1 Blue - option B by its text
	// 0 A or B - ambiguous: the letters A and B
}
