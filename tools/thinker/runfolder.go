package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/thinker-vl/thinker/grpo/runfile"
	"github.com/thinker-vl/thinker/tools/thinker/internal/output"
)

// A stoppedError says that a run was told to end, and how it goes on.
type stoppedError struct{ command string }

func (e *stoppedError) Error() string { return "stopped and saved; go on with: " + e.command }

// resumeCommand is the command line that goes on with a run.
func resumeCommand(k runfile.Kind, dir string) string {
	name := "train"
	if k == runfile.SFT {
		name = "sft"
	}
	return fmt.Sprintf("thinker %s --out %s --resume", name, shellQuote(dir))
}

// shellQuote quotes what a shell would take apart.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// openFolder looks at a run's folder: a new run's must hold none, that of one to go on with the same. It returns the file of the run in it,
// nil for none.
func openFolder(f *runfile.File, resume bool) (*runfile.File, error) {
	dir := f.Checkpoints.Dir
	path := filepath.Join(dir, runFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, noRun(dir)
	case err != nil:
		return nil, err
	}
	old, err := runfile.Load(f.Kind, "", path, text, nil)
	if err != nil {
		return nil, fmt.Errorf("%s holds another run, whose run file is not one of this command: %w: choose another --out", dir, err)
	}
	var differences []string
	for _, d := range runfile.Compare(old, f) {
		if d.Key != "data.sha256" { // compared when the files are read
			differences = append(differences, d.String())
		}
	}
	if n := len(differences); n > 0 {
		const most = 10
		more := ""
		if n > most {
			more = fmt.Sprintf("; and %d more", n-most)
		}
		return nil, fmt.Errorf("%s holds another run: %s%s: choose another --out, or go on with that run by %s", dir,
			strings.Join(differences[:min(n, most)], "; "), more, resumeCommand(f.Kind, dir))
	}
	if !resume {
		return nil, fmt.Errorf("%s holds this run already: go on with it by --resume, or choose another --out", dir)
	}
	return old, nil
}

// noRun refuses a folder without a run file that holds what a run would write.
func noRun(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := strconv.ParseUint(strings.TrimPrefix(e.Name(), "step-"), 10, 63); err == nil && strings.HasPrefix(e.Name(), "step-") ||
			slices.Contains([]string{"metrics.jsonl", "timing.jsonl", "completions.jsonl", "eval", "tensorboard", "warnings.jsonl"}, e.Name()) {
			return fmt.Errorf("%s holds %s of a run without a %s: choose another --out, nothing is overwritten", dir, e.Name(), runFile)
		}
	}
	return nil
}

// writeRunFile puts the resolved file into the run's folder, whole or not at all.
func writeRunFile(f *runfile.File) error {
	dir := f.Checkpoints.Dir
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	text := f.YAML(version())
	path := filepath.Join(dir, runFile)
	if old, err := os.ReadFile(path); err == nil && string(old) == string(text) {
		return nil
	}
	return writeWhole(path, text)
}

// writeWhole writes a file, whole or not at all.
func writeWhole(path string, text []byte) error {
	f, err := output.Create(path, nil)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Commit()
}

// hashFiles sets the hashes of the data's files, and compares them with those that the run was started with.
func hashFiles(f, old *runfile.File) error {
	d := &f.Data
	given := d.SHA256
	d.SHA256 = nil
	if old != nil {
		given = old.Data.SHA256
	}
	files := append(slices.Clone(d.Files), d.HeldOut...)
	for i, path := range files {
		sum, err := hashFile(path)
		if err != nil {
			return err
		}
		if i < len(given) && given[i] != sum {
			return fmt.Errorf("%s has changed since the run was started: its SHA-256 is %.12s..., and data.sha256 in %s has %.12s...: put the old file back, or start another run",
				path, sum, runFile, given[i])
		}
		d.SHA256 = append(d.SHA256, sum)
	}
	if given != nil && len(given) != len(files) {
		return fmt.Errorf("data.sha256 has %d hashes for %d files: leave it out", len(given), len(files))
	}
	return nil
}

func hashFile(path string) (string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !fi.Mode().IsRegular() {
		return "", fmt.Errorf("%s is a folder or a device: want a file of records", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lastCheckpoint is the model of the newest checkpoint in a run's folder, "" if there is none.
func lastCheckpoint(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	newest, at := int64(-1), ""
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), "step-")
		n, err := strconv.ParseInt(number, 10, 64)
		if ok && err == nil && n > newest && e.IsDir() {
			newest, at = n, filepath.Join(dir, e.Name(), "model")
		}
	}
	return at
}
