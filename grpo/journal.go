package grpo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo/metrics"
	"github.com/thinker-vl/thinker/grpo/run"
)

// Keeping says where and when a run is saved.
type Keeping struct {
	Dir      string
	Every    int  // rollouts (of SFT: updates) between checkpoints; 0: only at the end
	Keep     int  // newest checkpoints that stay; 0: all
	KeepBest bool // the one with the best evaluation stays, too
	Log      *slog.Logger
}

// State is what a run carries from step to step, beside weights and optimizer.
type State struct {
	Step    int64        `json:"step"`   // rollouts made; of SFT: updates
	Total   int64        `json:"total"`  // of them the run is to make
	Update  int64        `json:"update"` // optimizer steps, skipped ones included
	Cursor  data.Cursor  `json:"cursor"`
	KL      KLController `json:"kl"`
	Tokens  int64        `json:"tokens"`   // of prompts and completions, so far
	Skipped int64        `json:"skipped"`  // updates whose gradient was not finite
	InARow  int          `json:"in_a_row"` // of them, the last ones
	Ended   string       `json:"ended"`    // why the run ended before its last rollout; "": it did not
	Early   EarlyState   `json:"early"`
	Watch   WatchState   `json:"watch"`
}

// A journal is a run's folder: checkpoints, metrics and completions.
type journal struct {
	keeping Keeping
	dir     *run.Dir
	log     *metrics.Log
	learner *engine.Trainer
	State   State
}

const (
	modelFolder = "model"
	stateFolder = "state"
	stateFile   = "optimizer.safetensors"
)

// openJournal opens the run in k.Dir, and goes on from its newest checkpoint if it has one. config is what the run's numbers depend on.
func openJournal(ctx context.Context, k Keeping, e *engine.Engine, learner *engine.Trainer, config any, start State) (_ *journal, err error) {
	text, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("grpo: the run's configuration: %w", err)
	}
	j := &journal{keeping: k, learner: learner, State: start}
	o := run.Options{Model: hash(e.Config().Raw), Config: hash(text), Binary: binaryVersion(), Keep: k.Keep, KeepBest: k.KeepBest, Log: k.Log}
	if j.dir, err = run.Open(run.Disk{}, k.Dir, o); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			j.dir.Close()
		}
	}()
	after := int64(-1)
	switch ck, err := j.dir.Load(ctx); {
	case errors.Is(err, run.ErrNone):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(ck.State, &j.State); err != nil {
			return nil, fmt.Errorf("grpo: %s: its state: %w", ck.Dir, err)
		}
		j.State.Total = start.Total // checkpoints of older versions have none
		if err := learner.LoadState(ck.Path(stateFolder + "/" + stateFile)); err != nil {
			return nil, err
		}
		after = j.State.Update
	}
	if j.log, err = metrics.Open(k.Dir, after, metrics.Options{}); err != nil {
		return nil, err
	}
	return j, nil
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// binaryVersion is the program's version, for the record.
func binaryVersion() string {
	if b, ok := debug.ReadBuildInfo(); ok {
		return b.Main.Path + " " + b.Main.Version + " " + b.GoVersion
	}
	return ""
}

// save writes a checkpoint of the state as it is. score is the evaluation's, if there was one.
func (j *journal) save(ctx context.Context, score *float64) error {
	if err := j.log.Sync(); err != nil {
		return err
	}
	text, err := json.Marshal(&j.State)
	if err != nil {
		return err
	}
	weights, state := j.learner.SavedBytes()
	return j.dir.Save(ctx, run.Meta{Step: j.State.Step, Policy: j.State.Update, State: text, Score: score},
		run.File{Name: modelFolder, Size: weights, Folder: func(ctx context.Context, dir string) error { return j.learner.SaveModel(ctx, dir, nil) }},
		run.File{Name: stateFolder, Size: state, Folder: func(_ context.Context, dir string) error { return j.learner.SaveState(filepath.Join(dir, stateFile)) }})
}

func (j *journal) close() error {
	err := j.log.Close()
	j.dir.Close()
	return err
}

// defaultMaxSkipped is how many updates in a row may have no finite gradient before a run ends.
const defaultMaxSkipped = 5

// skip counts an update that was not made, and leaves what it would have learned from for replay. It fails when too many came in a row.
func (j *journal) skip(s *Settings, batch []Episode, cause error, most int) error {
	j.State.Skipped++
	j.State.InARow++
	path, err := j.dump(s, batch, cause)
	if err != nil {
		return err
	}
	j.keeping.Log.Warn("grpo: an update is skipped", "update", j.State.Update, "reason", cause, "batch", path)
	if most == 0 {
		most = defaultMaxSkipped
	}
	if j.State.InARow >= most {
		return fmt.Errorf("grpo: %d updates in a row had no finite gradient, the last: %w (its batch is %s): lower the learning rate, or look at the data", j.State.InARow, cause, path)
	}
	return nil
}

// dump writes a batch whose gradient was not finite, so that the step can be replayed with the command step on the last checkpoint's
// model.
func (j *journal) dump(s *Settings, episodes []Episode, cause error) (string, error) {
	path := filepath.Join(j.keeping.Dir, fmt.Sprintf("skipped-%d.jsonl", j.State.Update))
	var b []byte
	for i := range episodes {
		e := &episodes[i]
		images := []string{}
		for _, m := range e.Prompt.Images {
			images = append(images, m.Path)
		}
		line := map[string]any{"prompt_ids": e.Prompt.IDs, "images": images, "completion_ids": e.IDs, "truncated": e.Truncated, "cause": cause.Error()}
		if s.LossType != SFT {
			line["old_logprobs"] = finite32(e.OldLogProbs)
			if e.Advantage != nil {
				line["advantage"] = *e.Advantage
			}
		}
		if e.RefLogProbs != nil {
			line["ref_logprobs"] = finite32(e.RefLogProbs)
		}
		text, err := json.Marshal(line)
		if err != nil {
			return path, err
		}
		b = append(append(b, text...), '\n')
	}
	return path, os.WriteFile(path, b, 0o666)
}

// finite32 is v with null for what JSON has no number for.
func finite32(v []float32) []*float32 {
	out := make([]*float32, len(v))
	for i := range v {
		if v[i]-v[i] == 0 {
			out[i] = &v[i]
		}
	}
	return out
}
