package runfile

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
)

const usual = `model:
  path: Qwen2.5-VL-3B-Instruct
  max_pixels: 262144
data:
  files: [train.jsonl, more.json]
  roots: images
  held_out: 200
grpo:
  beta: 1e-3
  learning_rate: 2e-6
rollout:
  prompts: 16
  num_generations: 4
rewards:
  weights: {iou: 0.5}
  exec: {length: python3 length.py, deep: [python3, "a b.py"]}
  http: {far: http://localhost:8000/score}
  timeout: 90
  judge:
    url: http://localhost:8001/v1
    model: Qwen2.5-VL-72B
checkpoints:
  output_dir: runs/first
seed: 7
`

func load(t *testing.T, k Kind, preset, text string, overrides ...string) *File {
	t.Helper()
	f, err := Load(k, preset, "run.yaml", []byte(text), overrides)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestLoad(t *testing.T) {
	f := load(t, GRPO, "", usual, "rollout.num_generations=8", "rewards.weights.mcq=2", "grpo.temperature=0.7", "model.cache=1.5GiB", "seed=18446744073709551615")
	want := Default(GRPO)
	want.Model.Path, want.Model.MaxPixels, want.Model.Cache = "Qwen2.5-VL-3B-Instruct", 262144, 3<<29
	want.Data.Files, want.Data.Roots, want.Data.Split = []string{"train.jsonl", "more.json"}, []string{"images"}, 200
	want.Settings.Beta, want.Settings.LearningRate, want.Settings.Temperature, want.Settings.MaxCompletionLength = 1e-3, 2e-6, 0.7, 512
	want.Rollout.Prompts, want.Rollout.Group = 16, 8
	want.Rewards.Weights = map[string]float64{"iou": 0.5, "mcq": 2}
	want.Rewards.Exec = map[string][]string{"length": {"python3", "length.py"}, "deep": {"python3", "a b.py"}}
	want.Rewards.HTTP = map[string]string{"far": "http://localhost:8000/score"}
	want.Rewards.Timeout = 90 * time.Second
	want.Rewards.JudgeURL, want.Rewards.JudgeModel = "http://localhost:8001/v1", "Qwen2.5-VL-72B"
	want.Checkpoints.Dir, want.Seed = "runs/first", 1<<64-1
	if !reflect.DeepEqual(f, want) {
		t.Errorf("%+v\nwant %+v", f, want)
	}
	if f := load(t, GRPO, "", usual, "data.held_out=[a.jsonl]", "rewards.weights=null", "data.roots="); f.Data.Split != 0 || f.Data.HeldOut[0] != "a.jsonl" || f.Rewards.Weights != nil || f.Data.Roots != nil {
		t.Errorf("%+v, %+v", f.Data, f.Rewards)
	}
	if f := load(t, GRPO, "", usual, "data.held_out=0"); f.Data.Split != 0 || f.Data.HeldOut != nil {
		t.Errorf("nothing held out: %+v", f.Data)
	}
	if f := load(t, GRPO, "", ""); !reflect.DeepEqual(f.Rollout, Default(GRPO).Rollout) {
		t.Errorf("an empty file: %+v", f.Rollout)
	}
	if f := load(t, SFT, "", "sft:\n  weight_decay: 0.1\nbatch:\n  sequences: 4\n"); f.Settings.LossType != grpo.SFT || f.Settings.LearningRate != 1e-5 || f.SFTConfig().Sequences != 4 {
		t.Errorf("%+v", f)
	}
	if n := strings.Count(usual, "\n"); n > 40 {
		t.Errorf("the usual file has %d lines", n)
	}
}

// TestPaper holds the preset against the paper, with the arithmetic of its schedule.
func TestPaper(t *testing.T) {
	f := load(t, GRPO, "paper", "")
	c := f.Config()
	if rollouts, updates := c.Schedule(25_195); rollouts != 49 || updates != 392 {
		t.Errorf("%d rollouts, %d updates, want 49 and 392", rollouts, updates)
	}
	s := f.Settings
	want := grpo.Defaults(grpo.Paper, grpo.GRPO)
	want.Beta, want.KLTarget, want.KLHorizon, want.Temperature, want.LearningRate, want.MinLR = 1e-3, 5e-4, 10_000, 0.8, 1e-6, 5e-7
	want.Schedule, want.WarmupRatio, want.MaxCompletionLength = grpo.CosineWithMinLR, 0.03, 1024
	if !reflect.DeepEqual(s, want) {
		t.Errorf("%+v\nwant %+v", s, want)
	}
	if s.Aggregation != grpo.SequenceMean || s.KL != engine.KLk3 || s.KLInReward || s.AdvantageEpsilon != 1e-9 || s.Epsilon != 0.2 || s.AdamBeta2 != 0.95 || s.MaxGradNorm != 1 {
		t.Errorf("%+v", s)
	}
	if c.Prompts != 512 || c.Group != 4 || c.UpdateSequences != 256 || c.Iterations != 1 || c.Epochs != 1 || !c.DropLast || c.InOrder || s.Warmup(392) != 12 {
		t.Errorf("%+v", c)
	}
	if s.LearningRateAt(0, 392) != 0 || s.LearningRateAt(12, 392) != 1e-6 || s.LearningRateAt(392, 392) != 5e-7 {
		t.Errorf("rates %v, %v, %v", s.LearningRateAt(0, 392), s.LearningRateAt(12, 392), s.LearningRateAt(392, 392))
	}
	if f := load(t, SFT, "paper", ""); f.Batch.Sequences != 128 || !f.Settings.FreezeVisionTower || f.TrainOptions().Freeze[0] != "visual." || f.Data.Epochs != 1 {
		t.Errorf("%+v", f)
	}
	if f := load(t, GRPO, "", "preset: paper\nrollout:\n  prompts: 64\n"); f.Rollout.Prompts != 64 || f.Rollout.Group != 4 {
		t.Errorf("a file over a preset: %+v", f.Rollout)
	}
	for _, k := range []Kind{GRPO, SFT} {
		for _, name := range Presets(k) {
			load(t, k, name, "")
		}
	}
}

// TestResolved writes files and reads them again.
func TestResolved(t *testing.T) {
	files := []*File{
		load(t, GRPO, "", usual, "early_stop.target=0.9", "early_stop.metric=eval_reward", "rewards.judge.system='a: \"b\"\n- c'", "data.verifier_type='yes'",
			"prompt.template='{{define \"user\"}}\n  {{.Question}}\n{{end}}\n'", "data.types=[digit, '3']", "data.check=full", "data.on_error=skip", "prompt.layout=x.tmpl"),
		load(t, SFT, "", "batch:\n  max_steps: 5\nevaluation:\n  eval_steps: 2\n"),
	}
	for _, k := range []Kind{GRPO, SFT} {
		for _, name := range append(Presets(k), "") {
			files = append(files, load(t, k, name, ""))
		}
	}
	for _, f := range files {
		f.Data.SHA256 = []string{"00ff", "12"}
		text := f.YAML("v1.2")
		again, err := Load(f.Kind, "", "run.yaml", text, nil)
		if err != nil {
			t.Errorf("%v:\n%s", err, text)
			continue
		}
		if !reflect.DeepEqual(again, f) || string(again.YAML("v1.2")) != string(text) {
			t.Errorf("%+v\nbecame %+v by\n%s", f, again, text)
		}
		if d := Compare(f, again); len(d) > 0 {
			t.Errorf("differences: %v", d)
		}
	}
	text := string(files[0].YAML("v1.2"))
	for _, want := range []string{"thinker: v1.2\n", "  dialect: trl-1.10\n", "  learning_rate: 2e-06\n", "  timeout: 1m30s\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestCompare(t *testing.T) {
	a := load(t, GRPO, "", usual)
	b := load(t, GRPO, "", usual, "rollout.prompts=32", "grpo.temperature=0.5", "data.held_out=null", "model.threads=1", "checkpoints.output_dir=x", "rewards.calls.rate=1", "rewards.weights.iou=1")
	var keys []string
	for _, d := range Compare(a, b) {
		keys = append(keys, d.Key)
	}
	if got := strings.Join(keys, " "); got != "data.held_out grpo.temperature rollout.prompts rewards.weights" {
		t.Errorf("%s", got)
	}
	if got := Compare(a, b)[2].String(); got != "rollout.prompts: 16, now 32" {
		t.Error(got)
	}
	if got := Compare(a, b)[0].String(); got != "data.held_out: 200, now not set" {
		t.Error(got)
	}
}

// TestRefused names file, line and key, and what was probably meant.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"model:\n  pth: x\n", "run.yaml:2: model.pth: unknown key: did you mean model.path?"},
		{"modle:\n  path: x\n", "run.yaml:1: modle: unknown key: did you mean model?"},
		{"num_generations: 4\n", "run.yaml:1: num_generations: unknown key: it belongs to another section: rollout.num_generations"},
		{"rollout:\n  temperature: 1\n", "run.yaml:2: rollout.temperature: unknown key: it belongs to another section: grpo.temperature"},
		{"model_name_or_path: x\n", "run.yaml:1: model_name_or_path: unknown key: did you mean model.path?"},
		{"sft:\n  learning_rate: 1\n", "run.yaml:1: sft: unknown key: it belongs to the run files of sft"},
		{"batch:\n  sequences: 1\n", "run.yaml:1: batch: unknown key: it belongs to the run files of sft"},
		{"grpo:\n  epsilon_hi: 0.2\n", "run.yaml:2: grpo.epsilon_hi: unknown key: did you mean grpo.epsilon_high?"},
		{"rewards:\n  judge:\n    ulr: x\n", "run.yaml:3: rewards.judge.ulr: unknown key: did you mean rewards.judge.url?"},
		{"grpo:\n  loss_type: grop\n", `run.yaml:2: grpo.loss_type: "grop" is none of grpo`},
		{"grpo:\n  loss_type: grpo\n  delta: 4\n  dual_clip: 3\n", "run.yaml:3: grpo.delta: "},
		{"grpo:\n  kl_target: 1\n", "run.yaml:2: grpo.kl_target: the adaptive coefficient"},
		{"grpo:\n  loss_type: sft\n", "run.yaml:2: grpo.loss_type: sft learns from demonstrations"},
		{"rollout:\n  prompts: many\n", `run.yaml:2: rollout.prompts: "many" is not an integer from 1`},
		{"rollout:\n  prompts: 0\n", "run.yaml:2: rollout.prompts: 0 is not an integer from 1"},
		{"rollout:\n  prompts: [1]\n", "run.yaml:2: rollout.prompts: a list is not an integer"},
		{"rollout:\n  prompts: '8'\n", `run.yaml:2: rollout.prompts: "8" is not an integer`},
		{"rollout:\n  top_p: 1.5\n", "run.yaml:2: rollout.top_p: 1.5 is out of range: want at most 1"},
		{"rollout: 4\n", "run.yaml:1: rollout: 4 is not a section"},
		{"data:\n  shuffle_dataset: 1\n", "run.yaml:2: data.shuffle_dataset: 1 is not true or false"},
		{"data:\n  files: {a: b}\n", "run.yaml:2: data.files: a map is neither"},
		{"data:\n  on_error: skp\n", `run.yaml:2: data.on_error: "skp" is none of strict, skip: did you mean skip?`},
		{"data:\n  check: heder\n", `run.yaml:2: data.check: "heder" is none of`},
		{"data:\n  held_out: -1\n", "run.yaml:2: data.held_out: -1 is not an integer from 0"},
		{"model:\n  dtype: fp16\n", "run.yaml:2: model.dtype: engine: dtype \"fp16\""},
		{"model:\n  cache: 2 horses\n", `run.yaml:2: model.cache: "2 horses" is no size`},
		{"rewards:\n  timeout: soon\n", `run.yaml:2: rewards.timeout: "soon" is no time`},
		{"rewards:\n  weights: {iou: -1}\n", "run.yaml:2: rewards.weights: iou: -1 is out of range"},
		{"rewards:\n  exec: {a: ''}\n", "run.yaml:2: rewards.exec: a: "},
		{"seed: -1\n", "run.yaml:1: seed: -1 is not an integer"},
		{"seed: 1\nseed: 2\n", "run.yaml:2: seed: the key occurs twice"},
		{"preset: papre\n", `run.yaml:1: preset: "papre" is none of the presets`},
		{"data: &x\n  files: a\nmodel: *x\n", "run.yaml:1: data: anchors"},
		{"prompt:\n  layout: x\n  template: '{{.Nothing}}'\n", "run.yaml:3: prompt.template: prompt: x:1: "},
		{"- a\n", "run.yaml:1: want sections"},
		{"a: [\n", "run.yaml:"},
		{"seed: 1\n---\nseed: 2\n", "run.yaml:2: a second document"},
		{"seed: \xff\n", "run.yaml: not UTF-8"},
		{strings.Repeat("#", MaxBytes+1), "run.yaml: "},
	} {
		_, err := Load(GRPO, "", "run.yaml", []byte(tt.text), nil)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%.60q: %v, want %q", tt.text, err, tt.want)
		}
	}
	for _, tt := range []struct{ override, want string }{
		{"rollout.promts=3", "--set rollout.promts=3: unknown key: did you mean rollout.prompts?"},
		{"rollout.prompts", "--set rollout.prompts: want KEY=VALUE"},
		{"rollout=3", "--set rollout=3: rollout is a section: want a key of it, as rollout."},
		{"rollout.prompts=x", `--set rollout.prompts=x: rollout.prompts: "x" is not an integer`},
		{"grpo.beta=-1", "--set grpo.beta=-1: grpo.beta: -1 is out of range"},
		{"seed=[", "--set seed=[: "},
	} {
		_, err := Load(GRPO, "", "run.yaml", []byte(usual), []string{tt.override})
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.override, err, tt.want)
		}
	}
	if _, err := Load(SFT, "", "run.yaml", []byte("sft:\n  loss_type: grpo\n"), nil); err == nil || !strings.HasPrefix(err.Error(), "run.yaml:2: sft.loss_type: grpo: want sft") {
		t.Error(err)
	}
	if _, err := Load(GRPO, "papre", "", nil, nil); err == nil || !strings.Contains(err.Error(), "did you mean paper?") {
		t.Error(err)
	}
}

func TestAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("x.tmpl", []byte(`{{define "user"}}{{.Question}}{{end}}`), 0o666); err != nil {
		t.Fatal(err)
	}
	f := load(t, GRPO, "", usual, "prompt.layout=x.tmpl", "data.held_out=h.jsonl", "rewards.exec.near=./bin/score --fast")
	if err := f.Absolute(); err != nil {
		t.Fatal(err)
	}
	if words := f.Rewards.Exec; words["length"][0] != "python3" || words["near"][0] != filepath.Join(dir, "bin", "score") || words["near"][1] != "--fast" {
		t.Errorf("%q", words)
	}
	for _, p := range append([]string{f.Model.Path, f.Checkpoints.Dir, f.Prompt.Layout, f.Data.Roots[0], f.Data.HeldOut[0]}, f.Data.Files...) {
		if !filepath.IsAbs(p) {
			t.Errorf("%s is not absolute", p)
		}
	}
	l, err := f.Layout()
	if err != nil || !strings.Contains(l.Text(), "{{.Question}}") || f.Prompt.Template != l.Text() || f.Model.Reference != "" {
		t.Errorf("%+v, %v", f.Prompt, err)
	}
	if f, err := Load(GRPO, "", "", nil, []string{"prompt.layout=none.tmpl"}); err != nil || f.Absolute() == nil {
		t.Errorf("a layout that is missing: %v", err)
	}
}

func TestKeys(t *testing.T) {
	for _, k := range []Kind{GRPO, SFT} {
		keys := Keys(k)
		if len(keys) < 25 || keys[0].Name != "model.path" || keys[0].Usage == "" {
			t.Errorf("%d keys, %+v", len(keys), keys[0])
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(usual), "rollout.prompts=3")
	f.Add([]byte("a: {b: [c, &d e, *d]}"), "rewards.weights.x={y: 1}")
	f.Fuzz(func(t *testing.T, text []byte, override string) {
		x, err := Load(GRPO, "", "f", text, []string{override})
		if err != nil {
			return
		}
		again, err := Load(GRPO, "", "g", x.YAML("v"), nil)
		if err != nil {
			t.Fatalf("%v:\n%s", err, x.YAML("v"))
		}
		if !reflect.DeepEqual(again, x) {
			t.Errorf("%+v became %+v", x, again)
		}
	})
}
