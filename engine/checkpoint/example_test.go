package checkpoint_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/thinker-vl/thinker/engine/checkpoint"
	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/safetensors"
)

// A very small model: what is not said takes transformers' defaults.
const tiny = `{
  "model_type": "qwen2_5_vl", "vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
  "num_key_value_heads": 1, "intermediate_size": 24, "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
  "tie_word_embeddings": true, "image_token_id": 60, "video_token_id": 61, "vision_start_token_id": 62, "vision_end_token_id": 63,
  "vision_config": {"depth": 1, "hidden_size": 8, "num_heads": 2, "intermediate_size": 12, "out_hidden_size": 16}
}`

func Example() {
	dir, err := os.MkdirTemp("", "checkpoint")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	dir = filepath.Join(dir, "model")

	cfg, err := config.Parse([]byte(tiny), "tiny")
	if err != nil {
		log.Fatal(err)
	}
	// Save a model whose norms are 1 and all else 0.
	source := checkpoint.Float32Source(safetensors.BF16, func(t *checkpoint.TensorSpec, first int64, dst []float32) error {
		clear(dst)
		if t.Role == checkpoint.Norm {
			for i := range dst {
				dst[i] = 1
			}
		}
		return nil
	})
	if _, err := checkpoint.Save(context.Background(), dir, cfg, source, checkpoint.SaveOptions{}); err != nil {
		log.Fatal(err)
	}

	ck, err := checkpoint.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	defer ck.Close()
	for _, p := range ck.Summary().Parts {
		fmt.Printf("%-15s %2d tensors %5d parameters\n", p.Part, p.Tensors, p.Parameters)
	}
	row := make([]float32, 4)
	if err := ck.ReadRowsF32("model.norm.weight", 0, 4, row); err != nil {
		log.Fatal(err)
	}
	fmt.Println(row)
	// Output:
	// patch embedding  1 tensors  9408 parameters
	// vision blocks   12 tensors   624 parameters
	// merger           5 tensors  1592 parameters
	// embedding        1 tensors  1024 parameters
	// decoder layers  12 tensors  1984 parameters
	// final norm       1 tensors    16 parameters
	// [1 1 1 1]
}
