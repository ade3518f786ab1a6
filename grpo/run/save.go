package run

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A File is something to be written into a checkpoint: one file, or a folder of
// them. Exactly one of Write and Folder is set.
type File struct {
	Name string // with slashes, inside the checkpoint
	Size int64  // what it is expected to take, for the look at the free space

	// Write writes the file.
	Write func(ctx context.Context, w io.Writer) error

	// Folder fills a folder that was made for it, as engine/checkpoint.Save does.
	// Its files are read again for their checksums, and flushed.
	Folder func(ctx context.Context, dir string) error
}

// A SpaceError says that a checkpoint does not fit on the disk. Nothing was
// written.
type SpaceError struct {
	Dir        string
	Need, Free int64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("run: %s: a checkpoint takes %d bytes, the disk has %d free: make room, or keep fewer checkpoints", e.Dir, e.Need, e.Free)
}

// Save saves a checkpoint. If it returns nil the checkpoint is on the disk, and
// older ones were removed as [Options] say; what could not be removed is named
// in the log. If it returns an error there is no such checkpoint, and those
// before are as they were; it may be tried again.
//
// A checkpoint of the same step is replaced. A newer one is an error unless Load
// has found it damaged. Call Load before the first Save, therefore.
func (d *Dir) Save(ctx context.Context, meta Meta, files ...File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.opts.ReadOnly {
		return fmt.Errorf("run: %s is open for reading only", d.dir)
	}
	if err := d.usable(); err != nil {
		return err
	}
	s := &saver{Dir: d, ctx: ctx, final: stepName(meta.Step), dirs: map[string]bool{"": true}}
	s.m = manifest{Format: Format, Step: meta.Step, Policy: meta.Policy, Model: d.opts.Model, Config: d.opts.Config, Binary: d.opts.Binary,
		Score: meta.Score, Pinned: meta.Pinned, State: meta.State, Files: []fileEntry{}}
	if err := s.check(files); err != nil {
		return err
	}
	if err := s.save(files); err != nil {
		return fmt.Errorf("run: saving step %d: %w", meta.Step, err)
	}
	delete(d.bad, meta.Step)
	d.prune(meta.Step)
	return nil
}

type saver struct {
	*Dir
	ctx   context.Context
	m     manifest
	tmp   string          // name of the folder that is written
	final string          // its name when it is complete
	old   string          // name that the checkpoint before of this step has meanwhile, if there was one
	dirs  map[string]bool // folders inside tmp, with slashes, "" for itself
}

// check refuses what cannot be saved before anything is written.
func (s *saver) check(files []File) error {
	if err := s.m.check(); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	if _, err := s.m.encode(); err != nil {
		return fmt.Errorf("run: the state: %w", err)
	}
	var need int64
	for i, f := range files {
		if err := checkName(f.Name); err != nil {
			return fmt.Errorf("run: %w", err)
		}
		if (f.Write == nil) == (f.Folder == nil) {
			return fmt.Errorf("run: file %q: exactly one of Write and Folder must be set", f.Name)
		}
		if slices.ContainsFunc(files[:i], func(g File) bool { return g.Name == f.Name }) {
			return fmt.Errorf("run: file %q is given twice", f.Name)
		}
		need += f.Size
	}
	need += need / 20
	if free, ok := s.fs.Free(s.dir); ok && free < need {
		return &SpaceError{s.dir, need, free}
	}
	steps, err := s.Steps()
	if err != nil {
		return err
	}
	for _, step := range steps {
		if step > s.m.Step && !s.bad[step] {
			return fmt.Errorf("run: %s holds step %d, step %d is to be saved: a run that goes on from an older checkpoint needs a directory of its own",
				s.dir, step, s.m.Step)
		}
	}
	if _, err := s.fs.Stat(s.join(s.final)); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	ours := false
	if slices.Contains(steps, s.m.Step) {
		if ours, err = s.ours(s.final); err != nil {
			return fmt.Errorf("run: %w", err)
		}
	}
	if !ours {
		return fmt.Errorf("run: %s is in the way: this program did not make it", s.join(s.final))
	}
	return nil
}

func (s *saver) save(files []File) error {
	s.tmp = passingName(tmpPrefix, s.m.Step)
	done := false
	defer func() { // after a panic of the caller's functions, too
		if !done {
			s.undo()
		}
	}()
	if err := s.fs.Mkdir(s.join(s.tmp)); err != nil {
		return err
	}
	// The marker is on the disk before anything else: what is cut off from here
	// on can be removed.
	err := s.write(markerName, int64(len(markerText)), func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, markerText)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.join(s.tmp)); err != nil {
		return err
	}
	for _, f := range files {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		add := s.file
		if f.Folder != nil {
			add = s.folder
		}
		if err := add(f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	slices.SortFunc(s.m.Files, func(a, b fileEntry) int { return cmp.Compare(a.Name, b.Name) })
	data, err := s.m.encode()
	if err != nil {
		return err
	}
	if m, err := parseManifest(data); err != nil || m.Step != s.m.Step {
		return fmt.Errorf("the manifest could not be read back: %w", err)
	}
	for dir := range s.dirs {
		if dir != "" {
			if err := s.fs.SyncDir(s.inside(dir)); err != nil {
				return err
			}
		}
	}
	err = s.write(manifestName, int64(len(data)), func(_ context.Context, w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.join(s.tmp)); err != nil {
		return err
	}
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if err := s.commit(); err != nil {
		return err
	}
	done = true
	return nil
}

// commit gives the folder its final name.
func (s *saver) commit() error {
	switch _, err := s.fs.Stat(s.join(s.final)); {
	case err == nil:
		// A folder cannot take the place of another in one step. Between the two
		// renames, and after a crash there, the old one is found by tidy.
		old := passingName(oldPrefix, s.m.Step)
		if err := s.fs.Rename(s.join(s.final), s.join(old)); err != nil {
			return err
		}
		s.old = old
		if err := s.fs.SyncDir(s.dir); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := s.fs.Rename(s.join(s.tmp), s.join(s.final)); err != nil {
		return err
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		// It is not known what is on the disk. What the caller is told, that there
		// is no such checkpoint, shall be true at least of what can be seen.
		if rerr := s.fs.Rename(s.join(s.final), s.join(s.tmp)); rerr != nil {
			err = errors.Join(err, rerr)
		}
		return err
	}
	return nil
}

// undo leaves nothing of a save that failed. What it does not get done, tidy
// does later.
func (s *saver) undo() {
	var errs []error
	if s.old != "" {
		if _, err := s.fs.Stat(s.join(s.final)); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, s.fs.Rename(s.join(s.old), s.join(s.final)), s.fs.SyncDir(s.dir))
		}
	}
	if _, err := s.fs.Stat(s.join(s.tmp)); err == nil {
		errs = append(errs, s.removeAll(s.tmp))
	}
	if err := errors.Join(errs...); err != nil {
		s.log.Warn("run: cleaning up after a save that failed", "path", s.join(s.tmp), "error", err)
	}
}

func (s *saver) inside(name string) string { return s.join(s.tmp, filepath.FromSlash(name)) }

// parents makes the folders that a file lies in.
func (s *saver) parents(name string) error {
	dir := path.Dir(name)
	if dir == "." || s.dirs[dir] {
		return nil
	}
	if err := s.parents(dir); err != nil {
		return err
	}
	s.dirs[dir] = true
	return s.fs.Mkdir(s.inside(dir))
}

// file writes one file and enters it into the manifest.
func (s *saver) file(f File) error {
	if err := s.parents(f.Name); err != nil {
		return err
	}
	return s.write(f.Name, f.Size, f.Write)
}

// write writes and flushes one file. All but the marker and the manifest itself
// are entered into the manifest. size is what is expected, 0 if that is not
// known.
func (s *saver) write(name string, size int64, fill func(context.Context, io.Writer) error) (err error) {
	f, err := s.fs.Create(s.inside(name))
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	sum := &sumWriter{ctx: s.ctx, w: f}
	const most = 1 << 18
	if size <= 0 || size > most {
		size = most
	}
	buf := bufio.NewWriterSize(sum, int(size))
	if err := fill(s.ctx, buf); err != nil {
		return err
	}
	if err := buf.Flush(); err != nil { // of an error that fill passed over, too
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if name != markerName && name != manifestName {
		s.m.Files = append(s.m.Files, fileEntry{name, sum.size, sum.sum})
	}
	return nil
}

// A sumWriter counts what goes through it. It ends when its context does.
type sumWriter struct {
	ctx  context.Context
	w    io.Writer
	size int64
	sum  Checksum
}

func (w *sumWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.w.Write(p)
	if err == nil && n != len(p) {
		err = io.ErrShortWrite
	}
	w.size += int64(n)
	w.sum = Checksum(crc32.Update(uint32(w.sum), castagnoli, p[:n]))
	return n, err
}

// folder has the caller fill a folder, and enters what it finds into the
// manifest.
func (s *saver) folder(f File) error {
	if err := s.parents(path.Join(f.Name, "x")); err != nil {
		return err
	}
	if err := f.Folder(s.ctx, s.inside(f.Name)); err != nil {
		return err
	}
	var buf []byte
	return s.walk(s.tmp, f.Name, func(name string, info Info) error {
		if !info.Type.IsRegular() {
			return fmt.Errorf("%s is not a regular file (%v)", strings.TrimPrefix(name, f.Name+"/"), info.Type)
		}
		if err := checkName(name); err != nil {
			return err
		}
		if err := s.fs.SyncFile(s.inside(name)); err != nil {
			return err
		}
		if want := min(info.Size, readSize); want > int64(len(buf)) {
			buf = make([]byte, want)
		}
		size, sum, err := s.sum(s.ctx, s.inside(name), buf)
		if err != nil {
			return err
		}
		s.m.Files = append(s.m.Files, fileEntry{name, size, sum})
		return nil
	}, func(name string) error {
		s.dirs[name] = true
		return nil
	})
}

// prune removes the checkpoints before step that the options do not keep.
func (d *Dir) prune(step int64) {
	if err := d.pruneBefore(step); err != nil {
		d.log.Warn("run: removing older checkpoints", "path", d.dir, "error", err)
	}
	if err := d.tidy(); err != nil { // the one that was replaced
		d.log.Warn("run: removing older checkpoints", "path", d.dir, "error", err)
	}
}

func (d *Dir) pruneBefore(step int64) error {
	if d.opts.Keep == 0 {
		return nil
	}
	steps, err := d.Steps()
	if err != nil {
		return err
	}
	kept := 0
	best, bestScore := int64(-1), 0.0
	var victims []int64
	for _, s := range slices.Backward(steps) {
		if s > step {
			continue // damaged, and later than what the run has come to
		}
		m, err := d.manifest(stepName(s))
		if err == nil && m.Step != s {
			err = fmt.Errorf("its manifest is of step %d", m.Step)
		}
		if err == nil {
			err = d.match(stepName(s), m)
		}
		switch {
		case err != nil:
			d.log.Warn("run: a checkpoint is not counted and not removed", "path", d.join(stepName(s)), "reason", err)
			continue
		case m.Pinned:
			kept++
		case d.bad[s]: // goes when there are enough others
			if kept >= d.opts.Keep {
				victims = append(victims, s)
			}
			continue
		case kept < d.opts.Keep:
			kept++
		default:
			victims = append(victims, s)
		}
		// Of equals the newer stays, which may be the latest anyway.
		if m.Score != nil && (best < 0 || d.opts.better(*m.Score, bestScore)) {
			best, bestScore = s, *m.Score
		}
	}
	var trash []string
	for _, s := range victims {
		name := stepName(s)
		if d.opts.KeepBest && s == best {
			continue
		}
		if why := d.foreign(name); why != nil {
			d.log.Warn("run: a checkpoint stays", "path", d.join(name), "reason", why)
			continue
		}
		away := passingName(trashPrefix, s)
		if err := d.fs.Rename(d.join(name), d.join(away)); err != nil {
			return err
		}
		trash = append(trash, away)
	}
	if trash == nil {
		return nil
	}
	if err := d.fs.SyncDir(d.dir); err != nil {
		return err
	}
	for _, name := range trash {
		if err := d.removeAll(name); err != nil {
			return err
		}
	}
	return nil
}
