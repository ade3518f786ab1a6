// Command thinker trains Qwen2.5-VL and runs it from a checkpoint folder: GRPO on verified answers, fine-tuning on demonstrations,
// evaluation and reports; it tokenizes, preprocesses pictures, scores and generates, computes losses and makes optimizer steps, verifies
// answers, makes random checkpoints and synthetic data, and says what a checkpoint holds and what the machine offers.
//
//	thinker demo
//	thinker train --preset paper --model DIR --data train.jsonl --out RUN
//	thinker generate --model DIR --in prompts.jsonl --out answers.jsonl --n 4
//
// A training run is one YAML file, see package runfile. The other commands are machine contracts: one JSON object a line in, one a line
// out, in the order of the input, with keys in a fixed order. They differ from the usual inference tools in three things. An output file
// is replaced when the new one is complete, and never before. Log-probs are printed so that reading them back gives the same bits, and
// those of generate are those of score. And an input file is read and checked to its end before anything is computed, so that its last
// line cannot spoil the work on those before.
//
// Run thinker COMMAND --help for each command's contract.
package main
