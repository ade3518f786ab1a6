package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/thinker-vl/thinker/engine/internal/rawjson"
	"github.com/thinker-vl/thinker/engine/internal/regfile"
)

// GenerationFile is the name of the file that holds a checkpoint's stop ids.
const GenerationFile = "generation_config.json"

// GenerationStops returns the ids that end an answer, ascending: eos_token_id,
// one or several, of generation_config.json in the folder dir, or of c where the
// file or the key is missing. Nothing else of that file is read: its sampling
// settings (a repetition penalty and a temperature near zero, in the released
// checkpoint) would make the policy that is sampled another one than the policy
// that is scored and trained.
func GenerationStops(dir string, c *Config) ([]int, error) {
	path := filepath.Join(dir, GenerationFile)
	data, err := regfile.ReadFile(path, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return sorted(c.EOSTokenIDs), nil
	}
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	ids, err := parseStops(data, c.Text.VocabSize)
	if err != nil {
		return nil, fmt.Errorf("config: %s: %w", path, err)
	}
	if ids == nil {
		ids = c.EOSTokenIDs
	}
	return sorted(ids), nil
}

// parseStops returns nil if the key is missing.
func parseStops(data []byte, vocab int) ([]int, error) {
	root, err := rawjson.Parse(data)
	if err != nil {
		return nil, err
	}
	k, err := newKeys("", root)
	if err != nil {
		return nil, err
	}
	const eos = "eos_token_id"
	if !k.has(eos) {
		return nil, nil
	}
	if k.m[eos].Kind() == rawjson.Array {
		return k.integers(eos, 1024, 0, int64(vocab)-1)
	}
	id, err := k.integer(eos, 0, int64(vocab)-1)
	if err != nil {
		return nil, err
	}
	return []int{id}, nil
}

func sorted(ids []int) []int {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
