package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const mostBytes = 4 << 20 // of a page, whatever a folder holds

// write returns the report of a folder. With THINKER_REPORT_OUT, a folder, it stays there under the test's name, to be looked at.
func write(t *testing.T, dir string, o Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, dir, o); err != nil {
		t.Fatal(err)
	}
	if out := os.Getenv("THINKER_REPORT_OUT"); out != "" {
		if err := os.WriteFile(filepath.Join(out, strings.ReplaceAll(t.Name(), "/", "-")+".html"), b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() > mostBytes {
		t.Errorf("the page has %d bytes, more than %d", b.Len(), mostBytes)
	}
	return b.String()
}

// An element is one of the page's, with the text up to the next one.
type element struct {
	name string
	attr map[string]string
	text string
}

var scriptOrStyle = regexp.MustCompile(`(?s)<(script|style)>(.*?)</(script|style)>`)

// elements reads a page as what it must be: elements that are closed, whose attributes are quoted.
func elements(t *testing.T, page string) []element {
	t.Helper()
	page = scriptOrStyle.ReplaceAllString(page, "<$1></$1>")
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var list []element
	var open []string
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the page is no markup: %v", err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			e := element{name: x.Name.Local, attr: map[string]string{}}
			for _, a := range x.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			list = append(list, e)
			open = append(open, e.name)
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != x.Name.Local {
				t.Fatalf("</%s> closes %v", x.Name.Local, open)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			if len(list) > 0 {
				list[len(list)-1].text += string(x)
			}
		}
	}
	if len(open) > 0 {
		t.Fatalf("not closed: %v", open)
	}
	return list
}

// checkPage fails where a page loads something, runs something that is not its own, or leaves out what readers that do not see need.
func checkPage(t *testing.T, page string) []element {
	t.Helper()
	list := elements(t, page)
	known := strings.Fields("html head meta title link style body header main footer nav section article h1 h2 h3 h4 p span b i u small br ul ol li dl dt dd div " +
		"table caption thead tbody tr th td figure figcaption svg g path rect text img details summary code pre form label select option input output a script")
	scripts := 0
	for _, e := range list {
		if !slices.Contains(known, e.name) {
			t.Errorf("an element %s", e.name)
		}
		for name, value := range e.attr {
			if strings.HasPrefix(strings.ToLower(name), "on") {
				t.Errorf("%s has %s=%q", e.name, name, value)
			}
			switch name {
			case "src", "href", "xlink:href", "action", "srcset":
				if !strings.HasPrefix(value, "data:image/") && !strings.HasPrefix(value, "#") && value != "data:," {
					t.Errorf("%s loads %.60q", e.name, value)
				}
			case "style":
				if !regexp.MustCompile(`^(width|left|--strength):[0-9.]+%$`).MatchString(value) {
					t.Errorf("%s has style %q", e.name, value)
				}
			}
		}
		switch e.name {
		case "img":
			if e.attr["alt"] == "" {
				t.Error("a picture without alt")
			}
		case "svg":
			if e.attr["aria-label"] == "" && e.attr["aria-hidden"] == "" || e.attr["viewBox"] == "" {
				t.Errorf("svg has neither name nor viewBox: %v", e.attr)
			}
		case "th":
			if e.attr["scope"] == "" {
				t.Error("a header cell without scope")
			}
		case "script":
			scripts++
		}
	}
	if scripts != 1 {
		t.Errorf("%d scripts, want the page's own", scripts)
	}
	if n, m := strings.Count(page, "<table"), strings.Count(page, "<caption"); n != m {
		t.Errorf("%d tables and %d captions", n, m)
	}
	for _, m := range scriptOrStyle.FindAllStringSubmatch(page, -1) {
		if strings.Contains(m[2], "url(") || strings.Contains(m[2], "@import") {
			t.Errorf("the %s loads something", m[1])
		}
		if m[1] == "script" {
			sum := sha256.Sum256([]byte(m[2]))
			if !strings.Contains(page, "script-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") &&
				!strings.Contains(page, "script-src &#39;sha256-"+strings.NewReplacer("+", "&#43;").Replace(base64.StdEncoding.EncodeToString(sum[:]))) {
				t.Error("the policy does not allow the page's script")
			}
		}
	}
	return list
}

func TestReport(t *testing.T) {
	dir := fake{60, 48, 4}.write(t)
	page := write(t, dir, Options{})
	list := checkPage(t, page)
	ids, titles := map[string]bool{}, []string{}
	for _, e := range list {
		ids[e.attr["id"]] = true
	}
	for _, id := range []string{"evaluation", "curves", "examples", "groups", "runfile"} {
		if !ids[id] {
			t.Errorf("the page has no section %s", id)
		}
	}
	if ids["missing"] {
		t.Error("the page says that something is missing")
	}
	for _, m := range regexp.MustCompile(`<figcaption><b>([^<]*)</b>`).FindAllStringSubmatch(page, -1) {
		titles = append(titles, m[1])
	}
	want := []string{"Held-out reward", "Held-out reward by type", "Reward in training", "Reward in training by type", "Held-out accuracy", "Answers extracted",
		"Completion length", "Cut at the length limit", "KL to the reference", "Entropy", "Loss", "Gradient norm", "Learning rate", "Groups without a signal",
		"Clipped by the ratio", "Throughput", "Time"}
	if !slices.Equal(titles, want) {
		t.Errorf("charts %q, want %q", titles, want)
	}
	for _, s := range []string{"<h1>demo-grpo ", "finished", "reward mcq has not fired in 12 updates", "learning_rate: 1e-4", "<dt>Start</dt><dd>out/demo/sft/step-200/model</dd>", "<dd>out/demo/scenes/records.jsonl</dd>", "<dt>Seed</dt><dd>7</dd>",
		"48 held-out prompts, 4 samples each", "7 min",
		`aria-label="Chart of held-out reward: all types from `, "mean reward of 4 samples",
		"Rewards that failed</th>", "Reward function · digit/mean</th>"} {
		if !strings.Contains(page, s) {
			t.Errorf("the page does not have %q", s)
		}
	}
	// All types and fates are among the examples, with their pictures, and boxes of both evaluations.
	examples := page[strings.Index(page, `<section id="examples">`):strings.Index(page, `<section id="groups">`)]
	for _, s := range []string{`<span class="type">digit`, `<span class="type">iou`, `<span class="type">math`, `<span class="type">mcq`, ">learned<", ">not solved<",
		`<path class="box true"`, `<path class="box before"`, `<path class="box after"`} {
		if !strings.Contains(examples, s) {
			t.Errorf("the examples do not have %q", s)
		}
	}
	if n := strings.Count(examples, "<article"); n != defaultExamples {
		t.Errorf("%d examples, want %d", n, defaultExamples)
	}
	// The picture has 168 by 140 pixels and the gold its coordinates; the answer is in those of 336 by 280, as large as it is shown.
	if !strings.Contains(examples, `<rect class="box true" x="80" y="60" width="104" height="88"/>`) || !strings.Contains(examples, `<rect class="box after" x="84" y="54" width="106" height="96"/>`) {
		t.Error("the boxes are not where they belong")
	}
	if strings.Count(page, `class="member `) != 48 || !strings.Contains(page, ">no signal<") || !strings.Contains(page, ">masked<") {
		t.Error("the last rollout's groups are not all there")
	}

	again := write(t, dir, Options{})
	if again != page {
		t.Error("the same folder gives other bytes")
	}
	t.Logf("the page has %d bytes", len(page))
}

func TestWriteFile(t *testing.T) {
	dir := fake{12, 4, 1}.write(t)
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, filepath.Join(dir, "missing"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a run: %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "old" {
		t.Error("a report that failed has taken the old one's place")
	}
	if err := WriteFile(path, dir, Options{Title: "A <title>"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != write(t, dir, Options{Title: "A <title>"}) || !bytes.Contains(b, []byte("<h1>A &lt;title&gt; ")) {
		t.Error("the file is not the report")
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("something was left behind: %v", entries)
	}
}

func TestSummarize(t *testing.T) {
	dir := fake{60, 48, 4}.write(t)
	s, err := Summarize(dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.Evaluations != 4 || s.FirstUpdate != 0 || s.LastUpdate != 60 || len(s.Types) != 4 || s.Reward.Before == nil || *s.Reward.Change != *s.Reward.After-*s.Reward.Before || *s.Reward.Change < 0.3 {
		t.Errorf("%+v", s)
	}
	if c := s.Metrics["rewards/masked"]; c != (Change{}) {
		t.Errorf("a null is %+v", c)
	}
	if text, err := json.Marshal(s); err != nil || !bytes.Contains(text, []byte(`"types":{"digit":{"before":0.`)) {
		t.Errorf("%s, %v", text, err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "eval")); err != nil {
		t.Fatal(err)
	}
	if _, err := Summarize(dir); !errors.Is(err, ErrNoEvaluation) {
		t.Errorf("without evaluations: %v", err)
	}
}

// TestPartial leaves files out and breaks others: the page says so, and shows the rest.
func TestPartial(t *testing.T) {
	all := []string{"metrics.jsonl", "timing.jsonl", "completions.jsonl", "warnings.jsonl", "run.yaml", "eval", "step-30", "images"}
	put := func(t *testing.T, dir, name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, dir string, names ...string) {
		t.Helper()
		for _, name := range names {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name      string
		change    func(t *testing.T, dir string)
		has, lack []string
	}{
		{"nothing", func(t *testing.T, dir string) { remove(t, dir, all...) }, []string{"metrics.jsonl: it is missing", "no checkpoint"}, []string{`id="curves"`, `id="groups"`}},
		{"no metrics", func(t *testing.T, dir string) { remove(t, dir, "metrics.jsonl", "timing.jsonl", "completions.jsonl") },
			[]string{"evaluated", "Held-out reward", `id="examples"`}, []string{`id="groups"`, `id="missing"`, "Reward in training"}},
		{"no evaluations", func(t *testing.T, dir string) { remove(t, dir, "eval") }, []string{"Reward in training", "first and last update"}, []string{`id="evaluation"`, `id="examples"`, `id="missing"`}},
		{"no samples", func(t *testing.T, dir string) { remove(t, dir, "eval/step-0.jsonl") }, []string{`id="examples"`, "solved"}, []string{"<h4>before"}},
		{"one evaluation", func(t *testing.T, dir string) {
			remove(t, dir, "eval/step-0.json", "eval/step-10.json", "eval/step-20.json")
		}, []string{"<h2>Evaluation</h2>", ">predicted<"}, []string{"<h4>before", `id="missing"`, ">Change<"}},
		{"no completions", func(t *testing.T, dir string) { remove(t, dir, "completions.jsonl") }, []string{"completions.jsonl: it is missing"}, []string{`id="groups"`}},
		{"no pictures", func(t *testing.T, dir string) { remove(t, dir, "images") }, []string{"no such file or directory", "The picture 0.png is missing"}, []string{"<img"}},
		{"no run file", func(t *testing.T, dir string) { remove(t, dir, "run.yaml") }, []string{"run.yaml: it is missing"}, []string{`id="runfile"`}},
		{"torn", func(t *testing.T, dir string) {
			for _, name := range []string{"metrics.jsonl", "completions.jsonl"} {
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				put(t, dir, name, string(b[:len(b)-20]))
			}
			put(t, dir, "eval/step-30.json", `{"update":`)
			put(t, dir, "images/0.png", "\x89PNG\r\n\x1a\nand no more")
		}, []string{"metrics.jsonl: line 60 is left out", "completions.jsonl: line 96 is left out", "eval/step-30.json is left out", "Update 40"}, []string{"Update 60<"}},
		{"empty files", func(t *testing.T, dir string) {
			for _, name := range []string{"metrics.jsonl", "timing.jsonl", "completions.jsonl", "warnings.jsonl", "run.yaml"} {
				put(t, dir, name, "")
			}
		}, []string{`id="examples"`}, []string{`id="missing"`, `id="groups"`}},
		{"folders", func(t *testing.T, dir string) {
			remove(t, dir, all...)
			for _, name := range all {
				if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
					t.Fatal(err)
				}
			}
		}, []string{"metrics.jsonl: not a regular file", "run.yaml: not a regular file"}, nil},
		{"links", func(t *testing.T, dir string) {
			secret := filepath.Join(filepath.Dir(dir), "secret")
			put(t, filepath.Dir(dir), "secret", "a secret")
			for _, name := range []string{"run.yaml", "completions.jsonl"} {
				remove(t, dir, name)
				if err := os.Symlink(secret, filepath.Join(dir, name)); err != nil {
					t.Skip(err)
				}
			}
		}, []string{"run.yaml: "}, []string{"a secret"}},
		{"ended early", func(t *testing.T, dir string) {
			put(t, dir, "step-30/manifest.json", `{"policy":50,"state":{"step":25,"total":30,"ended":"eval_reward has not risen"}}`)
		}, []string{"ended early", "eval_reward has not risen", "it makes the 10 updates after it again"}, nil},
		{"stopped", func(t *testing.T, dir string) {
			put(t, dir, "step-30/manifest.json", `{"policy":60,"state":{"step":25,"total":30,"ended":""}}`)
		}, []string{"not finished", "Step 25 of 30."}, nil},
		{"model", func(t *testing.T, dir string) {
			b, err := os.ReadFile("../../engine/config/testdata/released.json")
			if err != nil {
				t.Skip(err)
			}
			put(t, dir, "step-30/model/config.json", string(b))
		}, []string{"parameters, 3 layers of 64, vision of 4 layers of 32"}, nil},
		{"sft", func(t *testing.T, dir string) {
			remove(t, dir, all...)
			var b bytes.Buffer
			for u := 1; u <= 40; u++ {
				m := map[string]any{"step": u, "loss": 2.0 / float64(u), "learning_rate": 1e-4, "grad_norm": 1, "entropy": 1}
				if u%10 == 0 {
					m["eval_loss"] = 2.1 / float64(u)
				}
				put1(t, &b, m)
			}
			put(t, dir, "metrics.jsonl", b.String())
		}, []string{"Thinker · SFT", "Held-out loss", "0.21</span>", "<b>0.0525</b>", `aria-label="Chart of loss: in training from`, `class="change good">−0.158`}, []string{"completions.jsonl"}},
	}
	if testing.Short() {
		tests = tests[:3]
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := fake{60, 16, 2}.write(t)
			test.change(t, dir)
			page := write(t, dir, Options{})
			checkPage(t, page)
			for _, s := range test.has {
				if !strings.Contains(page, s) {
					t.Errorf("the page does not have %q", s)
				}
			}
			for _, s := range test.lack {
				if strings.Contains(page, s) {
					t.Errorf("the page has %q", s)
				}
			}
		})
	}
}

// TestHostile puts markup, odd numbers and large texts wherever a run's folder has room for them.
func TestHostile(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine's work on megabytes")
	}
	dir := filepath.Join(t.TempDir(), `"><script>alert(1)</script>`)
	attack := "</script></style></textarea>--><script>alert(1)</script><img src=x onerror=alert(1)>\" onclick=\"x' {{.}} \x00\x1b[31m\u202eabc ]]> &lt; `${x}` javascript:alert(1)"
	long := attack + strings.Repeat("<b>\"&'", 1<<16)
	for _, sub := range []string{"eval", "step-3/model"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o777); err != nil {
			t.Skip(err) // the file system knows no such name
		}
	}
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var metrics, timing, completions bytes.Buffer
	for u := range 50 {
		m := map[string]any{"step": u * u * u, attack: 1, "rewards/" + attack + "/mean": u, "reward": 1e308 * float64(u%3-1), "loss": "Infinity", "kl": nil, "grad_norm": "-Infinity", "entropy": attack,
			"learning_rate": 5e-324, "eval_reward": 1e-300}
		if u == 49 {
			m["step"] = int64(1) << 53
		}
		put1(t, &metrics, m)
		put1(t, &timing, map[string]any{"step": u * u * u, "time": 1e300 * float64(u), "time/learn": -1e308, "perf/tokens_per_second": 1e-320 * float64(u)})
	}
	for _, l := range []string{"", "{}", "[1]", `{"step":-1}`, `{"step":1e99}`, `{"step":"1"}`, strings.Repeat("[", 100000), "\xff\xfe", attack} {
		metrics.WriteString(l + "\n")
	}
	put("metrics.jsonl", metrics.Bytes())
	put("timing.jsonl", timing.Bytes())
	boxes := "[-1e9, -1e9, 1e9, 1e9], [0.1, 0.2, 0.3, 0.4], [5, 5, 1, 1], [NaN, 1, 2, 3]"
	for _, n := range []int{0, 7} {
		var lines bytes.Buffer
		for i, kind := range []string{"iou", attack, "", "digit"} {
			put1(t, &lines, map[string]any{"id": attack + fmt.Sprint(i), "type": kind, "question": long, "gt": "[0, 0, 1, 1]", "images": []string{"/dev/zero", "../../..", attack, "eval", long},
				"image_size": []float64{-1, 1e300}, "resized_size": []float64{1}, "sample": -5, "text": "<think>" + long + "</think>" + long, "extracted": boxes, "reward": 1e308, "why": long, "finish_reason": attack, "length": -1})
			put1(t, &lines, map[string]any{"id": i, "reward": attack})
			put1(t, &lines, map[string]any{"question": strings.Repeat("x", 5000)})
		}
		put(fmt.Sprintf("eval/step-%d.jsonl", n), lines.Bytes())
		values, ci := map[string]any{"reward": nil, "reward/" + attack: 1e308, attack: -1e308, "accuracy": "Infinity", attack + "/x": 1}, map[string]any{"reward": []any{nil, 1}, "accuracy": []any{1, 0, 3}, attack: []float64{1, -1}}
		text, _ := json.Marshal(map[string]any{"update": n, "prompts": -1, "k": 1 << 60, "temperature": 1e308, "seed": attack, "metrics": values, "ci": ci})
		put(fmt.Sprintf("eval/step-%d.json", n), text)
	}
	for i := range 300 {
		put1(t, &completions, map[string]any{"step": 9, "prompt": i % 7 * 1000003, "sample": i, "id": attack, "type": attack, "question": attack, "gt": 7, "images": []string{attack}, "text": attack + strings.Repeat("\"", 9000),
			"rewards": map[string]any{attack: 1e308, "nan": nil}, "advantage": []any{1e308, -1e308, nil, 0, "Infinity"}[i%5], "length": i, "finish_reason": attack, "extracted": attack, "why": long[:3000]})
	}
	put("completions.jsonl", completions.Bytes())
	put("warnings.jsonl", fmt.Appendf(nil, "{\"update\":1e300,\"text\":%q}\n{\"text\":7}\nnull\n", "<script>alert(1)</script>"))
	put("run.yaml", []byte(long+"\xff"))
	put("step-3/manifest.json", []byte(`{"policy":-9,"state":{"step":-1,"ended":"<script>alert(1)</script>"}}`))
	put("step-3/model/config.json", []byte(attack))

	page := write(t, dir, Options{Roots: []string{dir}})
	list := checkPage(t, page)
	for _, e := range list {
		if strings.ContainsAny(e.text, "\x00\x1b\u202e") {
			t.Errorf("%s holds control characters", e.name)
		}
	}
	if strings.Contains(page, "<script>alert") || strings.Contains(page, "<img src=x") {
		t.Error("markup of the run is the page's")
	}
	for _, s := range []string{"metrics.jsonl: ", "is not in a folder that pictures may come from", "more bytes", "ended early"} {
		if !strings.Contains(page, s) {
			t.Errorf("the page does not have %q", s)
		}
	}
	t.Logf("the page has %d bytes", len(page))
}

// TestLarge has what makes pages large, and files that cannot be read whole.
func TestLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine's work on megabytes")
	}
	dir := fake{60, 64, 1}.write(t)
	// Photographs: noise that compresses badly.
	rng := rand.New(rand.NewPCG(3, 4))
	noise := image.NewRGBA(image.Rect(0, 0, 1200, 800))
	for i := range noise.Pix {
		noise.Pix[i] = byte(rng.Uint32())
	}
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, noise, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 64 {
		if err := os.WriteFile(filepath.Join(dir, "images", fmt.Sprintf("%d.png", i)), photo.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	// A sparse file of 8 GiB, with a rollout at its end.
	f, err := os.OpenFile(filepath.Join(dir, "completions.jsonl"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	end, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(append([]byte("\n"), end...), 8<<30); err != nil {
		t.Skip(err) // no sparse files
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	page := write(t, dir, Options{Examples: 40})
	runtime.ReadMemStats(&after)
	checkPage(t, page)
	if n := (after.TotalAlloc - before.TotalAlloc) >> 20; n > 1024 {
		t.Errorf("%d MiB were allocated", n)
	}
	if n := strings.Count(page, `class="member `); n != 48 {
		t.Errorf("%d samples of the last rollout, want 48", n)
	}
	if !strings.Contains(page, "left out: pictures may take") || !strings.Contains(page, "<img") {
		t.Error("the room for pictures is not kept to")
	}
	t.Logf("the page has %d bytes", len(page))
}

// TestRoots lets pictures come from named folders only, also through links.
func TestRoots(t *testing.T) {
	dir := fake{12, 8, 1}.write(t)
	if page := write(t, dir, Options{Roots: []string{filepath.Join(dir, "images")}}); !strings.Contains(page, "<img") || strings.Contains(page, "may come from") {
		t.Error("pictures under a root are not shown")
	}
	other := t.TempDir()
	if page := write(t, dir, Options{Roots: []string{other}}); strings.Contains(page, "<img") || !strings.Contains(page, "is not in a folder that pictures may come from") {
		t.Error("pictures beside the roots are shown")
	}
	if err := os.Rename(filepath.Join(dir, "images"), filepath.Join(other, "images")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(other, "images"), filepath.Join(dir, "images")); err != nil {
		t.Skip(err)
	}
	if page := write(t, dir, Options{Roots: []string{dir}}); strings.Contains(page, "<img") {
		t.Error("pictures that links lead to are shown")
	}
}
