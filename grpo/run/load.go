package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"path/filepath"
	"slices"
)

// ErrNone says that a run directory holds no checkpoint.
var ErrNone = errors.New("there is no checkpoint")

// An InvalidError says that there are checkpoints and none of them is valid.
type InvalidError struct {
	Dir     string
	Reasons []error // of each, the newest first
}

func (e *InvalidError) Error() string {
	s := fmt.Sprintf("run: none of the %d checkpoints in %s is valid", len(e.Reasons), e.Dir)
	for _, r := range e.Reasons {
		s += "; " + r.Error()
	}
	return s + ": restore one from a copy, or start in another directory"
}

// Unwrap returns the reasons.
func (e *InvalidError) Unwrap() []error { return e.Reasons }

// A MismatchError says that a checkpoint belongs to another model or to a run
// with other settings.
type MismatchError struct {
	Path      string
	What      string // model or config
	Got, Want string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("run: %s is of the %s %s, this run's is %s: go on with what it was made with, or use another run directory",
		e.Path, e.What, cmp.Or(e.Got, `""`), cmp.Or(e.Want, `""`))
}

// A Checkpoint is one that is complete: the sizes and checksums of its files
// were right when it was loaded.
type Checkpoint struct {
	Meta
	Model, Config, Binary string
	Dir                   string     // the path of its folder
	Files                 []FileInfo // by name

	fs FS
}

// Path returns the path of a file or subfolder of the checkpoint.
func (c *Checkpoint) Path(name string) string {
	return filepath.Join(c.Dir, filepath.FromSlash(name))
}

// Open opens a file of the checkpoint.
func (c *Checkpoint) Open(name string) (io.ReadCloser, error) {
	if !slices.ContainsFunc(c.Files, func(f FileInfo) bool { return f.Name == name }) {
		return nil, fmt.Errorf("run: checkpoint %s has no file %q", c.Dir, name)
	}
	return c.fs.Open(c.Path(name))
}

// Load returns the newest valid checkpoint. It reads all files of it. Those that
// it finds damaged are named in the log, and stay.
//
// The error is [ErrNone] if there is no checkpoint, an [InvalidError] if none is
// valid, and a [MismatchError] or [FormatError] if the newest whose manifest is
// sound is not of this run.
func (d *Dir) Load(ctx context.Context) (*Checkpoint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(); err != nil {
		return nil, err
	}
	steps, err := d.steps(func(name string) {
		d.log.Warn("run: a folder that is no checkpoint of this program is ignored", "path", d.join(name))
	})
	if err != nil {
		return nil, err
	}
	var reasons []error
	for _, step := range slices.Backward(steps) {
		c, err := d.load(ctx, step)
		if err == nil || final(err) {
			return c, err
		}
		d.log.Error("run: a checkpoint is damaged, the one before is tried", "path", d.join(stepName(step)), "reason", err)
		reasons = append(reasons, err)
	}
	if reasons != nil {
		return nil, &InvalidError{d.dir, reasons}
	}
	return nil, fmt.Errorf("run: %s: %w", d.dir, ErrNone)
}

// LoadStep returns the checkpoint of one step. It is for looking at it: a run
// that goes on from an older checkpoint than the latest needs a directory of its
// own, and [Dir.Save] says so.
func (d *Dir) LoadStep(ctx context.Context, step int64) (*Checkpoint, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.usable(); err != nil {
		return nil, err
	}
	steps, err := d.Steps()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(steps, step) {
		return nil, fmt.Errorf("run: %s: step %d, there are %d: %w", d.dir, step, steps, ErrNone)
	}
	return d.load(ctx, step)
}

// usable returns an error if the directory is closed, and cleans up what an
// earlier error may have kept this process from cleaning up.
func (d *Dir) usable() error {
	if d.closed {
		return fmt.Errorf("run: %s is closed", d.dir)
	}
	if d.opts.ReadOnly {
		return nil
	}
	return d.tidy()
}

// final tells whether an older checkpoint is no remedy.
func final(err error) bool {
	return errors.As(err, new(*MismatchError)) || errors.As(err, new(*FormatError)) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// load verifies one checkpoint.
func (d *Dir) load(ctx context.Context, step int64) (_ *Checkpoint, err error) {
	defer func() {
		switch {
		case err == nil:
			delete(d.bad, step)
		case !final(err):
			d.bad[step] = true
		}
	}()
	name := stepName(step)
	m, err := d.manifest(name)
	if err != nil {
		return nil, err
	}
	if m.Step != step {
		return nil, fmt.Errorf("%s: its manifest is of step %d: it was renamed", d.join(name), m.Step)
	}
	if err := d.match(name, m); err != nil {
		return nil, err
	}
	c := &Checkpoint{Meta: Meta{m.Step, m.Policy, m.State, m.Score, m.Pinned}, Model: m.Model, Config: m.Config, Binary: m.Binary,
		Dir: d.join(name), fs: d.fs}
	checked := make(map[string]bool) // folders
	var buf []byte
	for _, f := range m.Files {
		for dir := path.Dir(f.Name); dir != "." && !checked[dir]; dir = path.Dir(dir) {
			info, err := d.fs.Stat(c.Path(dir))
			if err != nil {
				return nil, err
			}
			if !info.Type.IsDir() {
				return nil, fmt.Errorf("%s is not a folder (%v)", c.Path(dir), info.Type)
			}
			checked[dir] = true
		}
		info, err := d.fs.Stat(c.Path(f.Name))
		if err != nil {
			return nil, err
		}
		if !info.Type.IsRegular() || info.Size != f.Size {
			return nil, fmt.Errorf("%s: %d bytes (%v), the manifest says %d", c.Path(f.Name), info.Size, info.Type, f.Size)
		}
		if want := min(f.Size, readSize); want > int64(len(buf)) {
			buf = make([]byte, want)
		}
		size, sum, err := d.sum(ctx, c.Path(f.Name), buf)
		if err != nil {
			return nil, err
		}
		if size != f.Size || sum != f.CRC32C {
			return nil, fmt.Errorf("%s: %d bytes with the checksum %v, the manifest says %d with %v: the file is damaged",
				c.Path(f.Name), size, sum, f.Size, f.CRC32C)
		}
		c.Files = append(c.Files, FileInfo(f))
	}
	return c, nil
}

// match compares what a checkpoint is of with what this run is of.
func (d *Dir) match(name string, m *manifest) error {
	if m.Model != d.opts.Model {
		return &MismatchError{d.join(name), "model", m.Model, d.opts.Model}
	}
	if m.Config != d.opts.Config {
		return &MismatchError{d.join(name), "config", m.Config, d.opts.Config}
	}
	return nil
}

// readSize is how many bytes of a file are read at a time.
const readSize = 1 << 20

// sum reads a file to its end.
func (d *Dir) sum(ctx context.Context, name string, buf []byte) (size int64, sum Checksum, err error) {
	if len(buf) == 0 {
		buf = make([]byte, 1)
	}
	f, err := d.fs.Open(name)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	for {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		n, err := f.Read(buf)
		size += int64(n)
		sum = Checksum(crc32.Update(uint32(sum), castagnoli, buf[:n]))
		if err == io.EOF {
			return size, sum, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}
