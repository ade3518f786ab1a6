// Command thinker runs Qwen2.5-VL from a checkpoint folder: it tokenizes, preprocesses pictures, scores and generates, computes losses
// and makes optimizer steps, verifies answers, makes random checkpoints, and says what a checkpoint holds and what the machine offers.
//
//	thinker generate --model DIR --in prompts.jsonl --out answers.jsonl --n 4
//
// Its commands are machine contracts: one JSON object a line in, one a line out, in the order of the input, with keys in a fixed order.
// They differ from the usual inference tools in three things. An output file is replaced when the new one is complete, and never
// before. Log-probs are printed so that reading them back gives the same bits, and those of generate are those of score. And an input
// file is read and checked to its end before anything is computed, so that its last line cannot spoil the work on those before.
//
// Run thinker COMMAND --help for each command's contract.
package main
