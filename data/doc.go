// Package data owns the record: it reads data sets from files, parts them, and gives the order in which a run meets its examples.
//
//	set, report, err := data.Open(ctx, data.Options{Want: data.WantGold}, "VLAA-Thinking-GRPO-25K.json")
//	train, held, err := data.Split(set, 200, seed)
//	record, err := train.Record(0)
//
// It differs from the usual loaders in what it does before a run begins. [Open] reads every record, checks it, and looks for its
// pictures, so that what is wrong is named with file, line and id before anything is trained, and not after hours; or it is left out
// and counted in a [Report], where the user chose that. A [Set] keeps where its records stand, some thirty bytes each, and reads them
// again when they are asked for: 126 thousand records with their reasoning cost a few megabytes. And a file that changes meanwhile is
// an error, never another record.
//
// # Files
//
// A file holds one JSON object a line (JSON Lines), or is one JSON array of objects, whatever its name ends in: the released
// VLAA-Thinking files end in .json and hold lines. Its first character tells. Byte order marks, CRLF and blank lines are passed over.
// Refused are text that is not UTF-8, a key that occurs twice in an object, NaN, records of more than [MaxRecord] bytes, and, with
// advice, compressed files, Parquet and UTF-16. Where bad records are skipped, a file that is cut off loses its last record; an
// array with a separator or a bracket missing between elements is refused in any case, for what follows cannot be told.
//
// # Records
//
// A member that is null counts as absent. What a record may hold:
//
//	id             a string or a number; without one the record is called by file and line
//	question       the text; problem is another name for it
//	image, images  the path of a picture, or an array of them
//	gt             the gold answer: a string, or a number, which is kept as it is written; of a box also an array of four numbers
//	verifier_type  which verifier decides; see Options.Type
//	options        of a multiple choice, where they are not in the question: an array, or an object with the keys A, B and so on
//	response       what to imitate, as it stands
//	answer         with <think> or <answer> in it what to imitate, else the gold answer, if there is no gt
//	ds_answer      what to imitate if there is nothing else, also within meta: what stands behind </think> goes into <answer>
//	image_size, resized_size  [height, width]
//	messages       in the place of question; see below
//
// All else, with ds_answer, is the record's Extra. A meta that is a string with a Python dict in it, as in some copies of the data,
// becomes JSON.
//
// Some oddities of the released data are put right. The "Output 4:" that a rewriting left before some gold answers of mathematics
// comes off; the text as it was is then Extra["gt"]. An <image> before or behind a question, one for each picture, and the <image1>
// of MathVision's questions on a line of its own or behind a sentence come off, because pictures go first; an <image> within the text
// makes the record one of messages. In a record that names no picture it is an error, for the picture's name may have been lost.
// Options lose the letters that they bear, as in "B) blue". What a gold answer means, as "A)" and "(a)", is for the verifiers, which
// have a check of their own for gold answers.
//
// MathVision's questions are recognized by answer and options: where neither the record nor Options.Type says otherwise, verifier_type
// is mcq where there are options, and math where the array is empty.
//
// # Messages
//
// Messages have a role (system, which is the first; user; assistant) and a content: a string, or an array of parts with the types
// text, image and image_url. prompt is another name for messages. The conversations of VLM-R1 and LLaVA, with from and value, are the
// same. If the assistant has the last word it is the response; what comes before is [Record.Messages], and ends with the user.
// Pictures stand in the parts by their paths. Those of image and images belong where a part is an image without a path or a content
// that is a string has <image>, one for each, and where there are no such places before the first words of the user. In a part of type
// text <image> is text. The gold answer is gt; of conversations without it, the last message, or what stands in its <answer>. An
// accu_reward_method of mcq, math or iou is the verifier_type, where that is not given.
//
// # Pictures
//
// Pictures come from under Options.Roots and from nowhere else; without roots from the folder of the data file, and from the folder
// images in it. A leading slash is not the root of the file system: the data has such paths, relative to its folder. An absolute path
// is one where it leads into a root. Refused are URLs, paths with "..", links that lead out of the roots, and what is no regular file.
// [Set.OpenImage] opens a picture under the same rules.
//
// # Order
//
// [Split] and [Order] depend on the seed, on the number of records and, for Split, on which of them share pictures or ids. An [Order]
// permutes every epoch anew. A [Cursor] is all that a run must save to go on where it was; [Set.Digest] tells whether the data is
// still the same.
package data
