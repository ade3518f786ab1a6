// Package scenes makes data sets of synthetic pictures: coloured shapes in the cells of a grid, with questions, gold answers and
// reasoning traces, of any size. The records have the VLAA-Thinking schema that package data reads, and one of each of the paper's
// rule-based verifier types: digit, mcq, math and iou.
//
//	err := scenes.Write(ctx, "scenes", scenes.Config{N: 2000, Seed: 1}, nil)
//	set, _, err := data.Open(ctx, data.Options{Want: data.WantGold}, "scenes/records.jsonl")
//
// A scene is a function of the configuration, the seed and its number alone, so any scene can be made again by itself, and a larger
// set begins with a smaller one. The files are the same bytes on machines of one architecture; on another the rounding of a product
// may differ.
//
// Scenes are drawn by chance, and nothing keeps two from being the same. With the default grid there are more than 10^10 of the
// smallest scenes, so two of a few thousand hardly ever are; a small picture with one shape of two colours leaves some hundreds, and
// then sets of different seeds share scenes. That matters where one of them is held out: two pictures in different files are different
// pictures to [data.Split].
package scenes
