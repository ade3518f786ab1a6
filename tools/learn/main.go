// Command learn trains a checkpoint by GRPO on records, with a reward of its own.
package main

import (
	"context"
	"log"
	"os"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/grpo"
	"github.com/thinker-vl/thinker/grpo/dataset"
	"github.com/thinker-vl/thinker/grpo/reward"
)

func brief(_ context.Context, _ *reward.Record, response string) reward.Result {
	return reward.Result{Score: 1 / float64(1+len(response)), Answer: response, Found: true, Reason: "the shorter the better"}
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: learn CHECKPOINT RUN RECORDS.jsonl")
	}
	ctx := context.Background()
	policy := must(engine.Open(ctx, os.Args[1], engine.Options{}))
	records, _, err := data.Open(ctx, data.Options{Want: data.WantGold}, os.Args[3])
	run := grpo.Run{
		Config: grpo.Config{Settings: grpo.Defaults(grpo.Paper, grpo.GRPO), Rollouts: 2, Prompts: 4, Group: 4, Sampling: engine.Sampling{MaxTokens: 64}},
		Policy: policy, Trainer: must(policy.NewTrainer(ctx, engine.TrainOptions{})), Math: policy.Math(), Keeping: grpo.Keeping{Dir: os.Args[2], Every: 1},
		Prompts: must(dataset.NewPrompts(ctx, policy, must(records, err), dataset.Options{})), Rewards: []grpo.Reward{must(dataset.Plain("brief", 1, reward.Func(brief)))},
	}
	log.Println("trained:", must(os.Args[2], run.Train(ctx, ctx)))
}
