package runfile_test

import (
	"fmt"
	"log"

	"github.com/thinker-vl/thinker/grpo/runfile"
)

func ExampleLoad() {
	text := []byte("model:\n  path: Qwen2.5-VL-3B-Instruct\nrollout:\n  prompts: 64\n")
	f, err := runfile.Load(runfile.GRPO, "paper", "run.yaml", text, []string{"grpo.learning_rate=2e-6"})
	if err != nil {
		log.Fatal(err)
	}
	c := f.Config()
	fmt.Println(c.Prompts, c.Group, c.Temperature, c.LearningRate)

	_, err = runfile.Load(runfile.GRPO, "paper", "run.yaml", []byte("rollout:\n  promts: 64\n"), nil)
	fmt.Println(err)
	// Output:
	// 64 4 0.8 2e-06
	// run.yaml:2: rollout.promts: unknown key: did you mean rollout.prompts?
}
