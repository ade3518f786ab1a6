package run_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/thinker-vl/thinker/grpo/run"
)

// A trainer resumes from what is there, and saves as it goes.
func Example() {
	tmp, err := os.MkdirTemp("", "run")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	ctx := context.Background()

	train := func(until int64) error {
		dir, err := run.Open(run.Disk{}, filepath.Join(tmp, "run"), run.Options{Model: "a1b2", Config: "c3d4", Keep: 2})
		if err != nil {
			return err
		}
		defer dir.Close()
		var step int64
		switch c, err := dir.Load(ctx); {
		case err == nil:
			step = c.Step
			fmt.Printf("resuming from step %d, %s\n", c.Step, c.State)
		case !errors.Is(err, run.ErrNone):
			return err // there are checkpoints, and none can be used
		}
		for step++; step <= until; step++ {
			meta := run.Meta{Step: step, Policy: step, State: fmt.Appendf(nil, `{"row": %d}`, 8*step)}
			err := dir.Save(ctx, meta,
				run.File{Name: "optimizer.safetensors", Size: 9, Write: func(_ context.Context, w io.Writer) error {
					_, err := io.WriteString(w, "moments\n")
					return err
				}},
				run.File{Name: "model", Size: 8, Folder: func(_ context.Context, dir string) error { // engine/checkpoint.Save
					return os.WriteFile(filepath.Join(dir, "model.safetensors"), []byte("weights\n"), 0o666)
				}})
			if err != nil {
				return err
			}
		}
		steps, err := dir.Steps()
		fmt.Println(steps)
		return err
	}
	for _, until := range []int64{3, 5} {
		if err := train(until); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// [2 3]
	// resuming from step 3, {"row":24}
	// [4 5]
}
