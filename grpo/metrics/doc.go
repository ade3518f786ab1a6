// Package metrics writes what happens in a training run: metrics for programs
// and for TensorBoard, and the completions with their rewards.
//
// A folder holds
//
//	metrics.jsonl      one object a step: "step", then the metrics by name
//	timing.jsonl       the same for what the clock decides: "step", "time" (Unix seconds), then by name
//	completions.jsonl  one object a sample: step, prompt, sample, id, type, question, gt, images, text, rewards, advantage, length,
//	                   finish_reason, extracted, why; what is not known is left out
//	warnings.jsonl     one object a warning: update, text
//	tensorboard/       event files, one a process, with the metrics of both
//
// A run that was killed and resumed ends with the same bytes in metrics.jsonl,
// completions.jsonl and warnings.jsonl as one never killed: [Open] takes the step
// of the checkpoint that the run resumes from and cuts away what was written
// after it, with a line that was torn. That is why times have a file of their own; it is
// cut too, but its bytes are never the same. A trainer calls [Log.Sync] before
// it saves a checkpoint, so that the lines up to its step are on the disk when
// the checkpoint is.
//
// Numbers have the fewest digits that give the same float64 again. A value that
// is not a number is null, an infinite one "Infinity" or "-Infinity": JSON has
// no numbers for them. Null is also what a masked sample has for the reward that
// failed.
//
// Event files cannot be cut, since TensorBoard may be reading them. A process
// that resumes starts a new one with a mark at which TensorBoard drops the steps
// after the checkpoint that it has read before.
package metrics
