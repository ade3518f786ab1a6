package dataset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/data/prompt"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/reward"
	"github.com/thinker-vl/thinker/grpo/reward/mixed"
)

// open opens the golden checkpoint tiny.
func open(t testing.TB) *engine.Engine {
	t.Helper()
	root := os.Getenv("THINKER_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	model := filepath.Join(root, "golden", "tiny")
	if _, err := os.Stat(model); err != nil {
		t.Skipf("no test data at %s: set THINKER_TESTDATA to its folder", model)
	}
	e, err := engine.Open(context.Background(), model, engine.Options{DType: engine.F32, MaxBatch: 4, PrefillChunk: 64, CacheBytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// writePNG makes a picture.
func writePNG(t testing.TB, path string, w, h int) {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, color.RGBA{uint8(x * 5), uint8(y * 7), uint8(x ^ y), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}

// set writes records beside pictures and opens them.
func openSet(t testing.TB, o data.Options, dir string, lines ...string) *data.Set {
	t.Helper()
	path := filepath.Join(dir, "records.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	s, _, err := data.Open(context.Background(), o, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestPrompts(t *testing.T) {
	e := open(t)
	dir := t.TempDir()
	writePNG(t, filepath.Join(dir, "a.png"), 90, 60)
	writePNG(t, filepath.Join(dir, "b.png"), 40, 200)
	s := openSet(t, data.Options{Want: data.WantGold}, dir,
		`{"id": "q1", "image": "a.png", "question": "How many? <|image_pad|>", "gt": 3, "verifier_type": "digit"}`,
		`{"id": "q2", "image": "b.png", "question": "Which?", "options": ["red", "blue"], "gt": "B", "verifier_type": "mcq", "image_size": [400, 80], "resized_size": [1, 2]}`,
		`{"question": "2 + 2?", "gt": "4", "verifier_type": "math", "level": 7}`)
	p, err := NewPrompts(context.Background(), e, s, Options{Room: 16})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Types(); p.Len() != 3 || !slices.Equal(got, []string{"digit", "math", "mcq"}) {
		t.Errorf("%d prompts of %q", p.Len(), got)
	}
	r := p.Report()
	if r.Records != 3 || r.Kept != 3 || r.Pictures != 2 || len(r.Skipped) != 0 || r.MeanPrompt < 100 {
		t.Errorf("%+v", r)
	}
	longest := 0
	for i, want := range []struct {
		id, kind, gold, text string
		orig                 [2]int
	}{
		{"q1", "digit", "3", "How many? <|image_pad|>", [2]int{60, 90}},
		{"q2", "mcq", "B", "Which?\nChoices:\nA: red\nB: blue", [2]int{400, 80}},
		{"records.jsonl:3", "math", "4", "2 + 2?", [2]int{}},
	} {
		x, err := p.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, len(x.Prompt.IDs))
		rec := x.Record.(*reward.Record)
		if x.ID != want.id || x.Kind != want.kind || x.Gold != want.gold || rec.Type != want.kind || rec.Gold != want.gold || rec.ImageSize != want.orig {
			t.Errorf("example %d: %+v, %+v", i, x, rec)
		}
		text := e.Tokenizer().Decode(x.Prompt.IDs, true)
		if !strings.Contains(text, prompt.System) || !strings.Contains(text, want.text) {
			t.Errorf("example %d: %q", i, text)
		}
		if i == 2 {
			if rec.Extra["level"] == nil || len(x.Prompt.Images) != 0 {
				t.Errorf("example 2: %+v", rec)
			}
			continue
		}
		im := x.Prompt.Images[0]
		if rec.ResizedSize != [2]int{im.ResizedH, im.ResizedW} || len(im.Pixels) == 0 || rec.Images[0] != im.Path || len(x.Prompt.Spans) != 1 {
			t.Errorf("example %d: %+v of %+v", i, rec, im)
		}
		again, err := p.Example(i)
		if err != nil || !slices.Equal(again.Prompt.IDs, x.Prompt.IDs) || again.Prompt.Images[0] == im {
			t.Errorf("example %d a second time: %v; the same picture %v", i, err, again.Prompt.Images[0] == im)
		}
	}
	if r.LongestPrompt != longest {
		t.Errorf("the longest prompt has %d tokens, the report says %d", longest, r.LongestPrompt)
	}
}

// The question of a record with pictures within its text is all of the text, and of one with turns the last.
func TestQuestion(t *testing.T) {
	e := open(t)
	dir := t.TempDir()
	writePNG(t, filepath.Join(dir, "a.png"), 60, 60)
	s := openSet(t, data.Options{Want: data.WantGold, Type: "math"}, dir,
		`{"question": "Is <image> like this?", "image": "a.png", "gt": 1}`,
		`{"messages": [{"role": "user", "content": "No."}, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "What is 2 + 2?"}], "gt": 4}`)
	p, err := NewPrompts(context.Background(), e, s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"Is \n like this?", "What is 2 + 2?"} {
		x, err := p.Example(i)
		if err != nil {
			t.Fatal(err)
		}
		if r := x.Record.(*reward.Record); x.Question != want || r.Question != want {
			t.Errorf("%q, %q, want %q", x.Question, r.Question, want)
		}
	}
}

// TestChecks has records that cannot be used: named with file and line, or left out and counted.
func TestChecks(t *testing.T) {
	e := open(t)
	dir := t.TempDir()
	writePNG(t, filepath.Join(dir, "a.png"), 60, 60)
	whole, err := os.ReadFile(filepath.Join(dir, "a.png"))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"cut.png": whole[:len(whole)-40], "text.png": []byte("no picture"), "thin.png": nil} {
		if name == "thin.png" {
			writePNG(t, filepath.Join(dir, name), 1, 900)
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	line := func(image, question string) string {
		q, _ := json.Marshal(question)
		return fmt.Sprintf(`{"image": %q, "question": %s, "gt": 1, "verifier_type": "digit", "response": "<think>a</think> <answer>1</answer>"}`, image, q)
	}
	good := line("a.png", "How many?")
	long := strings.Repeat("many words ", 3000)
	for _, tt := range []struct {
		name, line string
		o          Options
		want       []string
	}{
		{"text as picture", line("text.png", "?"), Options{}, []string{"records.jsonl:2", "text.png"}},
		{"a picture that is too thin", line("thin.png", "?"), Options{}, []string{"records.jsonl:2", "thin.png", "crop"}},
		{"half a picture, looked at", line("cut.png", "?"), Options{Check: CheckPictures}, []string{"records.jsonl:2", "cut.png"}},
		{"a long prompt", line("a.png", long), Options{}, []string{"records.jsonl:2", "context", "4096"}},
		{"no room", good, Options{Room: 4090}, []string{"records.jsonl:1", "4090 for the completion", "4096"}},
		{"a prompt over max_prompt_length", good, Options{MaxPrompt: 10}, []string{"records.jsonl:1", "max_prompt_length 10"}},
	} {
		for _, demonstrations := range []bool{false, true} {
			if demonstrations && tt.o.Room > 0 {
				continue
			}
			s := openSet(t, data.Options{}, dir, good, tt.line, good)
			check := func(o Options) (Report, error) {
				if demonstrations {
					d, err := NewDemonstrations(context.Background(), e, s, o)
					if err != nil {
						return Report{}, err
					}
					return d.Report(), nil
				}
				p, err := NewPrompts(context.Background(), e, s, o)
				if err != nil {
					return Report{}, err
				}
				return p.Report(), nil
			}
			_, err := check(tt.o)
			if _, ok := errors.AsType[*data.Problem](err); !ok {
				t.Errorf("%s: %v is no data.Problem", tt.name, err)
				continue
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%s: %v, want %q", tt.name, err, w)
				}
			}
			skip := tt.o
			skip.Skip = true
			r, err := check(skip)
			if tt.want[0] == "records.jsonl:1" { // all of them
				if err == nil || !strings.Contains(err.Error(), "none of 3 records") {
					t.Errorf("%s: %v", tt.name, err)
				}
			} else if err != nil || r.Kept != 2 || len(r.Skipped) != 1 || r.Skipped[0].Line != 2 || r.Reasons[r.Skipped[0].Reason] != 1 {
				t.Errorf("%s: %+v, %v", tt.name, r, err)
			}
		}
	}

	// A gold answer that can never be rewarded.
	m, err := mixed.Open(mixed.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	golds := openSet(t, data.Options{Want: data.WantGold}, dir, good, `{"question": "?", "gt": "three", "verifier_type": "digit"}`, `{"question": "?", "gt": "[3, 1]", "verifier_type": "iou"}`)
	if _, err := NewPrompts(context.Background(), e, golds, Options{Gold: m.Registry}); err == nil || !strings.Contains(err.Error(), "gt: the gold") || !strings.Contains(err.Error(), "three") {
		t.Errorf("a gold answer that cannot be read: %v", err)
	}
	if p, err := NewPrompts(context.Background(), e, golds, Options{Gold: m.Registry, Skip: true}); err != nil || p.Len() != 1 || p.Report().Reasons[badGold] != 2 {
		t.Errorf("gold answers that cannot be read: %v", err)
	}

	// A picture that breaks only when it is decoded: an error, or the next record in its place.
	s := openSet(t, data.Options{}, dir, good, line("cut.png", "?"), line("a.png", "The third?"))
	p, err := NewPrompts(context.Background(), e, s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Example(1); err == nil || !strings.Contains(err.Error(), "records.jsonl:2") || !strings.Contains(err.Error(), "cut.png") {
		t.Errorf("%v, want the line and the picture", err)
	}
	var log bytes.Buffer
	p, err = NewPrompts(context.Background(), e, s, Options{Skip: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		x, err := p.Example(1)
		if err != nil || x.Question != "The third?" {
			t.Errorf("%+v, %v", x, err)
		}
	}
	if strings.Count(log.String(), "cut.png") != 1 {
		t.Errorf("the log: %s", log.String())
	}

	// Nothing is looked at before it is needed.
	p, err = NewPrompts(context.Background(), e, s, Options{Check: CheckNothing})
	if err != nil || p.Len() != 3 || len(p.Types()) != 0 {
		t.Errorf("%d prompts, %v", p.Len(), err)
	}
	for _, c := range []Check{CheckHeaders, CheckPictures, CheckNothing} {
		if again, err := ParseCheck(c.String()); err != nil || again != c {
			t.Errorf("%v: %v, %v", c, again, err)
		}
	}
	if _, err := ParseCheck("heder"); err == nil {
		t.Error("ParseCheck takes heder")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := NewPrompts(ctx, e, s, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestDemonstrations(t *testing.T) {
	e := open(t)
	dir := t.TempDir()
	writePNG(t, filepath.Join(dir, "a.png"), 60, 60)
	s := openSet(t, data.Options{Want: data.WantResponse}, dir,
		`{"id": "d1", "image": "a.png", "question": "How many?", "answer": " <think>I see <|im_end|> one.</think> <answer>1</answer>\n"}`)
	d, err := NewDemonstrations(context.Background(), e, s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	x, err := d.Demonstration(0)
	if err != nil {
		t.Fatal(err)
	}
	stop, _ := e.Tokenizer().ID("<|im_end|>")
	n := len(x.IDs) - 1
	if x.ID != "d1" || len(x.Prompt.Images) != 1 || x.IDs[n] != stop || slices.Contains(x.IDs[:n], stop) {
		t.Errorf("%+v", x)
	}
	if got := e.Tokenizer().Decode(x.IDs[:n], false); got != "<think>I see <|im_end|> one.</think> <answer>1</answer>" {
		t.Errorf("%q", got)
	}
	if _, err := NewDemonstrations(context.Background(), e, Records{{Question: "?", File: "f.jsonl", Line: 9}}, Options{}); err == nil || !strings.Contains(err.Error(), "f.jsonl:9") {
		t.Errorf("no response: %v", err)
	}
}

func TestRewards(t *testing.T) {
	m, err := mixed.Open(mixed.Config{Go: map[string]reward.Verifier{"bad": reward.Func(func(context.Context, *reward.Record, string) reward.Result { panic("oh") })}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	rewards := Rewards(m.Registry, []string{"digit", "iou", "bad"}, map[string]float64{"iou": 0.5})
	samples := []*engine.Sample{{Text: "<answer>3</answer>"}, {Text: "<answer>4</answer>"}, {Text: "3"}}
	example := func(kind, gold string) *grpo.Example {
		return &grpo.Example{ID: "q", Kind: kind, Record: &reward.Record{Type: kind, Gold: gold}}
	}
	scores := func(r grpo.Reward, x *grpo.Example) (all []string) {
		v, err := r.Judge(context.Background(), x, samples)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range v {
			all = append(all, fmt.Sprint(v.Score, v.Found, v.Reason != ""))
		}
		return all
	}
	if rewards[0].Name != "digit" || rewards[0].Weight != 1 || rewards[1].Weight != 0.5 {
		t.Errorf("%+v", rewards)
	}
	if got, want := scores(rewards[0], example("digit", "3")), []string{"1 true true", "0 true true", "0 false true"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := scores(rewards[1], example("digit", "3")), []string{"NaN false false", "NaN false false", "NaN false false"}; !reflect.DeepEqual(got, want) {
		t.Errorf("of another type: %q, want %q", got, want)
	}
	if _, err := rewards[2].Judge(context.Background(), example("bad", "3"), samples); err == nil || !strings.Contains(err.Error(), "panicked: oh") {
		t.Errorf("a verifier that panics: %v", err)
	}
	if _, err := rewards[0].Judge(context.Background(), example("digit", "three"), samples[:2]); err == nil || !strings.Contains(err.Error(), "three") {
		t.Errorf("a gold answer that cannot be read: %v", err)
	}
	if _, err := rewards[0].Judge(context.Background(), &grpo.Example{Kind: "digit"}, samples); err == nil {
		t.Error("an example without a record is taken")
	}
	format, err := Plain("format", 0.1, reward.Func(reward.Format))
	if err != nil {
		t.Fatal(err)
	}
	v, err := format.Judge(context.Background(), example("digit", "3"), []*engine.Sample{{Text: prompt.Response("so", "3")}, {Text: "3"}})
	if err != nil || v[0].Score != 1 || v[1].Score != 0 || format.Weight != 0.1 || math.IsNaN(v[1].Score) {
		t.Errorf("%+v, %v", v, err)
	}
}
