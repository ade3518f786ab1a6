package scenes_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/thinker-vl/thinker/data"
	"github.com/thinker-vl/thinker/data/scenes"
)

func ExampleWrite() {
	dir, err := os.MkdirTemp("", "scenes")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	if err := scenes.Write(ctx, dir, scenes.Config{N: 7, Seed: 3, Width: 56, Height: 56}, nil); err != nil {
		log.Fatal(err)
	}
	set, report, err := data.Open(ctx, data.Options{Want: data.WantGold | data.WantResponse}, filepath.Join(dir, scenes.RecordsFile))
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	r, err := set.Record(1)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report)
	fmt.Println(r.Type, r.Question, r.Gold)
	fmt.Println(r.Response)
	// Output:
	// 7 records kept of 7 in 1 file (digit 2, math 2, mcq 2, iou 1)
	// digit Subtract all yellow shapes. How many shapes are left? 3
	// <think>top center: green circle, top right: blue triangle, middle left: yellow triangle, center: blue circle, bottom right: yellow circle. 5 - 2 = 3.</think> <answer>3</answer>
}

func ExampleGenerator_Scene() {
	g, err := scenes.New(scenes.Config{Seed: 3, Kinds: []scenes.Kind{scenes.Ground}})
	if err != nil {
		log.Fatal(err)
	}
	s := g.Scene(5)
	fmt.Println(s.Question)
	fmt.Println(s.Answer, s.Draw().Bounds())
	// Output:
	// Where is the green circle? Answer with its box [x1,y1,x2,y2] as fractions of the picture.
	// [0.38,0.73,0.61,0.96] (0,0)-(168,168)
}
