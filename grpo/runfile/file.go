package runfile

import (
	"time"

	"github.com/thinker-vl/thinker/binding"
	"github.com/thinker-vl/thinker/data/prompt"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/dataset"
)

// A Kind is what a run does.
type Kind string

// The kinds.
const (
	GRPO Kind = "grpo"
	SFT  Kind = "sft"
)

// A File is a resolved run file.
type File struct {
	Kind     Kind
	Settings grpo.Settings // the section grpo, or sft
	Seed     uint64

	Model       Model
	Data        Data
	Prompt      Prompt
	Rollout     Rollout // of GRPO
	Batch       Batch   // of SFT
	Rewards     Rewards // of GRPO
	Evaluation  Evaluation
	EarlyStop   grpo.EarlyStop // of GRPO
	Checkpoints Checkpoints
}

// Model is the section model.
type Model struct {
	Path      string
	Reference string // the frozen policy of KL; "": Path
	DType     engine.DType

	MinPixels, MaxPixels int // 0: the checkpoint's

	Threads      int
	ISA          binding.ISA
	Library      string
	MaxBatch     int
	PrefillChunk int
	Cache        int64 // bytes

	VisionLRScale  float64 // times the learning rate, for the vision tower
	MicroBatchRows int
	Recompute      bool
}

// Data is the section data.
type Data struct {
	Files    []string
	Roots    []string // folders of pictures
	HeldOut  []string // files of records to evaluate on
	Split    int      // or so many of Files, drawn by the seed
	Type     string   // verifier_type of records without one
	Types    []string // the only ones; nil: all that the rewards know
	Skip     bool
	Check    dataset.Check
	Epochs   int
	Shuffle  bool
	DropLast bool
	SHA256   []string // of Files, then HeldOut; filled in when a run starts
}

// Prompt is the section prompt.
type Prompt struct {
	Layout    string // paper, or a template file
	Template  string // the template's text; "": that of Layout
	MaxLength int    // tokens; 0: the context
}

// Rollout is the section rollout.
type Rollout struct {
	Prompts         int
	Group           int
	UpdateSequences int
	Iterations      int
	Rollouts        int
	TopP            float64
	TopK            int
	MinP            float64
	DynamicSampling float64
	DynamicAhead    int
	MaxSkipped      int
}

// Batch is the section batch.
type Batch struct {
	Sequences  int
	Updates    int
	MaxSkipped int
}

// Rewards is the section rewards.
type Rewards struct {
	Extract         string
	Weights         map[string]float64
	Format          float64
	OverlongBuffer  int
	OverlongPenalty float64

	JudgeURL, JudgeModel  string
	JudgeSystem           string
	JudgeBlind            bool
	ModelURL, ModelName   string
	ModelBeta             float64
	KeyEnv                string
	Concurrency           int
	Rate                  float64
	CallTimeout, Deadline time.Duration
	Attempts              int
	MaxCalls, MaxTokens   int
	Exec                  map[string][]string
	ExecMemory            int64
	ExecWorkers           int
	HTTP                  map[string]string
	Timeout               time.Duration
	Workers               int
	DryRun                int
	DryRunMaxRejected     float64
	DryRunWarn            bool
}

// Evaluation is the section evaluation.
type Evaluation struct {
	Every               int // rollouts; of SFT: updates
	AtStart             bool
	K                   int
	Temperature         float64
	MaxCompletionLength int
	Pass                float64
}

// Checkpoints is the section checkpoints.
type Checkpoints struct {
	Dir   string
	Every int
	Keep  int
	Best  bool
}

// Default is what a file says that says nothing.
func Default(k Kind) *File {
	f := &File{Kind: k, Settings: grpo.Defaults("", ""), Seed: 0}
	f.Model.DType, f.Model.VisionLRScale = engine.BF16, 1
	f.Data.Epochs, f.Data.Shuffle = 1, true
	f.Prompt.Layout = prompt.PaperName
	f.Rollout = Rollout{Prompts: 8, Group: 8, Iterations: 1, TopP: 1, MaxSkipped: 5}
	f.Batch = Batch{Sequences: 8, MaxSkipped: 5}
	f.Rewards = Rewards{Extract: "answer", ModelBeta: 0.2, Concurrency: 8, CallTimeout: time.Minute, Deadline: 3 * time.Minute, Attempts: 4, ExecWorkers: 2,
		Timeout: 5 * time.Minute, Workers: 8, DryRun: 64, DryRunMaxRejected: 0.1}
	f.Evaluation = Evaluation{K: 1, Pass: 0.5}
	f.Checkpoints = Checkpoints{Every: 10, Keep: 3, Best: true}
	if k == SFT {
		f.Settings = grpo.Defaults("", grpo.SFT)
		f.Checkpoints.Every = 100
	}
	return f
}

// Config is the run as grpo wants it.
func (f *File) Config() grpo.Config {
	r, v := &f.Rollout, &f.Evaluation
	return grpo.Config{
		Settings: f.Settings, Seed: f.Seed, InOrder: !f.Data.Shuffle, Rollouts: r.Rollouts, Epochs: f.Data.Epochs, DropLast: f.Data.DropLast,
		Prompts: r.Prompts, Group: r.Group, UpdateSequences: r.UpdateSequences, Iterations: r.Iterations,
		Sampling:   engine.Sampling{TopP: r.TopP, TopK: r.TopK, MinP: r.MinP},
		Overlong:   grpo.Overlong{Buffer: f.Rewards.OverlongBuffer, Penalty: f.Rewards.OverlongPenalty},
		Dynamic:    grpo.DynamicSampling{MaxOversampling: r.DynamicSampling, Ahead: r.DynamicAhead},
		MaxSkipped: r.MaxSkipped,
		Evaluation: grpo.Evaluation{Every: v.Every, AtStart: v.AtStart, N: v.K, Temperature: v.Temperature, MaxTokens: v.MaxCompletionLength, Pass: v.Pass},
		Early:      f.EarlyStop,
		Judging:    grpo.Judging{RewardWorkers: f.Rewards.Workers, RewardTimeout: f.Rewards.Timeout},
	}
}

// SFTConfig is the run as grpo wants it.
func (f *File) SFTConfig() grpo.SFTConfig {
	return grpo.SFTConfig{Settings: f.Settings, Seed: f.Seed, InOrder: !f.Data.Shuffle, Updates: f.Batch.Updates, Epochs: f.Data.Epochs,
		Sequences: f.Batch.Sequences, MaxSkipped: f.Batch.MaxSkipped, EvaluateEvery: f.Evaluation.Every}
}

// Keeping says where the run is kept.
func (f *File) Keeping() grpo.Keeping {
	c := &f.Checkpoints
	return grpo.Keeping{Dir: c.Dir, Every: c.Every, Keep: c.Keep, KeepBest: c.Best}
}

// EngineOptions are those of the policy's engine.
func (f *File) EngineOptions() engine.Options {
	m := &f.Model
	return engine.Options{DType: m.DType, Threads: m.Threads, ISA: m.ISA, Library: m.Library, MinPixels: m.MinPixels, MaxPixels: m.MaxPixels, MaxBatch: m.MaxBatch,
		PrefillChunk: m.PrefillChunk, CacheBytes: m.Cache}
}

// visionPrefix begins the names of the vision tower's tensors, the merger's among them.
const visionPrefix = "visual."

// TrainOptions are those of its trainer.
func (f *File) TrainOptions() engine.TrainOptions {
	o := engine.TrainOptions{MicroBatchRows: f.Model.MicroBatchRows, Recompute: f.Model.Recompute}
	switch scale := f.Model.VisionLRScale; {
	case f.Settings.FreezeVisionTower || scale == 0:
		o.Freeze = []string{visionPrefix}
	case scale != 1:
		o.Groups = []engine.ParameterGroup{{Prefix: visionPrefix, LRScale: scale}}
	}
	return o
}

// Layout is the prompts' layout.
func (f *File) Layout() (*prompt.Layout, error) {
	switch p := &f.Prompt; {
	case p.Template != "":
		return prompt.Parse(p.Layout, p.Template)
	case p.Layout == prompt.PaperName:
		return prompt.Paper(), nil
	default:
		return prompt.Load(p.Layout)
	}
}
