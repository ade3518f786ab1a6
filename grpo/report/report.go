package report

import (
	"crypto/sha256"
	_ "embed" // the page's template, style sheet and script
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"
)

// Options say what is written. The zero value is the default.
type Options struct {
	Title    string // "": the name of the run's folder
	Examples int    // held-out prompts whose samples are shown; 0: 12, negative: none

	// Roots are the folders that pictures may come from. Nil: any, since a run's files name the pictures that it was trained on. Paths that
	// are not absolute are below the run's folder.
	Roots []string
}

const (
	defaultExamples = 12
	mostExamples    = 40
)

//go:embed page.html
var pageTemplate string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

// Write writes the report of the run in the folder dir.
func Write(w io.Writer, dir string, o Options) error {
	d, err := openFolder(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	t, err := template.New("report").Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	p, err := d.page(dir, o)
	if err != nil {
		return fmt.Errorf("report: %s: %w", dir, err)
	}
	hash := sha256.Sum256([]byte(pageScript))
	p.Style, p.Script, p.ScriptHash = template.CSS(pageStyle), template.JS(pageScript), base64.StdEncoding.EncodeToString(hash[:])
	if err := t.Execute(w, p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// WriteFile writes the report into a file, which it replaces as a whole or, after an error, not at all.
func WriteFile(path, dir string, o Options) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err := Write(f, dir, o); err != nil {
		return err
	}
	for _, step := range []func() error{func() error { return f.Chmod(0o644) }, f.Sync, f.Close, func() error { return os.Rename(f.Name(), path) }} {
		if err := step(); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	return nil
}
