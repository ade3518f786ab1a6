package dataset

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/reward"
	"github.com/thinker-vl/thinker/grpo/reward/mixed"
)

// Runs on real data: the records of VLAA-Thinking that the test data has, and MATH-Vision's questions, with their pictures of many sizes.

// realData are the files, of how many records one is taken, how many prompts a rollout takes, and when its process is killed.
var realData = map[string]struct {
	file    string
	of      int
	prompts int
	moments []moment
}{
	"vlaa":       {"records.jsonl", 1, 5, []moment{inRollout, inSave}}, // all records
	"mathvision": {"questions.jsonl", 5, 4, []moment{inUpdate}},
}

// sources says what verifies the records of each source of VLAA-Thinking, whose SFT files do not.
type sources struct{ *data.Set }

func (s sources) Record(i int) (*data.Record, error) {
	r, err := s.Set.Record(i)
	if err != nil {
		return nil, err
	}
	for prefix, kind := range map[string]string{"clevr_math": "digit", "geoqa170k": "mcq", "synthesis": "math", "arxivqa": "mcq", "allava": "open_ended"} {
		if strings.HasPrefix(r.ID, prefix+"-") {
			r.Type = kind
		}
	}
	return r, nil
}

// A moment is where a run kills its process.
type moment string

const (
	inRollout moment = "in the second rollout"
	inUpdate  moment = "in the second step, after its update"
	inSave    moment = "behind the second step, before the checkpoint is done"
)

// realSteps is how many steps a run makes. Every one is saved.
const realSteps = 3

// realRun trains the golden checkpoint in dir on one of the sets. It kills the process at a moment.
func realRun(t *testing.T, name, dir string, at moment) {
	ctx := context.Background()
	root := os.Getenv("THINKER_TESTDATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "testdata")
	}
	// An absolute root: the paths of pictures are in the run's files.
	root, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	d := realData[name]
	file := filepath.Join(root, name, d.file)
	if _, err := os.Stat(file); err != nil {
		t.Skipf("no test data at %s: set THINKER_TESTDATA to its folder", file)
	}
	set, report, err := data.Open(ctx, data.Options{Want: data.WantGold, Type: "math"}, file)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	if report.Left() != 0 {
		t.Errorf("records are left out: %s", report)
	}
	var some []int
	for i := 0; i < set.Len(); i += d.of {
		some = append(some, i)
	}
	set = set.Pick(some)
	defer set.Close()
	e, err := engine.Open(ctx, filepath.Join(root, "golden", "tiny"), engine.Options{DType: engine.BF16, CacheBytes: 16 << 20, MaxBatch: 16})
	if err != nil {
		t.Fatal(err)
	}
	learner, err := e.NewTrainer(ctx, engine.TrainOptions{})
	if err != nil {
		t.Fatal(err)
	}
	math := e.Math()
	defer func() {
		if err := errors.Join(math.Close(), learner.Close(), e.Close()); err != nil {
			t.Error(err)
		}
	}()
	prompts, err := NewPrompts(ctx, e, sources{set}, Options{Room: 12})
	if err != nil {
		t.Fatal(err)
	}
	if r := prompts.Report(); r.Kept != r.Records || r.Pictures < r.Records {
		t.Errorf("%+v", r)
	}
	// In the judge's place stands what always has a score.
	rewards, err := mixed.Open(mixed.Config{Go: map[string]reward.Verifier{reward.OpenEnded: reward.Func(reward.Format)}})
	if err != nil {
		t.Fatal(err)
	}
	defer rewards.Close()
	var examples atomic.Int64
	kill := func(now moment) {
		if at == now {
			if p, err := os.FindProcess(os.Getpid()); err == nil {
				p.Kill()
			}
			select {} // until the signal arrives
		}
	}
	// A model that has learned nothing answers nothing; letters it does write.
	letters := grpo.Reward{Name: "letters", Weight: 1, Score: func(_ context.Context, _ *grpo.Example, samples []*engine.Sample) ([]float64, error) {
		if examples.Add(1) > int64(d.prompts) {
			kill(inRollout)
		}
		scores := make([]float64, len(samples))
		for i, s := range samples {
			for _, b := range []byte(s.Text) {
				if 'a' <= b && b <= 'z' {
					scores[i] += 0.1
				}
			}
		}
		return scores, nil
	}}
	s := grpo.Defaults(grpo.Paper, grpo.GRPO)
	s.LearningRate = 1e-3
	run := &grpo.Run{
		Config:  grpo.Config{Settings: s, Seed: 5, Rollouts: realSteps, Prompts: d.prompts, Group: 2, Sampling: engine.Sampling{MaxTokens: 12}},
		Keeping: grpo.Keeping{Dir: dir, Every: 1, Log: slog.New(slog.DiscardHandler)},
		Policy:  e, Trainer: learner, Math: math, Prompts: prompts, Rewards: append(Rewards(rewards.Registry, prompts.Types(), nil), letters),
		Progress: func(p grpo.Progress) {
			if p.Rollout == 2 {
				kill(inUpdate)
			}
		},
	}
	if at == inSave {
		go func() {
			// The folder of a checkpoint that is being written has a name of its own.
			for {
				names, _ := filepath.Glob(filepath.Join(dir, ".tmp-2-*"))
				if len(names) > 0 {
					kill(inSave)
				}
			}
		}()
	}
	if err := run.Train(ctx, ctx); err != nil {
		t.Fatal(err)
	}
}

// A child of TestRealData trains in the folder that this variable names, on the set and up to the moment behind it.
const realEnv = "THINKER_TEST_REAL_RUN"

func TestRealDataChild(t *testing.T) {
	args := strings.Split(os.Getenv(realEnv), "|")
	if len(args) != 3 {
		t.Skip("the child of TestRealData")
	}
	realRun(t, args[1], args[0], moment(args[2]))
}

// realFiles reads what a run leaves: its last checkpoint, metrics and completions.
func realFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, name := range []string{"metrics.jsonl", "completions.jsonl", fmt.Sprintf("step-%d", realSteps)} {
		err := filepath.WalkDir(filepath.Join(dir, name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			all[rel], err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestRealData trains on real records and pictures; a run whose process is killed by SIGKILL within its second step, and that is run again,
// ends in the bytes of one that was not.
func TestRealData(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds of training")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range realData {
		t.Run(name, func(t *testing.T) {
			whole := t.TempDir()
			realRun(t, name, whole, "")
			want := realFiles(t, whole)
			for _, file := range []string{"model/model.safetensors", "state/optimizer.safetensors"} {
				if file = filepath.Join(fmt.Sprintf("step-%d", realSteps), file); len(want[file]) == 0 {
					t.Errorf("there is no %s", file)
				}
			}
			checkReal(t, want, d.prompts)
			for _, at := range d.moments {
				dir := filepath.Join(t.TempDir(), "run")
				child := func(at moment) (string, error) {
					c := exec.Command(exe, "-test.run", "^TestRealDataChild$", "-test.count", "1")
					c.Env = append(os.Environ(), realEnv+"="+strings.Join([]string{dir, name, string(at)}, "|"))
					out, err := c.CombinedOutput()
					return string(out), err
				}
				out, err := child(at)
				if x, ok := errors.AsType[*exec.ExitError](err); !ok || x.Exited() {
					t.Fatalf("the run that kills itself %s ended with %v: %s", at, err, out)
				}
				if _, err := os.Stat(filepath.Join(dir, "step-1")); err != nil {
					t.Errorf("killed %s: %v", at, err)
				}
				if _, err := os.Stat(filepath.Join(dir, "step-2")); err == nil && at != inSave { // a save takes no time
					t.Errorf("killed %s: the second step was saved", at)
				}
				if out, err := child(""); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				got := realFiles(t, dir)
				for file, b := range want {
					if !bytes.Equal(got[file], b) {
						t.Errorf("killed %s and run again: %s has other bytes", at, file)
					}
				}
				if len(got) != len(want) {
					t.Errorf("%d files, want %d", len(got), len(want))
				}
			}
		})
	}
}

// checkReal looks at what a run has written.
func checkReal(t *testing.T, files map[string][]byte, prompts int) {
	t.Helper()
	steps, learned := 0, false
	for line := range bytes.Lines(files["metrics.jsonl"]) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		steps++
		for k, v := range m {
			// The mean of a reward that scored none of a step's samples is no number.
			if _, ok := v.(float64); !ok && !(v == nil && strings.HasPrefix(k, "rewards/")) {
				t.Errorf("step %d: %s is %v", steps, k, v)
			}
		}
		learned = learned || m["grad_norm"].(float64) > 0
		for _, k := range []string{"rewards/letters/mean", "loss", "completions/mean_length"} {
			if _, ok := m[k].(float64); !ok {
				t.Errorf("step %d: %s is %v", steps, k, m[k])
			}
		}
	}
	if steps != realSteps || !learned {
		t.Errorf("%d steps, learned %t", steps, learned)
	}
	n := 0
	in := bufio.NewScanner(bytes.NewReader(files["completions.jsonl"]))
	for in.Buffer(nil, 1<<20); in.Scan(); n++ {
		var c struct {
			Rewards map[string]*float64 `json:"rewards"`
			Type    string              `json:"type"`
		}
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if v := c.Rewards[c.Type]; v == nil {
			t.Errorf("a completion of type %q has the rewards %v", c.Type, c.Rewards)
		}
	}
	if in.Err() != nil || n != realSteps*prompts*2 {
		t.Errorf("%d completions, want %d (%v)", n, realSteps*prompts*2, in.Err())
	}
}
