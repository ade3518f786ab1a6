package mixed

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/grpo/reward"
)

func TestMixed(t *testing.T) {
	m, err := Open(Config{Go: map[string]reward.Verifier{"length": reward.Func(func(_ context.Context, _ *reward.Record, response string) reward.Result {
		return reward.Result{Score: min(1, float64(len(response))/100), Reason: "its length"}
	})}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if m.Judged() || !m.Custom() || m.Place.Name != "answer" || m.Calls().Scores != 0 {
		t.Errorf("judged %v, custom %v, place %s, %d calls", m.Judged(), m.Custom(), m.Place.Name, m.Calls().Scores)
	}
	for _, x := range []struct {
		kind, gold, answer string
		want               float64
		masked             bool
	}{
		{reward.Digit, "3", "3", 1, false}, {reward.Math, `\frac{1}{2}`, "$0.5$", 1, false}, {reward.Math, `\frac{`, "1", 0, true}, {reward.MCQ, "B", "(b)", 1, false},
		{reward.IoU, "[0, 0, 1, 1]", "[0, 0, 1, 0.5]", 0.5, false}, {reward.OpenEnded, "a cat", "a cat", 0, true}, {"length", "", "1234567", 0.24, false},
	} {
		r, err := m.Score(context.Background(), &reward.Record{Type: x.kind, Gold: x.gold}, m.Place.Wrap(x.answer))
		if err != nil || r.Masked != x.masked || r.Score-x.want > 0.01 || x.want-r.Score > 0.01 {
			t.Errorf("%s %q %q: %+v, %v, want %v, masked %v", x.kind, x.gold, x.answer, r, err, x.want, x.masked)
		}
	}
}

func TestRefused(t *testing.T) {
	both := reward.Func(nil)
	for want, c := range map[string]Config{
		"extract is":      {Extract: "anser"},
		"exclude":         {Judge: reward.JudgeConfig{URL: "http://a"}, RewardModel: reward.RewardModelConfig{URL: "http://b"}},
		"name of its":     {Judge: reward.JudgeConfig{URL: "http://a"}},
		"service of x":    {HTTP: map[string]Service{"x": {URL: "ftp://a"}}},
		"given twice":     {HTTP: map[string]Service{"x": {URL: "http://a"}}, Go: map[string]reward.Verifier{"x": both}},
		"program of iou2": {Exec: map[string]reward.ProcessConfig{"iou2": {Path: "/no/such/program"}}},
	} {
		_, err := Open(c)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if _, ok := errors.AsType[*ConfigError](err); ok != !strings.Contains(want, "program") {
			t.Errorf("%v is a ConfigError: %v", err, ok)
		}
	}
}
