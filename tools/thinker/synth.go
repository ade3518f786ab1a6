package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/data/scenes"
)

func (a *app) synthCommand() *cobra.Command {
	f := scenes.Config{}
	var out, size, grid, shapes, kinds string
	var names []string
	for _, k := range scenes.Kinds() {
		names = append(names, string(k))
	}
	c := &cobra.Command{
		Use:   "synth --n N --out DIR",
		Short: "Make a data set of synthetic scenes: pictures, questions, answers and reasoning traces",
		Long: `Make a data set of synthetic scenes: coloured shapes in the cells of a grid; counting, comparing, arithmetic in LaTeX, multiple choice,
grounding with boxes. The folder gets records.jsonl, in the schema of VLAA-Thinking, and images/*.png. A scene is a function of seed and
number, so a larger set begins with a smaller one. Kinds of questions: ` + strings.Join(names, ", ") + ".",
		Example: `  thinker synth --n 2000 --seed 1 --out scenes
  thinker synth --n 200 --seed 2 --size 640x480 --kinds ground,count --out held-out`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.N < 1 || f.N > scenes.MaxN {
				return usagef("--n is %d: want 1 to %d scenes", f.N, scenes.MaxN)
			}
			if c.Flags().Changed("size") {
				w, h, ok := pair(size, "x")
				if !ok {
					return usagef("--size is %q: want WIDTHxHEIGHT in pixels, as 640x480", size)
				}
				f.Width, f.Height = w, h
			}
			if c.Flags().Changed("grid") {
				columns, rows, ok := pair(grid, "x")
				if !ok {
					return usagef("--grid is %q: want COLUMNSxROWS, as 3x2", grid)
				}
				f.Columns, f.Rows = columns, rows
			}
			if c.Flags().Changed("shapes") {
				lo, hi, ok := pair(shapes, "-")
				if !ok {
					return usagef("--shapes is %q: want the least and the most of a scene, as 2-5", shapes)
				}
				f.MinShapes, f.MaxShapes = lo, hi
			}
			if f.Colors < 2 || f.Shapes < 2 { // 0 would be the default
				return usagef("--colors is %d and --forms %d: want 2 or more of each", f.Colors, f.Shapes)
			}
			for k := range strings.SplitSeq(kinds, ",") {
				if k = strings.TrimSpace(k); k != "" {
					f.Kinds = append(f.Kinds, scenes.Kind(k))
				}
			}
			if _, err := scenes.New(f); err != nil {
				return &usageError{flagError(err)}
			}
			if err := freshFolder(out); err != nil {
				return err
			}
			bar := a.progress("drawing", int64(f.N))
			defer bar.end()
			if err := scenes.Write(c.Context(), out, f, func(done, _ int) { bar.set(int64(done)) }); err != nil {
				return err
			}
			bar.end()
			if !a.quiet {
				fmt.Fprintf(a.stderr, "thinker: %s in %s\n", count(f.N, "scene"), out)
			}
			return nil
		},
	}
	requiredDir(c, &out, "out", "folder to make")
	fs := c.Flags()
	fs.IntVar(&f.N, "n", 1000, "scenes")
	fs.Uint64Var(&f.Seed, "seed", 0, "of the scenes")
	fs.StringVar(&size, "size", "168x168", "width and height of the pictures, in pixels")
	fs.StringVar(&grid, "grid", "3x3", "columns and rows of the grid that shapes stand in, 1 to 3 each")
	fs.StringVar(&shapes, "shapes", "2-5", "least and most shapes of a scene")
	fs.IntVar(&f.Colors, "colors", 4, "colours of the shapes, 2 to 8")
	fs.IntVar(&f.Shapes, "forms", 3, "forms of the shapes, 2 to 6")
	fs.StringVar(&kinds, "kinds", "", "kinds of questions, with commas between them; all when left out")
	fs.IntVar(&f.Noise, "noise", 0, "grain of the background, 0 to 255")
	fs.BoolVar(&f.NoTrace, "no-trace", false, "records without a response, for GRPO alone")
	fs.IntVar(&f.Untagged, "untagged", 0, "of a hundred responses so many without <think> and <answer>, as of a model that was never told of them")
	return c
}

// flagError names flags in the place of fields.
func flagError(err error) error {
	r := strings.NewReplacer("scenes: ", "", "Width", "--size: width", "Height", "--size: height", "Columns", "--grid: columns", "Rows", "--grid: rows",
		"MinShapes", "--shapes: least", "MaxShapes", "--shapes: most", "Colors", "--colors", "Shapes", "--forms", "Noise", "--noise", "Untagged", "--untagged", "the kind", "--kinds:")
	return errors.New(r.Replace(err.Error()))
}

// pair reads two positive numbers.
func pair(s, sep string) (x, y int, ok bool) {
	a, b, ok := strings.Cut(s, sep)
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	return x, y, ok && errX == nil && errY == nil && x > 0 && y > 0
}
