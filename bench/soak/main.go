// The command soak trains a small model on thousands of pictures of real size and prints what memory the process has as it goes. A run's
// memory is planned before its first step and does not grow with the data; this is where that is looked at.
//
//	go run ./bench/soak -pictures 2000 -steps 200
//
// Everything is made from nothing in a temporary folder: scenes in four sizes, a tokenizer of their questions, a model. A step takes
// pictures/steps prompts, so that a run sees every picture once. Memory is what Linux says of the process (VmRSS, VmHWM of
// /proc/self/status) and what Go's runtime says of its heap: bytes that the last collection found alive, and bytes mapped. It is read
// behind each update, where a rollout's pictures are still held.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/data/scenes"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/scratch"
	"github.com/thinker-vl/thinker/engine/tokenizer"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/dataset"
	"github.com/thinker-vl/thinker/grpo/reward/mixed"
)

type options struct {
	pictures, steps, group, tokens, pixels, every, save int
	freeze                                              bool
	dir, heap                                           string
}

func main() {
	var o options
	flag.IntVar(&o.pictures, "pictures", 2000, "pictures of the data set")
	flag.IntVar(&o.steps, "steps", 200, "steps of the run; a step takes pictures/steps prompts")
	flag.IntVar(&o.group, "group", 2, "samples of a prompt")
	flag.IntVar(&o.tokens, "max-tokens", 8, "most tokens of a sample")
	flag.IntVar(&o.pixels, "max-pixels", 224*224, "most pixels of a picture as the model sees it")
	flag.IntVar(&o.every, "every", 10, "steps between lines")
	flag.IntVar(&o.save, "save", 50, "steps between checkpoints")
	flag.BoolVar(&o.freeze, "freeze", false, "the vision tower does not learn")
	flag.StringVar(&o.dir, "dir", "", "folder for the data, which stays; default a temporary one")
	flag.StringVar(&o.heap, "heap", "", "write a heap profile to this file at the end")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, &o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// sizes are those of pictures: of screens, of cameras, on end.
func sizes() [][2]int { return [][2]int{{640, 480}, {800, 600}, {768, 1024}, {1280, 960}} }

// write makes the pictures, and returns the files of their records.
func write(ctx context.Context, dir string, pictures int) (files []string, err error) {
	for i, size := range sizes() {
		n := (pictures*(i+1))/len(sizes()) - pictures*i/len(sizes())
		sub := filepath.Join(dir, fmt.Sprintf("%dx%d", size[0], size[1]))
		files = append(files, filepath.Join(sub, scenes.RecordsFile))
		if _, err := os.Stat(sub); err == nil || n == 0 {
			continue // of an earlier run with this folder
		}
		if err := scenes.Write(ctx, sub, scenes.Config{N: n, Seed: uint64(i + 1), Width: size[0], Height: size[1]}, nil); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// makeModel makes a small model whose tokenizer is trained on the set's questions.
func makeModel(ctx context.Context, dir string, set *data.Set, pixels int) (string, error) {
	var fault error
	tok, err := tokenizer.Train(func(yield func(string) bool) {
		for i := range set.Len() {
			r, err := set.Record(i)
			if err != nil {
				fault = err
				return
			}
			if !yield(r.Question + "\n" + r.Response) {
				return
			}
		}
	}, tokenizer.TrainOptions{VocabSize: 500, Fewer: true})
	if err = errors.Join(fault, err); err != nil {
		return "", err
	}
	cfg, err := scratch.Config(tok, scratch.Sizes{Hidden: 64, Layers: 2, Heads: 4, KVHeads: 2, VisionHidden: 32, VisionDepth: 2, VisionHeads: 2})
	if err != nil {
		return "", err
	}
	files, model := filepath.Join(dir, "tokenizer"), filepath.Join(dir, "model")
	if err := scratch.WriteCompanions(files, tok, cfg, scratch.Pixels{Max: pixels}); err != nil {
		return "", err
	}
	return model, checkpoint.Init(ctx, model, cfg, checkpoint.InitOptions{Tokenizer: files, Seed: 1})
}

func run(ctx context.Context, out io.Writer, o *options) (err error) {
	if o.steps < 1 || o.pictures < o.steps || o.every < 1 {
		return fmt.Errorf("%d pictures, %d steps, a line every %d: want at least one of each a step", o.pictures, o.steps, o.every)
	}
	work, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if o.dir == "" {
		o.dir = filepath.Join(work, "data")
	}
	clock := time.Now()
	files, err := write(ctx, o.dir, o.pictures)
	if err != nil {
		return err
	}
	set, report, err := data.Open(ctx, data.Options{Want: data.WantGold | data.WantResponse}, files...)
	if err != nil {
		return err
	}
	defer set.Close()
	fmt.Fprintf(out, "%s, made in %.0f s\n", report, time.Since(clock).Seconds())
	model, err := makeModel(ctx, work, set, o.pixels)
	if err != nil {
		return err
	}
	policy, err := engine.Open(ctx, model, engine.Options{DType: engine.BF16, CacheBytes: 32 << 20})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, policy.Close()) }()
	var train engine.TrainOptions
	if o.freeze {
		train.Freeze = []string{"visual."}
	}
	trainer, err := policy.NewTrainer(ctx, train)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, trainer.Close()) }()
	math := policy.Math()
	defer func() { err = errors.Join(err, math.Close()) }()
	prompts, err := dataset.NewPrompts(ctx, policy, set, dataset.Options{Room: o.tokens})
	if err != nil {
		return err
	}
	rewards, err := mixed.Open(mixed.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rewards.Close()) }()
	s := grpo.Defaults(grpo.Paper, grpo.GRPO)
	s.LearningRate = 1e-4
	// What an untrained model can be rewarded for, so that there are gradients.
	length := grpo.Reward{Name: "length", Weight: 1, Score: func(_ context.Context, _ *grpo.Example, samples []*engine.Sample) ([]float64, error) {
		scores := make([]float64, len(samples))
		for i, x := range samples {
			scores[i] = float64(len(x.Text))
		}
		return scores, nil
	}}
	r := &grpo.Run{
		Config: grpo.Config{Settings: s, Seed: 1, Rollouts: o.steps, Prompts: o.pictures / o.steps, Group: o.group,
			Sampling: engine.Sampling{MaxTokens: o.tokens}},
		Keeping: grpo.Keeping{Dir: filepath.Join(work, "run"), Every: o.save, Keep: 2, Log: slog.New(slog.DiscardHandler)},
		Policy:  policy, Trainer: trainer, Math: math, Prompts: prompts, Rewards: append(dataset.Rewards(rewards.Registry, prompts.Types(), nil), length),
	}
	fmt.Fprintf(out, "%d pictures seen, %d prompts a step, %d samples of at most %d tokens each; %d CPUs, %s\n\n", o.steps*r.Config.Prompts, r.Config.Prompts, o.group, o.tokens,
		runtime.GOMAXPROCS(0), runtime.Version())
	fmt.Fprintln(out, "| step | s | RSS MiB | peak RSS MiB | Go heap alive MiB | Go heap mapped MiB | goroutines | open files |")
	fmt.Fprintln(out, "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	clock = time.Now()
	r.Progress = func(p grpo.Progress) {
		if p.Rollout == 1 || p.Rollout%int64(o.every) == 0 {
			fmt.Fprintf(out, "| %d | %.0f | %s |\n", p.Rollout, time.Since(clock).Seconds(), memory())
		}
	}
	if err := r.Train(ctx, ctx); err != nil {
		return err
	}
	if o.heap == "" {
		return nil
	}
	f, err := os.Create(o.heap)
	if err != nil {
		return err
	}
	runtime.GC()
	return errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
}

// memory is the process's memory as cells of the table.
func memory() string {
	status, _ := os.ReadFile("/proc/self/status") // elsewhere than on Linux there is none
	kilobytes := func(key string) string {
		for line := range bytes.Lines(status) {
			if rest, ok := strings.CutPrefix(string(line), key+":"); ok {
				n, _ := strconv.Atoi(strings.Fields(rest)[0])
				return fmt.Sprintf("%.1f", float64(n)/1024)
			}
		}
		return "-"
	}
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(samples)
	mib := func(v ...metrics.Sample) string {
		sum := uint64(0)
		for _, x := range v {
			sum += x.Value.Uint64()
		}
		return fmt.Sprintf("%.1f", float64(sum)/(1<<20))
	}
	open := "-"
	if names, err := os.ReadDir("/proc/self/fd"); err == nil {
		open = strconv.Itoa(len(names) - 1) // one is the folder's
	}
	return strings.Join([]string{kilobytes("VmRSS"), kilobytes("VmHWM"), mib(samples[0]), mib(samples[1:4]...), fmt.Sprint(samples[4].Value.Uint64()), open}, " | ")
}
