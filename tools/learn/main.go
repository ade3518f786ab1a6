// Command learn teaches a checkpoint to answer briefly: the README's training program, with a reward of its own.
package main

import (
	"context"
	"log"
	"os"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
)

func brief(_ context.Context, _ *grpo.Example, samples []*engine.Sample) (scores []float64, _ error) {
	for _, s := range samples {
		scores = append(scores, 1/float64(1+len(s.IDs)))
	}
	return scores, nil
}

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: learn CHECKPOINT RUN QUESTION...")
	}
	ctx := context.Background()
	policy, err := engine.Open(ctx, os.Args[1], engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	trainer, err := policy.NewTrainer(ctx, engine.TrainOptions{})
	if err != nil {
		log.Fatal(err)
	}
	var data grpo.Examples
	for _, q := range os.Args[3:] {
		prompt, err := policy.Ask(q)
		if err != nil {
			log.Fatal(err)
		}
		data = append(data, &grpo.Example{ID: q, Prompt: prompt})
	}
	run := grpo.Run{
		Config:  grpo.Config{Settings: grpo.Defaults(grpo.Paper, grpo.GRPO), Rollouts: 3, Prompts: len(data), Group: 4, Sampling: engine.Sampling{MaxTokens: 32}},
		Keeping: grpo.Keeping{Dir: os.Args[2], Every: 1, Keep: 2},
		Policy:  policy, Trainer: trainer, Math: policy.Math(), Prompts: data,
		Rewards: []grpo.Reward{{Name: "brief", Weight: 1, Score: brief}},
		Progress: func(p grpo.Progress) {
			log.Printf("update %d of %d: reward %.3f, %v left", p.Update, p.Updates, p.Metrics["reward"], p.Left)
		},
	}
	if err := run.Train(ctx, ctx); err != nil {
		log.Fatal(err)
	}
}
