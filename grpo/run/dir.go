package run

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Options say how a run directory is kept.
type Options struct {
	// Model and Config are hashes of what the weights are for and of the run's
	// settings. A checkpoint with others is refused: see [MismatchError].
	Model, Config string
	Binary        string // version of the program, for the record

	Keep     int  // newest checkpoints that stay; 0 means all
	KeepBest bool // the one with the highest score stays, too
	Lowest   bool // the lowest score is the best

	// ReadOnly opens a run directory beside the trainer that writes it: nothing
	// is locked, cleaned up or saved.
	ReadOnly bool

	Log *slog.Logger // nil means slog.Default()
}

// A Dir is a run directory. Its methods may be called by several goroutines;
// a Save waits for the one before.
type Dir struct {
	fs      FS
	dir     string
	opts    Options
	log     *slog.Logger
	release func() // of the lock

	mu     sync.Mutex
	closed bool
	bad    map[int64]bool // steps whose checkpoints Load has found damaged
}

// Open opens the run directory dir, which it makes if it is missing, locks it,
// and removes what saves that were cut off have left behind.
//
// Of the free space, Keep+1 checkpoints are needed, and one more if KeepBest is
// set: the new one is complete before an old one goes.
func Open(fsys FS, dir string, opts Options) (_ *Dir, err error) {
	if opts.Keep < 0 {
		return nil, fmt.Errorf("run: Keep is %d: want a number of checkpoints, or 0 for all", opts.Keep)
	}
	d := &Dir{fs: fsys, dir: dir, opts: opts, log: cmp.Or(opts.Log, slog.Default()), bad: make(map[int64]bool)}
	if opts.ReadOnly {
		if _, err := fsys.List(dir); err != nil {
			return nil, fmt.Errorf("run: %w", err)
		}
		return d, nil
	}
	if err := d.makeAll(dir); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	d.release, err = fsys.Lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return nil, fmt.Errorf("run: %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			d.release()
		}
	}()
	// What a killed process has renamed may be seen and not yet be on the disk.
	// The parent's entry for dir is that process's affair where it is not ours.
	if err := fsys.SyncDir(filepath.Dir(filepath.Clean(dir))); err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("run: %w", err)
	}
	if err := fsys.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	if err := d.tidy(); err != nil {
		return nil, err
	}
	return d, nil
}

// Close gives the run directory free.
func (d *Dir) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed && d.release != nil {
		d.release()
	}
	d.closed = true
}

// Path returns the run directory's path.
func (d *Dir) Path() string { return d.dir }

func (d *Dir) join(elem ...string) string {
	return filepath.Join(append([]string{d.dir}, elem...)...)
}

// makeAll makes a directory and those above it, each on the disk before the
// next.
func (d *Dir) makeAll(dir string) error {
	_, err := d.fs.Stat(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if parent != dir {
		if err := d.makeAll(parent); err != nil {
			return err
		}
	}
	if err := d.fs.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.fs.SyncDir(parent)
}

// Prefixes of the names in a run directory. After those of folders on their way
// come the step, a dash and a random number.
const (
	stepPrefix  = "step-"
	tmpPrefix   = ".tmp-"     // is being written
	oldPrefix   = ".old-"     // gives way to another checkpoint of the same step
	trashPrefix = ".trash-"   // is being removed
	keptPrefix  = "replaced-" // gave way, and holds what is not this program's to remove
)

func stepName(step int64) string { return stepPrefix + strconv.FormatInt(step, 10) }

// parseStep reads a decimal number without sign and leading zeros.
func parseStep(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == s
}

func passingName(prefix string, step int64) string {
	var random [8]byte
	rand.Read(random[:]) // never fails
	return prefix + strconv.FormatInt(step, 10) + "-" + hex.EncodeToString(random[:])
}

// parsePassing reads a name of passingName.
func parsePassing(name, prefix string) (int64, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	number, random, dash := strings.Cut(rest, "-")
	if !ok || !dash || len(random) != 16 || strings.Trim(random, "0123456789abcdef") != "" {
		return 0, false
	}
	return parseStep(number)
}

// tidy removes what saves and removals that were cut off have left, and puts a
// checkpoint back that was to give way to another one that did not come.
func (d *Dir) tidy() error {
	entries, err := d.fs.List(d.dir)
	if err != nil {
		return fmt.Errorf("run: %w", err)
	}
	var stale, replaced []string
	for _, e := range entries {
		if !e.Type.IsDir() {
			continue
		}
		step, old := parsePassing(e.Name, oldPrefix)
		_, tmp := parsePassing(e.Name, tmpPrefix)
		_, trash := parsePassing(e.Name, trashPrefix)
		if !old && !tmp && !trash {
			continue
		}
		ours, err := d.ours(e.Name)
		if err != nil {
			return fmt.Errorf("run: %w", err)
		}
		// The marker is the first file to come and the last to go. A folder
		// without files has nothing to lose.
		if !ours {
			if inside, err := d.fs.List(d.join(e.Name)); err != nil || len(inside) > 0 || old {
				d.log.Warn("run: a folder without this program's marker stays", "path", d.join(e.Name))
				continue
			}
		}
		if old {
			switch _, err := d.fs.Stat(d.join(stepName(step))); {
			case err == nil:
				// Under the old name it must be whole, or it would not be known as
				// removable when the removal is cut off. Nor may it stay under that
				// name, or it would come back when its successor is removed.
				why := d.foreign(e.Name)
				if unreadable(why) {
					d.log.Warn("run: a checkpoint that was replaced is not removed yet", "path", d.join(e.Name), "reason", why)
					continue
				}
				away := passingName(trashPrefix, step)
				if why != nil {
					away = passingName(keptPrefix, step)
				}
				if err := d.fs.Rename(d.join(e.Name), d.join(away)); err != nil {
					return fmt.Errorf("run: %w", err)
				}
				if why != nil {
					d.log.Warn("run: a checkpoint that was replaced is not removed", "path", d.join(away), "reason", why)
				} else {
					replaced = append(replaced, away)
				}
			case !errors.Is(err, fs.ErrNotExist):
				return fmt.Errorf("run: %w", err)
			default:
				d.log.Warn("run: putting back a checkpoint that was to be replaced", "step", step)
				if err := d.fs.Rename(d.join(e.Name), d.join(stepName(step))); err != nil {
					return fmt.Errorf("run: %w", err)
				}
				if err := d.fs.SyncDir(d.dir); err != nil {
					return fmt.Errorf("run: %w", err)
				}
			}
			continue
		}
		stale = append(stale, e.Name)
	}
	if replaced != nil {
		if err := d.fs.SyncDir(d.dir); err != nil {
			return fmt.Errorf("run: %w", err)
		}
	}
	for _, name := range append(stale, replaced...) {
		d.log.Info("run: removing what was left of a save", "path", d.join(name))
		if err := d.removeAll(name); err != nil {
			return fmt.Errorf("run: removing what was left of a save: %w", err)
		}
	}
	return nil
}

// ours tells whether a folder of the run directory has the marker.
func (d *Dir) ours(name string) (bool, error) {
	info, err := d.fs.Stat(d.join(name, markerName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Type.IsRegular(), err
}

// unreadable tells whether an error comes from the disk, and so says nothing of
// what is on it.
func unreadable(err error) bool {
	return errors.As(err, new(*fs.PathError)) && !errors.Is(err, fs.ErrNotExist)
}

// foreign returns why a checkpoint may not be removed: it is not this program's,
// or somebody put something into it.
func (d *Dir) foreign(name string) error {
	if ours, err := d.ours(name); err != nil {
		return err
	} else if !ours {
		return errors.New("it has no marker of this program")
	}
	m, err := d.manifest(name)
	if err != nil {
		return fmt.Errorf("what belongs to it is not known: %w", err)
	}
	known := map[string]bool{manifestName: true, markerName: true}
	for _, f := range m.Files {
		known[f.Name] = true
	}
	return d.walk(name, "", func(file string, info Info) error {
		if !known[file] || !info.Type.IsRegular() {
			return fmt.Errorf("this program did not write %s", file)
		}
		return nil
	}, nil)
}

// walk calls file with everything but directories below the folder name, and
// dir with the directories, the inner ones first.
func (d *Dir) walk(name, below string, file func(string, Info) error, dir func(string) error) error {
	entries, err := d.fs.List(d.join(name, filepath.FromSlash(below)))
	if err != nil {
		return err
	}
	for _, e := range entries {
		inside := e.Name
		if below != "" {
			inside = below + "/" + e.Name
		}
		if !e.Type.IsDir() {
			if err := file(inside, e); err != nil {
				return err
			}
			continue
		}
		if err := d.walk(name, inside, file, dir); err != nil {
			return err
		}
		if dir != nil {
			if err := dir(inside); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeAll removes a folder of the run directory, the marker after everything
// else. Links are removed, not followed.
func (d *Dir) removeAll(name string) error {
	marked := false
	err := d.walk(name, "", func(file string, _ Info) error {
		if file == markerName {
			marked = true
			return nil
		}
		return d.fs.Remove(d.join(name, filepath.FromSlash(file)))
	}, func(dir string) error {
		return d.fs.Remove(d.join(name, filepath.FromSlash(dir)))
	})
	if err != nil {
		return err
	}
	if marked {
		if err := d.fs.SyncDir(d.join(name)); err != nil {
			return err
		}
		if err := d.fs.Remove(d.join(name, markerName)); err != nil {
			return err
		}
	}
	return d.fs.Remove(d.join(name))
}

// Steps returns the steps of the checkpoints that are there, in ascending order,
// whether they are valid or not.
func (d *Dir) Steps() ([]int64, error) { return d.steps(func(string) {}) }

// steps calls ignored with folders that are named like checkpoints and are none.
func (d *Dir) steps(ignored func(name string)) ([]int64, error) {
	entries, err := d.fs.List(d.dir)
	if err != nil {
		return nil, fmt.Errorf("run: %w", err)
	}
	var steps []int64
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name, stepPrefix)
		step, plain := parseStep(number)
		if !ok || !plain || !e.Type.IsDir() {
			continue
		}
		// A folder that has lost one of the two is a damaged checkpoint. One
		// that never had either is somebody else's.
		ours, err := d.ours(e.Name)
		if err != nil {
			return nil, fmt.Errorf("run: %w", err)
		}
		if !ours {
			if _, err := d.fs.Stat(d.join(e.Name, manifestName)); errors.Is(err, fs.ErrNotExist) {
				ignored(e.Name)
				continue
			}
		}
		steps = append(steps, step)
	}
	slices.Sort(steps)
	return steps, nil
}

// manifest reads the manifest of a checkpoint.
func (d *Dir) manifest(name string) (*manifest, error) {
	path := d.join(name, manifestName)
	info, err := d.fs.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Type.IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file (%v)", path, info.Type)
	}
	if info.Size > maxManifest {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are allowed", path, info.Size, maxManifest)
	}
	f, err := d.fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest+1))
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(data)
	if format := (*FormatError)(nil); errors.As(err, &format) {
		format.Path = d.join(name)
		return nil, format
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// better tells whether score a is better than b.
func (o *Options) better(a, b float64) bool {
	if o.Lowest {
		return a < b
	}
	return a > b
}
