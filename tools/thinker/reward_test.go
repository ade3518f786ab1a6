package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A rewardLine is a line of the output.
type rewardLine struct {
	Reward    *float64 `json:"reward"`
	Extracted *string  `json:"extracted"`
	Why       string   `json:"why"`
}

func TestReward(t *testing.T) {
	const null = -1
	tests := []struct {
		line      string
		reward    float64
		extracted string // "\x00": null
		why       string
	}{
		{`{"verifier_type": "digit", "gt": 3, "response": "<think>x</think><answer> 3. </answer>"}`, 1, "3.", "integer 3"},
		{`{"verifier_type": "digit", "gt": "3", "response": "<answer>4</answer>", "id": 7, "note": {"a": [1]}}`, 0, "4", "4 is not 3"},
		{`{"verifier_type": "digit", "gt": 3.0, "response": "<answer>3</answer>", "question": null}`, 1, "3", ""},
		{`{"verifier_type": "digit", "gt": 3, "response": "3"}`, 0, "\x00", "no <answer> block"},
		{`{"verifier_type": "digit", "gt": 3, "response": ""}`, 0, "\x00", "no <answer> block"},
		{`{"verifier_type": "digit", "gt": 3, "response": "<answer>3</answer><answer>3</answer>"}`, 0, "\x00", "several"},
		{`{"verifier_type": "digit", "gt": "three", "response": "<answer>3</answer>"}`, null, "3", "gold"},
		{`{"verifier_type": "mcq", "gt": "B", "options": ["red", "blue"], "response": "<answer>blue</answer>"}`, 1, "blue", "option B by its text"},
		{`{"verifier_type": "mcq", "gt": "B", "options": {"A": "red", "B": "blue"}, "response": "<answer>B</answer>"}`, 1, "B", ""},
		{`{"verifier_type": "mcq", "gt": 2, "options": [1, 2, 3], "response": "<answer>B</answer>"}`, 1, "B", ""},
		{`{"verifier_type": "mcq", "gt": "B", "question": "Which?\nA) red\nB) blue", "response": "<answer>Blue.</answer>"}`, 1, "Blue.", ""},
		{`{"verifier_type": "mcq", "gt": "B", "response": "<answer>A or B</answer>"}`, 0, "A or B", "ambiguous"},
		{`{"verifier_type": "mcq", "gt": "green", "options": ["red", "blue"], "response": "<answer>A</answer>"}`, null, "A", "gold"},
		{`{"verifier_type": "iou", "gt": "[0, 0, 0.5, 1]", "response": "<answer>[0, 0, 1, 1]</answer>"}`, 0.5, "[0, 0, 1, 1]", "IoU"},
		{`{"verifier_type": "iou", "gt": "[0.25,0.25,0.75,0.75]", "image_size": [200, 400], "resized_size": [100, 1000], "response": "<answer>[250, 25, 750, 75]</answer>"}`, 1, "[250, 25, 750, 75]", ""},
		{`{"verifier_type": "iou", "gt": "none", "response": "<answer>[0, 0, 1, 1]</answer>"}`, null, "[0, 0, 1, 1]", "gold"},
		{`{"verifier_type": "open_ended", "gt": "a dog", "response": "<answer>a cat</answer>"}`, null, "a cat", "no judge"},
		{`{"verifier_type": "open_ended", "gt": "a dog", "response": "a cat"}`, 0, "\x00", "no <answer> block"},
		{"{\"verifier_type\": \"digit\", \"gt\": 3, \"response\": \"<answer>3\xff</answer>\"}", 0, "3\uFFFD", "integer"},
		{`{"verifier_type": "digit", "gt": 3, "response": "<answer>\u0000</answer>"}`, 0, "\x00?", ""},
		{`{"verifier_type": "digit", "gt": 3, "response": "<answer>\ud800</answer>"}`, 0, "\uFFFD", ""},
	}
	var in strings.Builder
	for _, tt := range tests {
		in.WriteString(tt.line + "\n\n")
	}
	check := func(name, out string) {
		t.Helper()
		got := lines[rewardLine](t, out)
		if len(got) != len(tests) {
			t.Fatalf("%s: %d lines, want %d", name, len(got), len(tests))
		}
		for i, tt := range tests {
			g := got[i]
			if (g.Reward == nil) != (tt.reward == null) || g.Reward != nil && *g.Reward != tt.reward || !strings.Contains(g.Why, tt.why) || g.Why == "" {
				t.Errorf("%s: %s: %v %q, want %v for %q", name, tt.line, g.Reward, g.Why, tt.reward, tt.why)
			}
			if strings.HasPrefix(tt.extracted, "\x00?") {
				continue
			}
			if (g.Extracted == nil) != (tt.extracted == "\x00") || g.Extracted != nil && *g.Extracted != tt.extracted {
				t.Errorf("%s: %s: extracted %v, want %q", name, tt.line, g.Extracted, tt.extracted)
			}
		}
	}
	dir := t.TempDir()
	file, out := writeFile(t, filepath.Join(dir, "in.jsonl"), in.String()), filepath.Join(dir, "out.jsonl")
	o := thinker(t, "", "reward", "--in", file, "--out", out)
	if o.code != 0 || o.stdout != "" || !strings.Contains(o.stderr, "21 responses, 4 masked: digit 10") || !strings.Contains(o.stderr, "open_ended is masked without") {
		t.Errorf("%+v", o)
	}
	check("file", readFile(t, out))
	check("stream", mustRun(t, in.String(), "reward", "--quiet"))
	if got := mustRun(t, tests[0].line, "reward", "-q"); got != `{"reward": 1, "extracted": "3.", "why": "the integer 3"}`+"\n" {
		t.Errorf("%s", got)
	}
	if got := entries(t, dir); got != "in.jsonl out.jsonl" {
		t.Errorf("left behind: %s", got)
	}

	// For people: text on standard output, and the lines where --out is a file.
	o = thinker(t, "", "reward", "--in", file, "--out", out, "--explain", "--quiet")
	check("explain", readFile(t, out))
	for _, want := range []string{"line 3, 7: digit 0.0000\n  gold    3\n  answer  4\n  why     4 is not 3\n", "line 13: digit masked", "answer  none", `\x00`} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("the explanation lacks %q: %s", want, o.stdout)
		}
	}
	if got := mustRun(t, tests[0].line, "reward", "--explain", "-q"); strings.Contains(got, "{") || !strings.Contains(got, "line 1: digit 1.0000") {
		t.Errorf("%s", got)
	}
	// Other places of the answer.
	for place, response := range map[string]string{"boxed": `so \\boxed{3}`, "last-number": "it is 3", "math-verify": "The answer is 3.", "whole": "3"} {
		if got := mustRun(t, `{"verifier_type": "digit", "gt": 3, "response": "`+response+`"}`, "reward", "-q", "--extract", place); !strings.HasPrefix(got, `{"reward": 1,`) {
			t.Errorf("%s: %s", place, got)
		}
	}
}

func TestRewardBadLines(t *testing.T) {
	const good = `{"verifier_type": "digit", "gt": 3, "response": "<answer>3</answer>"}`
	dir := t.TempDir()
	file, out := filepath.Join(dir, "in.jsonl"), writeFile(t, filepath.Join(dir, "out.jsonl"), "old")
	for name, tt := range map[string]struct{ line, want string }{
		"unknown type":         {`{"verifier_type": "maths", "gt": 3, "response": "x"}`, `unknown verifier_type "maths": want digit, iou, math, mcq, open_ended`},
		"no type":              {`{"gt": 3, "response": "x"}`, "no verifier_type"},
		"type of another type": {`{"verifier_type": 3, "gt": 3, "response": "x"}`, "verifier_type is 3"},
		"no gt":                {`{"verifier_type": "digit", "response": "x"}`, "no gt"},
		"null gt":              {`{"verifier_type": "digit", "gt": null, "response": "x"}`, "no gt"},
		"gt that is a list":    {`{"verifier_type": "iou", "gt": [0, 0, 1, 1], "response": "x"}`, "gt is [0, 0, 1, 1], want a string or a number"},
		"gt that is true":      {`{"verifier_type": "digit", "gt": true, "response": "x"}`, "gt is true"},
		"no response":          {`{"verifier_type": "digit", "gt": 3}`, "response"},
		"response that is 3":   {`{"verifier_type": "digit", "gt": 3, "response": 3}`, "response is 3, want a string"},
		"options":              {`{"verifier_type": "mcq", "gt": "A", "options": "A", "response": "x"}`, "options"},
		"an option":            {`{"verifier_type": "mcq", "gt": "A", "options": [[]], "response": "x"}`, "options[0]"},
		"options with a gap":   {`{"verifier_type": "mcq", "gt": "A", "options": {"A": "x", "C": "y"}, "response": "x"}`, "options"},
		"a size":               {`{"verifier_type": "iou", "gt": "[0,0,1,1]", "image_size": [0, 5], "response": "x"}`, "image_size is [0, 5]"},
		"a size of three":      {`{"verifier_type": "iou", "gt": "[0,0,1,1]", "resized_size": [3, 5, 3], "response": "x"}`, "resized_size"},
		"a question":           {`{"verifier_type": "digit", "gt": 3, "question": 5, "response": "x"}`, "question is 5"},
		"not JSON":             {`{"verifier_type": "digit"`, "not JSON"},
		"a key twice":          {`{"verifier_type": "digit", "gt": 3, "gt": 4, "response": "x"}`, `"gt" occurs twice`},
		"gt not UTF-8":         {"{\"verifier_type\": \"digit\", \"gt\": \"\xff\", \"response\": \"x\"}", "UTF-8"},
		"a key not UTF-8":      {"{\"verifier_type\": \"digit\", \"gt\": 3, \"response\": \"x\", \"a\xff\": 1}", "UTF-8"},
	} {
		writeFile(t, file, good+"\n"+tt.line+"\n"+good)
		o := thinker(t, "", "reward", "--in", file, "--out", out)
		if o.code != 1 || !strings.Contains(o.stderr, file+":2: ") || !strings.Contains(o.stderr, tt.want) {
			t.Errorf("%s: %+v, want %s", name, o, tt.want)
		}
		if readFile(t, out) != "old" || entries(t, dir) != "in.jsonl out.jsonl" {
			t.Errorf("%s: the old output is not as it was", name)
		}
	}
	// Of a stream the lines before are answered.
	if o := thinker(t, good+"\n{}", "reward"); o.code != 1 || !strings.HasPrefix(o.stdout, `{"reward": 1,`) || !strings.Contains(o.stderr, "standard input:2: ") {
		t.Errorf("%+v", o)
	}
	for _, args := range [][]string{
		{"--extract", "nowhere"}, {"--judge", "http://x"}, {"--judge", "x", "--judge-model", "m"}, {"--judge", "http://x", "--judge-model", "m", "--reward-model", "http://y"},
		{"--reward-model", "http://x", "--beta", "-1"}, {"--exec", "x"}, {"--http", "x=ftp://y"}, {"--key-env", "THINKER_TEST_NO_SUCH_KEY"}, {"--concurrency", "0"}, {"--rate", "-1", "--reward-model", "http://x"}, {"more"},
	} {
		if o := thinker(t, good, append([]string{"reward"}, args...)...); o.code != 2 || o.stdout != "" {
			t.Errorf("%v: %+v", args, o)
		}
	}
	if o := thinker(t, good, "reward", "--exec", "x=/no/such/program"); o.code != 1 {
		t.Errorf("%+v", o)
	}
}

func TestRewardJudge(t *testing.T) {
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		calls.Add(1)
		switch text := string(b); {
		case strings.Contains(text, "a broken answer"):
			io.WriteString(w, "<html>")
		case strings.Contains(text, "late"):
			time.Sleep(50 * time.Millisecond)
			fallthrough
		default:
			if strings.Contains(text, "a snapshot") != strings.Contains(text, "data:image/png;base64,") {
				t.Errorf("%.300s", text)
			}
			io.WriteString(w, `{"choices": [{"index": 0, "message": {"content": "{\"score\": 8, \"reason\": \"fine\"}"}}], "usage": {"total_tokens": 10}}`)
		}
	}))
	defer s.Close()
	dir := t.TempDir()
	line := func(answer, more string) string {
		return fmt.Sprintf(`{"verifier_type": "open_ended", "question": "What?", "gt": "a dog", "response": "<answer>%s</answer>"%s}`+"\n", answer, more)
	}
	writeFile(t, filepath.Join(dir, "dog.png"), "\x89PNG\r\n\x1a\nrest")
	in := writeFile(t, filepath.Join(dir, "in.jsonl"), line("late", "")+line("a wolf", "")+line("a wolf", "")+line("a broken answer", "")+line("a snapshot", `, "image": "dog.png"`)+line("missing", `, "image": "cat.png"`)+
		`{"verifier_type": "digit", "gt": 3, "response": "<answer>3</answer>"}`)
	o := thinker(t, "", "reward", "--in", in, "--judge", s.URL, "--judge-model", "m", "--attempts", "1")
	if o.code != 0 {
		t.Fatalf("%+v", o)
	}
	want := []float64{0.8, 0.8, 0.8, -1, 0.8, -1, 1}
	for i, g := range lines[rewardLine](t, o.stdout) {
		if (g.Reward == nil) != (want[i] < 0) || g.Reward != nil && *g.Reward != want[i] {
			t.Errorf("line %d: %v %s, want %v", i, g.Reward, g.Why, want[i])
		}
	}
	if calls.Load() != 4 || !strings.Contains(o.stderr, "judge: 6 scores, 1 cached, 2 failed; 4 calls") || !strings.Contains(o.stderr, "reply 1") {
		t.Errorf("%d calls: %s", calls.Load(), o.stderr)
	}
	// The released records' pictures begin with a slash, and lie under one folder.
	writeFile(t, in, line("a snapshot", `, "image": "/dog.png"`))
	if o := thinker(t, "", "reward", "--in", in, "--judge", s.URL, "--judge-model", "m", "--images", dir); o.code != 0 || !strings.HasPrefix(o.stdout, `{"reward": 0.8,`) {
		t.Errorf("%+v", o)
	}
	writeFile(t, in, line("a snapshot", `, "image": "../dog.png"`))
	if o := thinker(t, "", "reward", "--in", in, "--judge", s.URL, "--judge-model", "m", "--images", dir); o.code != 1 || !strings.Contains(o.stderr, "outside") {
		t.Errorf("%+v", o)
	}
}

func TestRewardModelAndService(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q map[string]any
		json.NewDecoder(r.Body).Decode(&q)
		if r.URL.Path == "/custom" {
			fmt.Fprintf(w, `{"id": %q, "reward": %v, "why": "custom"}`, q["id"], q["weight"])
			return
		}
		score := 1.0
		if q["answer"] == "better" {
			score = 6
		}
		fmt.Fprintf(w, `{"id": %q, "score": %v}`, q["id"], score)
	}))
	defer s.Close()
	in := `{"verifier_type": "open_ended", "gt": "a dog", "response": "<answer>better</answer>"}
{"verifier_type": "open_ended", "gt": "a dog", "response": "<answer>worse</answer>"}
{"verifier_type": "mine", "gt": "a dog", "response": "x", "weight": 0.125}`
	got := lines[rewardLine](t, mustRun(t, in, "reward", "-q", "--reward-model", s.URL, "--http", "mine="+s.URL+"/custom"))
	if len(got) != 3 || *got[0].Reward < 0.6321 || *got[0].Reward > 0.6322 || *got[1].Reward != 0 || *got[2].Reward != 0.125 || got[2].Extracted != nil {
		t.Errorf("%+v", got)
	}
}

func TestRewardInterrupt(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer s.Close()
	dir := t.TempDir()
	in := writeFile(t, filepath.Join(dir, "in.jsonl"), strings.Repeat(`{"verifier_type": "open_ended", "gt": "a", "response": "<answer>b</answer>"}`+"\n", 100))
	out := writeFile(t, filepath.Join(dir, "out.jsonl"), "old")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if code := run(ctx, []string{"reward", "--in", in, "--out", out, "--judge", s.URL, "--judge-model", "m"}, strings.NewReader(""), io.Discard, io.Discard); code != exitInterrupted {
		t.Errorf("exit status %d", code)
	}
	if d := time.Since(begin); d > 5*time.Second || readFile(t, out) != "old" || entries(t, dir) != "in.jsonl out.jsonl" {
		t.Errorf("after %v: %s", d, entries(t, dir))
	}
}

func TestRewardDryRun(t *testing.T) {
	dir := t.TempDir()
	data := writeFile(t, filepath.Join(dir, "data.jsonl"), `{"verifier_type": "digit", "gt": 3, "id": "a"}
{"verifier_type": "digit", "gt": 4}

{"verifier_type": "digit", "gt": "four", "id": "b\u001b[31m"}
{"verifier_type": "mcq", "gt": "B", "question": "Which?\nA: red\nB: blue"}
{"verifier_type": "mcq", "gt": "A) red", "question": "Which?\nA: red\nB: blue"}
{"verifier_type": "iou", "gt": "[0,0,0,0]"}
{"verifier_type": "open_ended", "gt": "text"}
`)
	got := mustRun(t, "", "reward", "dry-run", "--data", data)
	for _, want := range []string{"7 of 7 records", "digit               3         66.7 %        100.0 %        100.0 %", "mcq                 2        100.0 %        100.0 %        100.0 %",
		"open_ended          1        100.0 %              -              -", "2 records can never be rewarded", `line 4 (b\x1b[31m), digit: the gold "four"`, "line 7, iou"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	var v struct {
		Records int
		Types   []map[string]any
		Never   []struct {
			Line int
			ID   string
		}
		Loose []any
	}
	if err := json.Unmarshal([]byte(mustRun(t, "", "reward", "dry-run", "--data", data, "--json")), &v); err != nil {
		t.Fatal(err)
	}
	if v.Records != 7 || len(v.Types) != 4 || len(v.Never) != 2 || v.Never[0].Line != 4 || v.Loose == nil || v.Types[0]["parsed"] != 2.0 {
		t.Errorf("%+v", v)
	}
	a, b := mustRun(t, "", "reward", "dry-run", "--data", data, "--n", "3"), mustRun(t, "", "reward", "dry-run", "--data", data, "--n", "3")
	if a != b || !strings.Contains(a, "3 of 7 records") {
		t.Errorf("%s\n%s", a, b)
	}
	writeFile(t, data, `{"verifier_type": "digit", "gt": 3}`+"\n"+`{"gt": 3}`)
	if o := thinker(t, "", "reward", "dry-run", "--data", data); o.code != 1 || !strings.Contains(o.stderr, data+":2: the line has no verifier_type") {
		t.Errorf("%+v", o)
	}
	for _, args := range [][]string{{}, {"--data", data, "--n", "-1"}, {"--data", data, "--extract", "x"}, {"--nope"}} {
		if o := thinker(t, "", append([]string{"reward", "dry-run"}, args...)...); o.code != 2 {
			t.Errorf("%v: %+v", args, o)
		}
	}
}
