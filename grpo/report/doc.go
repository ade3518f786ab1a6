// Package report writes report.html of a run's folder: one self-contained page
// with the run's curves, its evaluations before and after, and its completions
// beside their pictures.
//
// The page loads nothing. Charts are inline SVG, pictures are data URIs, a
// Content-Security-Policy allows the page's own script by its hash and nothing
// else, and without JavaScript all of it can still be read. It fits a phone of
// 360 pixels and follows the reader's light or dark theme.
//
// It is read from the folder:
//
//	metrics.jsonl, timing.jsonl   one line an update: curves
//	eval/step-N.json              one file an evaluation: before and after, curves with confidence intervals
//	eval/step-N.jsonl             samples of the first and the last evaluation, side by side
//	completions.jsonl             the groups of the last rollout
//	warnings.jsonl                what the trainer warned of
//	run.yaml                      the resolved run file, as text
//	step-N/                       the newest checkpoint: model size, and where the run stands
//
// What is missing or damaged is named in the page; only a folder that is not
// there is an error. Nothing in a run's folder is trusted: text is escaped, files
// are regular ones inside the folder, pictures are decoded under limits.
//
// The page is bounded whatever the run's length. Curves have at most 400 points:
// where a run has more updates, every point stands for a power of two of them,
// as their mean, least and largest. Of completions.jsonl only the end is read.
// Pictures have at most 480 pixels a side and 1.2 MB together, and small ones are
// enlarged pixel by pixel; texts are cut, and say by how much. The page of a short run has some 200 KB, that of a long one
// with photographs some 2 MB, and 4 MB is the most whatever a folder holds.
//
// The same folder gives the same bytes.
package report
