// Command ask opens a checkpoint, asks about a picture and prints four sampled answers with their log-probs.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/thinker-vl/thinker/engine"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: ask CHECKPOINT PICTURE QUESTION")
	}
	ctx := context.Background()
	e, err := engine.Open(ctx, os.Args[1], engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	prompt, err := e.Ask(os.Args[3], os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	for s, err := range e.Generate(ctx, engine.Prompts(prompt), engine.Sampling{N: 4, Temperature: 1, MaxTokens: 64}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("answer %d (%s): %q\nlog-probs %v\n", s.Sample, s.FinishReason, s.Text, s.LogProbs)
	}
}
