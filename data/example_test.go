package data_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/thinker-vl/thinker/data"
)

// lines writes a data set of one file and returns its name. The folder is to be removed.
func lines(text string) (name, dir string) {
	dir, err := os.MkdirTemp("", "data")
	if err != nil {
		log.Fatal(err)
	}
	name = filepath.Join(dir, "train.jsonl")
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		log.Fatal(err)
	}
	return name, dir
}

func ExampleOpen() {
	name, dir := lines(`{"id":"clevr-1","question":"How many objects are left?","gt":3,"verifier_type":"digit"}
{"id":"geo-1","question":"Which?\nChoices:\nA: 1\nB: 2","gt":"B","verifier_type":"mcq"}
`)
	defer os.RemoveAll(dir)
	set, report, err := data.Open(context.Background(), data.Options{Want: data.WantGold}, name)
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	fmt.Println(report)
	for i := range set.Len() {
		r, err := set.Record(i)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.ID, r.Type, r.Gold)
	}
	// Output:
	// 2 records kept of 2 in 1 file (digit 1, mcq 1)
	// clevr-1 digit 3
	// geo-1 mcq B
}

// What is wrong is named with file and line, and left out where that is asked for.
func ExampleOpen_skip() {
	name, dir := lines(`{"id":"a","question":"How many?","gt":3,"verifier_type":"digit"}
{"id":"b","question":"How many?","gt":[3],"verifier_type":"digit"}
`)
	defer os.RemoveAll(dir)
	set, report, err := data.Open(context.Background(), data.Options{Want: data.WantGold, Skip: true}, name)
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	p := report.Skipped[0]
	fmt.Println(set.Len(), report.Left())
	fmt.Printf("line %d, %s: %v\n", p.Line, p.ID, p.Err)
	// Output:
	// 1 1
	// line 2, b: gt is an array, [3]: want a string or a number
}

// Records that share an id or a picture are on one side.
func ExampleSplit() {
	name, dir := lines(`{"id":"a","question":"1"}
{"id":"b","question":"2"}
{"id":"a","question":"3"}
{"id":"c","question":"4"}
`)
	defer os.RemoveAll(dir)
	set, _, err := data.Open(context.Background(), data.Options{}, name)
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	train, held, err := data.Split(set, 2, 2)
	if err != nil {
		log.Fatal(err)
	}
	defer train.Close()
	defer held.Close()
	for i := range held.Len() {
		r, err := held.Record(i)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.ID, r.Question)
	}
	// Output:
	// a 1
	// a 3
}

// A run that was cut off goes on with the examples that it would have met.
func ExampleOrder() {
	order := data.NewOrder(5, 1, true)
	var c data.Cursor
	first := order.Take(&c, 3)
	fmt.Println(first, c)
	saved := c
	next := order.Take(&c, 4)
	fmt.Println(next, c)

	again := data.NewOrder(5, 1, true)
	fmt.Println(again.Take(&saved, 4))
	// Output:
	// [4 0 3] {0 3}
	// [2 1 2 4] {1 2}
	// [2 1 2 4]
}
