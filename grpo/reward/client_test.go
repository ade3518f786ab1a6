package reward

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A fakeClock jumps forward when somebody sleeps.
type fakeClock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d > 0 {
		c.now = c.now.Add(d)
		c.slept = append(c.slept, d)
	}
	return ctx.Err()
}

func newFakeClock() *fakeClock { return &fakeClock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

// completion is a chat completion that says text.
func completion(text string) string {
	b, _ := json.Marshal(map[string]any{
		"choices": []any{map[string]any{"index": 0, "finish_reason": "stop", "message": map[string]any{"role": "assistant", "content": text}}},
		"usage":   map[string]any{"total_tokens": 100},
	})
	return string(b)
}

// newJudge makes a judge of a handler.
func newJudge(t *testing.T, p Policy, h http.HandlerFunc) (*Judge, *fakeClock) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	j, err := NewJudge(JudgeConfig{URL: s.URL + "/v1", Model: "judge", Policy: p})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	clock := newFakeClock()
	j.clock = clock
	return j, clock
}

var open = &Record{Type: OpenEnded, Question: "What is it?", Gold: "a dog"}

// ask has an answer judged through a registry.
func ask(t *testing.T, s AnswerScorer, answer string) Result {
	t.Helper()
	g, err := New(Config{OpenEnded: s})
	if err != nil {
		t.Fatal(err)
	}
	x, err := g.Score(t.Context(), open, "<answer>"+answer+"</answer>")
	if err != nil {
		t.Fatal(err)
	}
	if n := g.Stats()[OpenEnded]; n.Masked+n.Scored != 1 || (n.Masked == 1) != x.Masked {
		t.Errorf("counted %+v, the result is %+v", n, x)
	}
	return x
}

// TestBadJudge: whatever a judge does, the time is bounded, the sample is masked and the failure is counted by its kind.
func TestBadJudge(t *testing.T) {
	for _, tt := range []struct {
		name     string
		handler  http.HandlerFunc
		kind     Failure
		attempts int64
		why      string
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", 500) }, ServerError, 4, "status 500"},
		{"503 with Retry-After", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "2"); w.WriteHeader(503) }, ServerError, 4, "status 503"},
		{"429", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, Busy, 4, "status 429"},
		{"429 with Retry-After", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "5"); w.WriteHeader(429) }, Busy, 4, "status 429"},
		{"429 with a late Retry-After", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(429)
		}, Busy, 1, "deadline"},
		{"429 with a strange Retry-After", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "soon")
			w.WriteHeader(429)
		}, Busy, 4, "status 429"},
		{"401", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, Refused, 1, "status 401"},
		{"404", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, Refused, 1, "status 404"},
		{"HTML", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html><body>login</body></html>") }, BadReply, 4, "not JSON"},
		{"empty", func(w http.ResponseWriter, _ *http.Request) {}, BadReply, 4, "not JSON"},
		{"truncated JSON", func(w http.ResponseWriter, _ *http.Request) {
			s := completion(`{"score": 7}`)
			io.WriteString(w, s[:len(s)/2])
		}, BadReply, 4, "not JSON"},
		{"a connection that breaks", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"choices`)
		}, Unreachable, 4, "EOF"},
		{"1 GB", func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 1<<16))
			for range 1 << 14 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, BadReply, 1, "more than"},
		{"stalls", func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, TimedOut, 4, "no reply within"},
		{"a byte at a time", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			for r.Context().Err() == nil {
				io.WriteString(w, " ")
				w.(http.Flusher).Flush()
				time.Sleep(5 * time.Millisecond)
			}
		}, TimedOut, 4, "no reply within"},
		{"NaN", says(`{"score": NaN}`), NoGrade, 4, "not a JSON object"},
		{"NaN in text", says("NaN"), NoGrade, 4, "no grade"},
		{"infinity", says(`{"score": 1e999}`), NoGrade, 4, "score"},
		{"above", says(`{"score": 11}`), NoGrade, 4, "score"},
		{"below", says(`{"score": -1}`), NoGrade, 4, "score"},
		{"null", says(`{"score": null}`), NoGrade, 4, "score"},
		{"text", says("The answer is good."), NoGrade, 4, "no grade"},
		{"grades that differ", says(`{"score": 10} or rather {"score": 0}`), NoGrade, 4, "differ"},
		{"a key twice", says(`{"score": 10, "score": 0}`), NoGrade, 4, "twice"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Replace(completion(`{"score": 7}`), `"stop"`, `"length"`, 1))
		}, NoGrade, 4, "cut off"},
		{"no choices", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"choices": []}`) }, BadReply, 4, "no choice"},
		{"choices in the wrong order", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"choices": [{"index": 1, "message": {"content": "{\"score\": 10}"}}]}`)
		}, BadReply, 4, "no choice"},
		{"an error with status 200", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"error": {"message": "no"}}`) }, BadReply, 4, "error"},
		{"depth", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("[", 100000)) }, BadReply, 4, "not JSON"},
		{"a redirect to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusTemporaryRedirect)
		}, Refused, 1, "another host"},
		{"a redirect to itself", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}, Refused, 1, "redirects"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j, _ := newJudge(t, Policy{Timeout: 300 * time.Millisecond, Deadline: 2 * time.Minute, BreakAfter: 100}, tt.handler)
			if strings.HasPrefix(tt.why, "no reply") {
				j.Timeout = 30 * time.Millisecond
			}
			begin := time.Now()
			x := ask(t, j, "a cat")
			if d := time.Since(begin); d > 10*time.Second {
				t.Errorf("it took %v", d)
			}
			if !x.Masked || x.Score != 0 || x.Answer != "a cat" || !strings.Contains(x.Reason, tt.why) {
				t.Errorf("%+v, want it masked for %q", x, tt.why)
			}
			if s := j.Stats(); s.Attempts != tt.attempts || s.Failures[tt.kind] != tt.attempts || s.Failed != 1 || s.Scores != 1 || s.Retries != tt.attempts-1 {
				t.Errorf("counted %+v, want %d attempts that fail as %s", s, tt.attempts, tt.kind)
			}
		})
	}
	t.Run("refuses connections", func(t *testing.T) {
		s := httptest.NewServer(nil)
		s.Close()
		j, err := NewJudge(JudgeConfig{URL: s.URL, Model: "judge"})
		if err != nil {
			t.Fatal(err)
		}
		j.clock = newFakeClock()
		if x := ask(t, j, "a cat"); !x.Masked || j.Stats().Failures[Unreachable] != 4 {
			t.Errorf("%+v, %+v", x, j.Stats())
		}
	})
}

// says is a judge that answers text.
func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, completion(text)) }
}

func TestJudge(t *testing.T) {
	var body atomic.Value
	j, _ := newJudge(t, Policy{}, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body.Store(string(b))
		if r.URL.Path != "/v1/chat/completions" || r.Method != "POST" {
			t.Errorf("%s %s", r.Method, r.URL.Path)
		}
		io.WriteString(w, completion(`<think>{"score": 1}</think>{"score": 7, "reason": "nearly"}`))
	})
	picture := filepath.Join(t.TempDir(), "dog.png")
	if err := os.WriteFile(picture, []byte("\x89PNG\r\n\x1a\n and so on"), 0o666); err != nil {
		t.Fatal(err)
	}
	r := *open
	r.Images = []string{picture}
	x := j.ScoreAnswer(t.Context(), &r, `a "wolf"`)
	if x.Masked || x.Score != 0.7 || x.Reason != "the judge: nearly" {
		t.Errorf("%+v", x)
	}
	sent := body.Load().(string)
	for _, want := range []string{`"model":"judge"`, `"image_url":{"url":"data:image/png;base64,iVBORw0KGgo`, "What is it?", "a dog", `a \"wolf\"`, `"temperature":0`} {
		if !strings.Contains(sent, want) {
			t.Errorf("the request lacks %s: %s", want, sent)
		}
	}
	j.ScoreAnswer(t.Context(), &r, `a "wolf"`)
	if s := j.Stats(); s.Attempts != 1 || s.Cached != 1 || s.Scores != 2 || s.Tokens != 100 {
		t.Errorf("%+v", s)
	}
	for name, paths := range map[string][]string{"missing": {picture + "x"}, "folder": {filepath.Dir(picture)}, "text": {"client_test.go"}, "device": {"/dev/zero"}, "many": make([]string, 17)} {
		r.Images = paths
		if x := j.ScoreAnswer(t.Context(), &r, "a cat"); !x.Masked || j.Stats().Attempts != 1 {
			t.Errorf("%s: %+v", name, x)
		}
	}
	// What is wrong with the response is wrong without a judge.
	g, _ := New(Config{OpenEnded: j})
	if x, _ := g.Score(t.Context(), open, "a cat"); x.Masked || x.Score != 0 || j.Stats().Attempts != 1 {
		t.Errorf("no block: %+v", x)
	}
	g, _ = New(Config{})
	if x, _ := g.Score(t.Context(), open, "<answer>a cat</answer>"); !x.Masked {
		t.Errorf("no judge: %+v", x)
	}
}

func TestRetries(t *testing.T) {
	n := 0
	j, clock := newJudge(t, Policy{}, func(w http.ResponseWriter, _ *http.Request) {
		switch n++; n {
		case 1:
			w.WriteHeader(502)
		case 2:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(429)
		case 3:
			w.Header().Set("Retry-After", "Thu, 01 Jan 2026 00:01:00 GMT")
			w.WriteHeader(503)
		default:
			io.WriteString(w, completion("10"))
		}
	})
	if x := ask(t, j, "a cat"); x.Score != 1 || x.Masked {
		t.Errorf("%+v", x)
	}
	if len(clock.slept) != 3 || clock.slept[0] < 250*time.Millisecond || clock.slept[0] > 500*time.Millisecond ||
		clock.slept[1] < 7*time.Second || clock.slept[1] > 8*time.Second || clock.now.Sub(time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)) < 0 {
		t.Errorf("slept %v", clock.slept)
	}
}

func TestRate(t *testing.T) {
	j, clock := newJudge(t, Policy{Rate: 2}, says("5"))
	begin := clock.now
	for i := range 5 {
		if x := ask(t, j, fmt.Sprint("answer ", i)); x.Score != 0.5 {
			t.Errorf("%+v", x)
		}
	}
	if d := clock.now.Sub(begin); d != 2*time.Second {
		t.Errorf("5 calls at 2 a second took %v, want 2s", d)
	}
}

func TestBudget(t *testing.T) {
	for _, p := range []Policy{{MaxCalls: 3}, {MaxTokens: 300}} {
		j, _ := newJudge(t, p, says("5"))
		for i := range 6 {
			if x := ask(t, j, fmt.Sprint("answer ", i)); x.Masked != (i >= 3) {
				t.Errorf("%+v: answer %d: %+v", p, i, x)
			}
		}
		if x := ask(t, j, "answer 1"); x.Masked {
			t.Errorf("the cache is used up: %+v", x)
		}
		if s := j.Stats(); s.Attempts != 3 || s.Failures[OverBudget] != 3 || s.Tokens != 300 {
			t.Errorf("%+v", s)
		}
	}
}

func TestBreaker(t *testing.T) {
	down := true
	j, clock := newJudge(t, Policy{Attempts: 1, BreakAfter: 3, BreakFor: time.Minute}, func(w http.ResponseWriter, _ *http.Request) {
		if down {
			w.WriteHeader(500)
			return
		}
		io.WriteString(w, completion("5"))
	})
	i := 0
	try := func() Result { i++; return ask(t, j, fmt.Sprint("answer ", i)) }
	for range 10 {
		if x := try(); !x.Masked {
			t.Errorf("%+v", x)
		}
	}
	if s := j.Stats(); s.Attempts != 3 || s.Failures[BreakerOpen] != 7 {
		t.Errorf("%+v", s)
	}
	if x := func() Result {
		j, _ := newJudge(t, Policy{Attempts: 1, BreakAfter: 2}, says("no grade"))
		for i := range 5 {
			ask(t, j, fmt.Sprint("answer ", i))
		}
		return ask(t, j, "another")
	}(); !strings.Contains(x.Reason, "no grade") { // a judge that says nothing of use is no outage
		t.Errorf("%+v", x)
	}
	clock.Sleep(t.Context(), time.Minute)
	try() // the probe fails
	try()
	if s := j.Stats(); s.Attempts != 4 {
		t.Errorf("%+v", s)
	}
	clock.Sleep(t.Context(), time.Minute)
	down = false
	for range 3 {
		if x := try(); x.Masked {
			t.Errorf("%+v", x)
		}
	}
}

// TestConcurrency: no more calls at once than allowed, and equal questions share one.
func TestConcurrency(t *testing.T) {
	var now, most, calls atomic.Int64
	j, _ := newJudge(t, Policy{Concurrency: 3}, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(2 * time.Millisecond)
		now.Add(-1)
		io.WriteString(w, completion("5"))
	})
	var wait sync.WaitGroup
	for i := range 60 {
		wait.Go(func() {
			if x := j.ScoreAnswer(t.Context(), open, fmt.Sprint(i%20)); x.Score != 0.5 {
				t.Errorf("%+v", x)
			}
		})
	}
	wait.Wait()
	if most.Load() > 3 || calls.Load() != 20 {
		t.Errorf("%d calls, %d at once", calls.Load(), most.Load())
	}
	if s := j.Stats(); s.Cached != 40 || s.Scores != 60 {
		t.Errorf("%+v", s)
	}
}

func TestCancel(t *testing.T) {
	j, _ := newJudge(t, Policy{}, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if x := j.ScoreAnswer(ctx, open, "a cat"); !x.Masked || time.Since(begin) > 5*time.Second {
		t.Errorf("%+v after %v", x, time.Since(begin))
	}
	if s := j.Stats(); s.Failures[Cancelled] == 0 {
		t.Errorf("%+v", s)
	}
}

// TestRealClock has the real waits pass in no time.
func TestRealClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := newGate(Policy{Backoff: time.Second, Attempts: 3, Timeout: time.Minute, Deadline: 5 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		err = g.do(t.Context(), func(ctx context.Context) (int64, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if d := time.Since(begin); err == nil || d < 3*time.Minute || d > 4*time.Minute {
			t.Errorf("%v after %v", err, d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := (realClock{}).Sleep(ctx, time.Hour); err != context.Canceled {
			t.Error(err)
		}
	})
}

func TestRewardModel(t *testing.T) {
	scores := map[string]float64{"a dog": 1, "a wolf": 0.5, "a big dog": 3.5, "the same": 1}
	var calls atomic.Int64
	handler := func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		var q struct{ ID, Question, Answer string }
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			t.Error(err)
		}
		if q.Question != "What is it?" {
			t.Errorf("%+v", q)
		}
		switch q.Answer {
		case "another's":
			q.ID = "another"
			fallthrough
		default:
			fmt.Fprintf(w, `{"id": %q, "score": %v}`, q.ID, scores[q.Answer])
		case "NaN":
			fmt.Fprintf(w, `{"id": %q, "score": NaN}`, q.ID)
		case "null":
			fmt.Fprintf(w, `{"id": %q, "score": null}`, q.ID)
		case "text":
			fmt.Fprintf(w, `{"id": %q, "score": "3"}`, q.ID)
		case "infinite":
			fmt.Fprintf(w, `{"id": %q, "score": 1e999}`, q.ID)
		}
	}
	s := httptest.NewServer(http.HandlerFunc(handler))
	defer s.Close()
	m, err := NewRewardModel(RewardModelConfig{URL: s.URL, Policy: Policy{BreakAfter: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.clock = newFakeClock()
	for answer, want := range map[string]float64{"a wolf": 0, "the same": 0, "a dog": 0, "a big dog": 1 - math.Exp(-0.2*2.5)} {
		if x := ask(t, m, answer); x.Masked || math.Abs(x.Score-want) > 1e-12 {
			t.Errorf("%q: %+v, want %v", answer, x, want)
		}
	}
	if n := calls.Load(); n != 4 { // the gold once, and the answer that is the gold not again
		t.Errorf("%d calls", n)
	}
	for _, answer := range []string{"another's", "NaN", "null", "text", "infinite"} {
		if x := ask(t, m, answer); !x.Masked {
			t.Errorf("%q: %+v", answer, x)
		}
	}
	if s := m.Stats(); s.Failures[BadReply] != 5*4 || s.Failed != 5 {
		t.Errorf("%+v", s)
	}
	for _, c := range []RewardModelConfig{{URL: "ftp://x"}, {URL: "x"}, {}, {URL: "http://u:p@x"}, {URL: "http://x", Beta: -1}, {URL: "http://x", Beta: math.NaN()},
		{URL: "http://x", Policy: Policy{Rate: -1}}, {URL: "http://x", Key: "a\nb"}, {URL: "http://x", Policy: Policy{MaxReply: -5}}} {
		if _, err := NewRewardModel(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}

func TestCache(t *testing.T) {
	c := newCache[int](2)
	calls := 0
	get := func(k byte) int {
		v, _, err := c.get(t.Context(), key{k}, func() (int, error) { calls++; return int(k), nil })
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, k := range []byte{1, 2, 1, 3, 1, 2} { // 3 puts 2 out
		if get(k) != int(k) {
			t.Errorf("%d", k)
		}
	}
	if calls != 4 || len(c.entries) != 2 || c.order.Len() != 2 {
		t.Errorf("%d calls, %d entries", calls, len(c.entries))
	}
	fails := 0
	for range 2 {
		if _, _, err := c.get(t.Context(), key{9}, func() (int, error) { fails++; return 0, io.EOF }); err != io.EOF {
			t.Error(err)
		}
	}
	if fails != 2 {
		t.Errorf("a failure is kept")
	}
	// One who gives up does not fail those who wait for the same call.
	ctx, cancel := context.WithCancel(t.Context())
	started, done := make(chan bool), make(chan int)
	go c.get(ctx, key{7}, func() (int, error) { close(started); <-ctx.Done(); return 0, ctx.Err() })
	<-started
	go func() { done <- get(7) }()
	cancel()
	if v := <-done; v != 7 {
		t.Errorf("%d", v)
	}
}
