package checkpoint

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/internal/atomicfile"
	"github.com/thinker-vl/thinker/engine/internal/regfile"
)

// companions are the files that are copied, where the tokenizer's folder has
// them.
var companions = []string{
	"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json",
	"chat_template.json", "chat_template.jinja", config.PreprocessorFile, config.ProcessorFile, "video_preprocessor_config.json", config.GenerationFile,
}

// maxCompanion is the limit of such a file's size in bytes.
const maxCompanion = 256 << 20

// SaveFolder writes a whole checkpoint folder: the weights as by [Save], and
// copies of the files that the folder companionsDir has beside its weights
// (tokenizer, chat template, preprocessing, generation), which must go with the
// configuration.
//
// dir is made if it is missing; one that holds a checkpoint or any file that
// would be replaced is refused. The files are made in a hidden folder within dir
// and moved up when all are complete, config.json last. After an error, or when
// ctx is cancelled, nothing is left.
func SaveFolder(ctx context.Context, dir string, c *config.Config, companionsDir string, source Source, opts SaveOptions) (err error) {
	files, err := findCompanions(companionsDir, c)
	if err != nil {
		return err
	}
	created := false
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		created = true
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := refuseCheckpoint(dir); err != nil {
		return err
	}
	for _, name := range files {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("checkpoint: %s holds %s already: choose another folder, nothing is overwritten", dir, name)
		}
	}
	var suffix [8]byte
	rand.Read(suffix[:]) // never fails
	tmp := filepath.Join(dir, ".init-"+hex.EncodeToString(suffix[:]))
	if err := os.Mkdir(tmp, 0o777); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	var moved []string
	defer func() {
		os.RemoveAll(tmp)
		if err != nil {
			for _, name := range moved {
				os.Remove(filepath.Join(dir, name))
			}
			if created {
				os.Remove(dir)
			}
		}
	}()
	for _, name := range files {
		if err := copyFile(filepath.Join(tmp, name), filepath.Join(companionsDir, name)); err != nil {
			return err
		}
	}
	if _, err := Save(ctx, tmp, c, source, opts); err != nil {
		return err
	}
	moved, err = moveUp(tmp, dir)
	return err
}

// findCompanions returns the files of the tokenizer's folder that are copied,
// after checking that they can go with the configuration.
func findCompanions(dir string, c *config.Config) ([]string, error) {
	var files []string
	for _, name := range companions {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			files = append(files, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
	}
	has := func(name string) bool { return slices.Contains(files, name) }
	if !has("tokenizer.json") && !(has("vocab.json") && has("merges.txt")) {
		return nil, fmt.Errorf("checkpoint: %s holds no tokenizer: want tokenizer.json, or vocab.json and merges.txt", dir)
	}
	if _, err := config.GenerationStops(dir, c); err != nil {
		return nil, err
	}
	p, err := config.LoadPreprocessor(dir)
	if err != nil {
		return nil, err
	}
	if err := p.Check(&c.Vision); err != nil {
		return nil, fmt.Errorf("%w (the files of %s)", err, dir)
	}
	return files, nil
}

func copyFile(dst, src string) error {
	f, fi, err := regfile.Open(src)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer f.Close()
	if fi.Size() > maxCompanion {
		return fmt.Errorf("checkpoint: %s has %d bytes, the limit is %d", src, fi.Size(), maxCompanion)
	}
	w, err := atomicfile.Create(dst)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer w.Close()
	n, err := io.Copy(w, io.LimitReader(f, maxCompanion+1))
	if err == nil && n > maxCompanion {
		err = fmt.Errorf("%s has more than %d bytes", src, maxCompanion)
	}
	if err == nil {
		err = w.Commit()
	}
	if err != nil {
		return fmt.Errorf("checkpoint: copying %s: %w", src, err)
	}
	return nil
}

// moveUp moves the files of tmp to dir, config.json last, and returns those that
// it has moved.
func moveUp(tmp, dir string) (moved []string, err error) {
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int {
		return strings.Compare(last(a), last(b))
	})
	for i, e := range entries {
		if i == len(entries)-1 {
			if err := atomicfile.SyncDir(dir); err != nil {
				return moved, fmt.Errorf("checkpoint: %w", err)
			}
		}
		if err := os.Rename(filepath.Join(tmp, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return moved, fmt.Errorf("checkpoint: %w", err)
		}
		moved = append(moved, e.Name())
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return moved, fmt.Errorf("checkpoint: %w", err)
	}
	return moved, nil
}

// last is a key by which config.json sorts behind everything else.
func last(e fs.DirEntry) string {
	if e.Name() == config.FileName {
		return "1"
	}
	return "0"
}
