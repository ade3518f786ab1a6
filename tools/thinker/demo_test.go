package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/thinker-vl/thinker/grpo/report"
)

// A demoLine is what the last line on standard output must be, key for key.
type demoLine struct {
	Reward     report.Change            `json:"reward"`
	Types      map[string]report.Change `json:"types"`
	Accuracy   report.Change            `json:"accuracy"`
	Extracted  report.Change            `json:"extracted_ratio"`
	Seed       uint64                   `json:"seed"`
	Seconds    float64                  `json:"seconds"`
	Checkpoint string                   `json:"checkpoint"`
	Report     string                   `json:"report"`
}

// lastLine reads the last line of a demo's standard output.
func lastLine(t *testing.T, stdout string) demoLine {
	t.Helper()
	all := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	var l demoLine
	d := json.NewDecoder(strings.NewReader(all[len(all)-1]))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil || !strings.HasSuffix(stdout, "}\n") {
		t.Fatalf("%v: the last line is not the demo's:\n%s", err, stdout)
	}
	changes := maps.Clone(l.Types)
	changes["reward"], changes["accuracy"], changes["extracted_ratio"] = l.Reward, l.Accuracy, l.Extracted
	for _, name := range []string{"reward", "accuracy", "extracted_ratio", "digit", "iou", "math", "mcq"} {
		c, ok := changes[name]
		if !ok || c.Before == nil || c.After == nil || *c.Before < 0 || *c.Before > 1 || *c.After < 0 || *c.After > 1 {
			t.Errorf("%s is %s, want shares before and after", name, jsonLine(t, c))
		}
		delete(changes, name)
	}
	if len(changes) > 0 || l.Seconds <= 0 {
		t.Errorf("%+v", l)
	}
	if _, err := os.Stat(filepath.Join(l.Checkpoint, "config.json")); err != nil {
		t.Error(err)
	}
	return l
}

// demoFiles are the files of a demo's folder: what must be the same, however often it was interrupted, has its bytes, without the folder's
// own path.
func demoFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch part, base := filepath.Base(filepath.Dir(name)), e.Name(); {
		case part == "tensorboard": // one a start
		case base == "timing.jsonl", base == reportFile, base == runFile, base == "manifest.json": // with times, or the folder's path in a hash
			files[name] = ""
		default:
			files[name] = strings.ReplaceAll(readFile(t, path), dir, "DIR")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// sameDemo compares two demos' files.
func sameDemo(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if text, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if text != want[name] {
			t.Errorf("%s differs", name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s was left behind", name)
		}
	}
}

// TestDemo has a small demo that nothing disturbs, and holds against it those that are interrupted and killed in every stage.
func TestDemo(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	whole := filepath.Join(base, "whole")
	o := thinker(t, "", "demo", "--quick", "--seed", "3", "--out", whole)
	if o.code != 0 {
		t.Fatalf("%+v", o)
	}
	first := lastLine(t, o.stdout)
	if first.Seed != 3 || first.Report != filepath.Join(whole, "report.html") || first.Checkpoint != filepath.Join(whole, "grpo", "step-2", "model") {
		t.Errorf("%+v", first)
	}
	files := demoFiles(t, whole)

	t.Run("report", func(t *testing.T) {
		page := readFile(t, first.Report)
		for _, m := range regexp.MustCompile(`(?i)\b(?:src|href|action|data|poster)\s*=\s*["']([^"']*)`).FindAllStringSubmatch(page, -1) {
			if !strings.HasPrefix(m[1], "data:") && !strings.HasPrefix(m[1], "#") {
				t.Errorf("the page refers to %.80q", m[1])
			}
		}
		if strings.Contains(page, "@import") || strings.Contains(page, "url(") {
			t.Error("the page refers to a style sheet or a font")
		}
		for _, want := range []string{"data:image/png;base64,", "<svg", "Thinker demo"} {
			if !strings.Contains(page, want) {
				t.Errorf("the page has no %q", want)
			}
		}
	})

	// The first signal ends it with the command that goes on, stage by stage.
	t.Run("interrupts", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(base, "interrupted often")
		args := []string{"demo", "--quick", "--seed", "3", "--verbose", "--out", dir}
		for _, stop := range []struct {
			at   string
			code int
		}{{"demo 1/5", exitInterrupted}, {"demo 2/5", exitInterrupted}, {"demo 3/5", exitInterrupted}, {"update 2/4", exitStopped}, {"demo 4/5", exitInterrupted},
			{"update 1/2", exitStopped}} {
			ctx, cancel := context.WithCancel(t.Context())
			w := &trap{text: stop.at, f: cancel}
			var stdout bytes.Buffer
			code := run(ctx, args, strings.NewReader(""), &stdout, w)
			cancel()
			if code != stop.code || stdout.Len() > 0 || !strings.HasSuffix(w.b.String(), "; go on with: thinker demo --out '"+dir+"' --seed 3 --quick\n") {
				t.Errorf("at %q: exit status %d, %s, %s", stop.at, code, stdout.String(), w.b.String())
			}
		}
		lastLine(t, mustRun(t, "", args...))
		sameDemo(t, demoFiles(t, dir), files)
	})

	if testing.Short() {
		return // the rest is about files alone
	}

	t.Run("again", func(t *testing.T) {
		o := thinker(t, "", "demo", "--quick", "--seed", "3", "--out", whole)
		if o.code != 0 || strings.Count(o.stderr, "nothing was left to do") != 2 {
			t.Fatalf("%+v", o)
		}
		second := lastLine(t, o.stdout)
		second.Seconds = first.Seconds
		if got, want := jsonLine(t, second), jsonLine(t, first); got != want {
			t.Errorf("the second time it is %s, the first time %s", got, want)
		}
		sameDemo(t, demoFiles(t, whole), files)
	})

	t.Run("another", func(t *testing.T) {
		goOn := "go on with that one by: thinker demo --out " + whole + " --seed 3 --quick\n"
		for _, args := range [][]string{{"--seed", "4", "--quick"}, {"--seed", "3"}} {
			if o := thinker(t, "", append([]string{"demo", "--out", whole}, args...)...); o.code != exitError || !strings.HasSuffix(o.stderr, goOn) || o.stdout != "" {
				t.Errorf("%s: %+v", args, o)
			}
		}
		sameDemo(t, demoFiles(t, whole), files)
	})

	// A signal from outside, which may come when the stage is over already.
	t.Run("kills", func(t *testing.T) {
		dir := filepath.Join(base, "killed")
		came := 0
		for _, stop := range []struct {
			at     string
			signal syscall.Signal
		}{{"demo 1/5", syscall.SIGKILL}, {"demo 2/5", syscall.SIGKILL}, {"update 2/4", syscall.SIGKILL}, {"update 3/4", syscall.SIGINT}, {"demo 4/5", syscall.SIGKILL},
			{"update 1/2", syscall.SIGKILL}, {"demo 5/5", syscall.SIGKILL}} {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			c := exec.Command(self, "-thinker", "demo", "--quick", "--seed", "3", "--verbose", "--out", dir)
			w := &trap{text: stop.at, f: func() { c.Process.Signal(stop.signal) }}
			c.Stderr = w
			c.Run() // which may have come to its end before the signal
			if !strings.Contains(w.b.String(), stop.at) {
				continue // the kill before came late
			}
			came++
			if code := c.ProcessState.ExitCode(); stop.signal != syscall.SIGKILL && (code != exitStopped && code != exitInterrupted || !strings.Contains(w.b.String(), "; go on with: thinker demo ")) {
				t.Errorf("at %q: exit status %d: %s", stop.at, code, w.b.String())
			}
		}
		if came < 5 {
			t.Errorf("%d of the stages came", came)
		}
		lastLine(t, mustRun(t, "", "demo", "--quick", "--seed", "3", "--out", dir))
		sameDemo(t, demoFiles(t, dir), files)
	})

	// What a kill can leave between two files: the first files of a tokenizer and of a model, scenes on their way.
	t.Run("parts", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(base, "parts")
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"demo.json", "tokenizer/vocab.json", "init/tokenizer.json", "init/.init-00/model.safetensors", ".train.tmp-1/images/scene-000000.png", ".demo.json.tmp-0",
			".report.html.123", "prompt.tmpl"} {
			path := filepath.Join(dir, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			text := "half"
			if name == "demo.json" {
				text = files[name]
			}
			writeFile(t, path, text)
		}
		lastLine(t, mustRun(t, "", "demo", "--quick", "--seed", "3", "--out", dir))
		sameDemo(t, demoFiles(t, dir), files)
	})
}

// TestDemoFolder refuses folders that are not a demo's, and leaves them as they are.
func TestDemoFolder(t *testing.T) {
	base := t.TempDir()
	file := writeFile(t, filepath.Join(base, "file"), "x")
	foreign, npm, used := filepath.Join(base, "foreign"), filepath.Join(base, "npm"), filepath.Join(base, "used")
	for _, dir := range []string{foreign, npm, used} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(foreign, "thesis.tex"), "x")
	writeFile(t, filepath.Join(npm, "demo.json"), `{"name": "x"}`)
	release, err := (&demo{app: &app{}, dir: used, seed: 1, quick: true}).claim()
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{file: "not a directory", foreign: "holds files that are no demo's (thesis.tex): choose another --out",
		npm: "demo.json is no demo's", used: "another demo is at work"} {
		before := ""
		if dir != file {
			before = entries(t, dir)
		}
		if o := thinker(t, "", "demo", "--quick", "--out", dir); o.code != exitError || !strings.Contains(o.stderr, want) || o.stdout != "" {
			t.Errorf("%s: %+v, want %q", dir, o, want)
		}
		if dir != file && entries(t, dir) != before {
			t.Errorf("%s holds %s, before %s", dir, entries(t, dir), before)
		}
	}
	release()
	if o := thinker(t, "", "demo", "--out", used); o.code != exitError || !strings.Contains(o.stderr, "holds another demo") {
		t.Errorf("%+v", o)
	}
	if o := thinker(t, "", "demo", "more"); o.code != exitUsage {
		t.Errorf("%+v", o)
	}
}

// TestDemoLearns reads what `make demo` has written to standard output, in the file that $THINKER_DEMO names: .ci/run sets it.
func TestDemoLearns(t *testing.T) {
	path := os.Getenv("THINKER_DEMO")
	if path == "" {
		t.Skip("THINKER_DEMO names no output of a whole demo: .ci/run makes one")
	}
	l := lastLine(t, readFile(t, path))
	t.Logf("held-out reward %.3f before, %.3f after; answers found in %.3f, then %.3f; %.0f s", *l.Reward.Before, *l.Reward.After, *l.Extracted.Before, *l.Extracted.After, l.Seconds)
	if gain := *l.Reward.After - *l.Reward.Before; gain < 0.10 {
		t.Errorf("GRPO raises the held-out reward by %.3f, want 0.10 or more", gain)
	}
	if *l.Extracted.After <= 0.95 {
		t.Errorf("answers are found in %.3f of the samples, want more than 0.95", *l.Extracted.After)
	}
	if fi, err := os.Stat(l.Report); err != nil || fi.Size() < 10_000 {
		t.Errorf("the report: %v, %v", fi, err)
	}
}
