package grpo_test

import (
	"fmt"
	"log"

	"github.com/thinker-vl/thinker/grpo"
)

func ExampleParseYAML() {
	s, err := grpo.ParseYAML("loss.yaml", []byte("dialect: verl\nbeta: 1e-3\n"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Dialect, s.LossType, s.Aggregation, s.DualClip, s.AdvantageEpsilon)

	_, err = grpo.ParseYAML("loss.yaml", []byte("dialect: verl\nepsilon_hi: 0.28\n"))
	fmt.Println(err)
	// Output:
	// verl-0.8 grpo token-mean 3 1e-06
	// loss.yaml:2: epsilon_hi: unknown key: did you mean epsilon_high?
}
