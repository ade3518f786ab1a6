// Package scenes makes data sets of synthetic pictures: coloured shapes in the cells of a grid, with questions, gold answers and
// reasoning traces, of any size. The records have the VLAA-Thinking schema that package data reads, and one of each of the paper's
// rule-based verifier types: digit, mcq, math and iou.
//
// A scene is a function of the configuration, the seed and its number alone, so any scene can be made again by itself, and a larger
// set begins with a smaller one.
package scenes
