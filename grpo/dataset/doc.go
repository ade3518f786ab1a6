// Package dataset makes of records what a policy learns from: prompts for GRPO, demonstrations for supervised fine-tuning, and rewards.
//
//	set, report, err := data.Open(ctx, data.Options{Want: data.WantGold}, "train.jsonl")
//	prompts, err := dataset.NewPrompts(ctx, policy, set, dataset.Options{Room: 512})
//	rewards := dataset.Rewards(registry, prompts.Types(), nil)
//
// Records are read and pictures decoded when they are asked for, and not kept: memory does not grow with the data. What is wrong with
// them is found before the first step: every record is laid out and tokenized, and the headers of its pictures are read, which takes
// seconds where the pictures themselves would take hours. Text is text: what looks like a special token in a question becomes the ids of
// its letters.
package dataset
