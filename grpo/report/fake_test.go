package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// A fake run is what a GRPO run on synthetic scenes leaves behind, made up.
type fake struct {
	updates int
	prompts int // held out
	samples int // of each
}

var fakeTypes = []string{"digit", "iou", "math", "mcq"}

// write makes the folder and returns it.
func (f fake) write(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo-grpo")
	rng := rand.New(rand.NewPCG(1, 2))
	for _, sub := range []string{"", "eval", "images", "step-30/model"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	put := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var metrics, timing bytes.Buffer
	skill := func(u int) float64 { return 1 / (1 + math.Exp(-8*(float64(u)/float64(f.updates)-0.35))) }
	clock, tokens := 1.79e9, 0.0
	for u := 1; u <= f.updates; u++ {
		s := skill(u)
		noise := func(size float64) float64 { return size * rng.NormFloat64() }
		share := func(v float64) float64 { return min(max(v, 0), 1) }
		rollout, learn := 3.1+noise(0.3), 4.2+noise(0.2)
		clock += rollout + learn
		tokens += 21000 + noise(800)
		m := map[string]any{"step": u, "loss": noise(0.02), "grad_norm": 0.8 + math.Exp(noise(0.5)), "learning_rate": 1e-4 * (1 - float64(u-1)/float64(f.updates)),
			"num_tokens": math.Round(tokens), "epoch": float64(u) / 40, "kl": 0.001 + 0.05*s + math.Abs(noise(0.004)), "entropy": 1.1 - 0.7*s + noise(0.03),
			"reward": share(0.25 + 0.5*s + noise(0.05)), "reward_std": 0.4, "frac_reward_zero_std": share(0.2 + 0.3*s + noise(0.06)),
			"completions/mean_length": 60 - 15*s + noise(2), "completions/max_length": 120 - 30*s + noise(5), "completions/clipped_ratio": share(0.2 - 0.19*s + noise(0.02)),
			"completions/extracted_ratio": share(0.7 + 0.29*s + noise(0.02)), "clip_ratio/region_mean": share(0.02 + noise(0.005)), "skipped_updates": 0}
		for i, kind := range fakeTypes {
			m["rewards/"+kind+"/mean"] = share(0.1 + 0.15*float64(i) + 0.45*s + noise(0.07))
		}
		if u == 7 {
			m["kl"], m["rewards/iou/mean"] = nil, nil
		}
		put1(t, &metrics, m)
		put1(t, &timing, map[string]any{"step": u, "time": clock, "time/rollout": rollout, "time/learn": learn, "perf/tokens_per_second": 21000 / (rollout + learn)})
	}
	put("metrics.jsonl", metrics.Bytes())
	put("timing.jsonl", timing.Bytes())
	for i := range f.prompts {
		put(fmt.Sprintf("images/%d.png", i), scene(rng))
	}
	for n := 0; n <= 3; n++ {
		f.evaluation(t, rng, dir, n*f.updates/6, n*f.updates/3, skill(n*f.updates/3))
	}
	f.completions(t, rng, dir)
	put("warnings.jsonl", []byte(`{"update":12,"text":"reward mcq has not fired in 12 updates"}`+"\n"))
	put("run.yaml", []byte("# the resolved run file\nmodel:\n  path: out/demo/sft/step-200/model\ndata:\n  files: [out/demo/scenes/records.jsonl]\n  held_out: 64\n"+
		"grpo:\n  learning_rate: 1e-4\n  beta: 0.01\nrollout:\n  prompts: 16\n  num_generations: 8\nseed: 7\n"))
	put("step-30/manifest.json", fmt.Appendf(nil, `{"format":1,"step":30,"policy":%d,"model":"x","state":{"step":30,"update":%d,"total":30,"ended":""}}`, f.updates, f.updates))
	return dir
}

func put1(t testing.TB, b *bytes.Buffer, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	b.Write(append(text, '\n'))
}

// scene renders rectangles on a canvas.
func scene(rng *rand.Rand) []byte {
	m := image.NewRGBA(image.Rect(0, 0, 168, 140))
	draw.Draw(m, m.Rect, image.NewUniform(color.RGBA{246, 244, 238, 255}), image.Point{}, draw.Src)
	colours := []color.RGBA{{214, 69, 65, 255}, {65, 131, 215, 255}, {38, 166, 91, 255}, {244, 179, 80, 255}}
	for i := range 2 + rng.IntN(3) {
		x, y := 8+rng.IntN(110), 8+rng.IntN(90)
		draw.Draw(m, image.Rect(x, y, x+18+rng.IntN(30), y+16+rng.IntN(26)), image.NewUniform(colours[i%4]), image.Point{}, draw.Src)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func (f fake) evaluation(t testing.TB, rng *rand.Rand, dir string, step, update int, skill float64) {
	t.Helper()
	var lines bytes.Buffer
	sums, counts := map[string]float64{}, map[string]float64{}
	extracted := 0.0
	for i := range f.prompts {
		kind := fakeTypes[i%len(fakeTypes)]
		question, gold, wrong := "How many red shapes are there?", "3", "2"
		switch kind {
		case "iou":
			question, gold, wrong = "Where is the blue shape? Answer with its box as [x1, y1, x2, y2].", "[40, 30, 92, 74]", "[20, 44, 70, 96]"
		case "math":
			question, gold, wrong = `The red shapes count $a$, the green ones $b$. What is $\frac{a}{b}$?`, `\frac{3}{2}`, `\frac{2}{3}`
		case "mcq":
			question, gold, wrong = "Which colour is the largest shape?\nA. red\nB. blue\nC. green\nD. yellow", "B", "D"
		}
		for k := range f.samples {
			reward, answer, why := 0.0, wrong, "2 is not 3"
			// What is solved stays solved while the skill grows; some prompts are beyond it.
			if r := rand.New(rand.NewPCG(uint64(i), uint64(k))).Float64(); r < 0.15+0.7*skill && i%9 != 4 {
				reward, answer, why = 1, gold, "equal"
				if kind == "iou" {
					reward, answer, why = 0.74, "[84, 54, 190, 150]", "IoU of [42, 27, 95, 75] with the gold [40, 30, 92, 74], pixels of 280 x 336 mapped to 140 x 168 (h x w)"
				}
			} else if kind == "iou" {
				reward, answer = 0.11, "[40, 88, 140, 192]"
			}
			text := "<think>I look at the shapes one by one. The first is red, the second blue, and there are further ones at the edge. " +
				"Counting them again gives the same number.</think> <answer>" + answer + "</answer>"
			line := map[string]any{"id": fmt.Sprintf("%s-%04d", kind, i), "type": kind, "question": question, "gt": gold,
				"images": []string{filepath.Join(dir, "images", fmt.Sprintf("%d.png", i))}, "image_size": []int{140, 168}, "resized_size": []int{280, 336},
				"sample": k, "text": text, "extracted": answer, "reward": reward, "why": why, "finish_reason": "stop", "length": 40 + rng.IntN(30)}
			if skill < 0.3 && rng.IntN(4) == 0 {
				line["text"], line["extracted"], line["reward"], line["why"], line["finish_reason"] = "<think>The shapes the shapes the shapes the shapes", nil, 0, "no <answer> block", "length"
				reward = 0
			} else {
				extracted++
			}
			sums[kind] += reward
			counts[kind]++
			put1(t, &lines, line)
		}
	}
	metrics, ci := map[string]any{}, map[string]any{}
	sum, n := 0.0, 0.0
	add := func(name string, v, n float64) {
		metrics[name] = v
		half := 1.96 * math.Sqrt(max(v*(1-v), 0.01)/n)
		ci[name] = []float64{max(v-half, 0), min(v+half, 1)}
	}
	for _, kind := range fakeTypes {
		add("reward/"+kind, sums[kind]/counts[kind], counts[kind])
		add("accuracy/"+kind, sums[kind]/counts[kind], counts[kind])
		sum, n = sum+sums[kind], n+counts[kind]
	}
	add("reward", sum/n, n)
	add("accuracy", sum/n-0.02, n)
	add("pass@1", sum/n-0.02, n)
	add(fmt.Sprintf("pass@%d", f.samples), min(1, sum/n+0.1), n)
	add(fmt.Sprintf("mean@%d", f.samples), sum/n, n)
	add("extracted_ratio", extracted/n, n)
	metrics["mean_length"], metrics["clipped_ratio"], metrics["rewards/masked"] = 55.2, 0.04, nil
	metrics["rewards/failed"], metrics["rewards/digit/mean"] = 3, 0.5
	text, err := json.MarshalIndent(map[string]any{"step": step, "update": update, "prompts": f.prompts, "k": f.samples, "temperature": 1, "seed": 7, "metrics": metrics, "ci": ci}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "eval", fmt.Sprintf("step-%d", step))
	for path, b := range map[string][]byte{name + ".json": text, name + ".jsonl": lines.Bytes()} {
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func (f fake) completions(t testing.TB, rng *rand.Rand, dir string) {
	t.Helper()
	var lines bytes.Buffer
	for _, update := range []int{f.updates - 1, f.updates} {
		for i := range 6 {
			kind := fakeTypes[i%len(fakeTypes)]
			for k := range 8 {
				reward := float64(rng.IntN(2))
				if i == 5 {
					reward = 1
				}
				line := map[string]any{"step": update, "prompt": i, "sample": k, "id": fmt.Sprintf("%s-%04d", kind, 500+i), "type": kind,
					"text": "<think>I count the shapes, one after another.</think> <answer>" + fmt.Sprint(k%4) + "</answer>", "rewards": map[string]any{kind: reward, "other": nil},
					"advantage": (reward - 0.5) * (1 + 0.2*float64(k)), "length": 30 + rng.IntN(40), "finish_reason": "stop", "extracted": fmt.Sprint(k % 4), "why": "the digits differ"}
				if i == 5 {
					line["advantage"] = 0
				}
				if k == 0 {
					line["question"], line["gt"], line["images"] = "How many red shapes are there?", "3", []string{filepath.Join(dir, "images", fmt.Sprintf("%d.png", i))}
				}
				if k == 7 && i < 2 {
					line["advantage"], line["rewards"] = nil, map[string]any{kind: nil}
				}
				if k == 6 && i < 3 {
					line["extracted"], line["finish_reason"], line["text"] = nil, "length", "<think>The shapes the shapes the"
				}
				put1(t, &lines, line)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "completions.jsonl"), lines.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}
