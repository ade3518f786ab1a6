package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

const runDir = "runs/a"

func quiet(o Options) Options {
	o.Log, o.Model, o.Config = slog.New(slog.DiscardHandler), "m1", "c1"
	return o
}

// content is what the save called id writes into a file.
func content(id int, name string, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(id*31 + len(name)*7 + i + i>>8*113)
	}
	return b
}

// The files of a test's checkpoint. Those below model/ come from a Folder.
var testFiles = map[string]int{"optimizer.safetensors": 1300, "model/config.json": 40, "model/sub/w.safetensors": 700, "deep/er/state.bin": 10}

// filesOf gives Save the files of save id, on m.
func filesOf(fsys FS, id int) []File {
	file := func(name string) File {
		return File{Name: name, Size: int64(testFiles[name]), Write: func(_ context.Context, w io.Writer) error {
			_, err := w.Write(content(id, name, testFiles[name]))
			return err
		}}
	}
	put := func(path, name string) error {
		f, err := fsys.Create(path)
		if err != nil {
			return err
		}
		n, err := f.Write(content(id, name, testFiles[name]))
		if err == nil && n < testFiles[name] {
			err = io.ErrShortWrite
		}
		return errors.Join(err, f.Close()) // not flushed: Save does that
	}
	return []File{file("optimizer.safetensors"), file("deep/er/state.bin"),
		{Name: "model", Folder: func(_ context.Context, dir string) error {
			if err := put(dir+"/config.json", "model/config.json"); err != nil {
				return err
			}
			if err := fsys.Mkdir(dir + "/sub"); err != nil {
				return err
			}
			return put(dir+"/sub/w.safetensors", "model/sub/w.safetensors")
		}}}
}

// metaOf is the meta data of save id.
func metaOf(id int, step int64) Meta {
	score := float64(id%7) / 3
	return Meta{Step: step, Policy: step + 1, Score: &score, State: json.RawMessage(fmt.Sprintf(`{"id":%d}`, id))}
}

// identify returns which save a checkpoint is of, or an error if a byte is
// wrong.
func identify(c *Checkpoint) (int, error) {
	var state struct{ ID int }
	if err := json.Unmarshal(c.State, &state); err != nil {
		return 0, err
	}
	want := metaOf(state.ID, c.Step)
	if c.Policy != want.Policy || *c.Score != *want.Score || string(c.State) != string(want.State) || len(c.Files) != len(testFiles) {
		return 0, fmt.Errorf("checkpoint %+v", c)
	}
	for name, size := range testFiles {
		f, err := c.Open(name)
		if err != nil {
			return 0, err
		}
		data, err := io.ReadAll(f)
		if err != nil {
			return 0, err
		}
		f.Close()
		if string(data) != string(content(state.ID, name, size)) {
			return 0, fmt.Errorf("save %d: the bytes of %s are wrong", state.ID, name)
		}
	}
	return state.ID, nil
}

// recovered opens what a crash has left and returns which save is loaded, or 0
// if there is none.
func recovered(m *memFS) (int, error) {
	d, err := Open(m, runDir, quiet(Options{}))
	if err != nil {
		return 0, err
	}
	defer d.Close()
	if names, err := m.List(runDir); err != nil {
		return 0, err
	} else if i := slices.IndexFunc(names, func(e Info) bool { return strings.HasPrefix(e.Name, ".") && e.Name != ".lock" }); i >= 0 {
		return 0, fmt.Errorf("%s is left", names[i].Name)
	}
	c, err := d.Load(context.Background())
	if errors.Is(err, ErrNone) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return identify(c)
}

// A scenario does something to a file system that it has prepared, and keeps
// count of what it was promised.
type scenario struct {
	*memFS
	opts  Options
	dir   *Dir
	saves []attempt
}

// An attempt is a save between two lengths of the log.
type attempt struct{ id, start, end int }

func (s *scenario) open() {
	if s.dir != nil {
		s.dir.Close()
	}
	d, err := Open(s, runDir, quiet(s.opts))
	if err != nil {
		panic(err)
	}
	s.dir = d
}

func (s *scenario) load() {
	if _, err := s.dir.Load(context.Background()); err != nil {
		panic(err)
	}
}

func (s *scenario) save(id int, step int64) {
	start := len(s.log)
	if err := s.dir.Save(context.Background(), metaOf(id, step), filesOf(s, id)...); err != nil {
		panic(err)
	}
	s.saves = append(s.saves, attempt{id, start, len(s.log)})
}

// begin forgets what came before: it is on the disk. The last save's id stays
// what a crash may fall back to.
func (s *scenario) begin() {
	s.settle()
	s.saves = []attempt{{id: s.saves[len(s.saves)-1].id}}
}

// allowed returns what may be found after a crash when the log had n operations:
// the last save that was done, or the one that was on its way.
func (s *scenario) allowed(n int) []int {
	ids := []int{0}
	for _, a := range s.saves {
		switch {
		case a.end <= n:
			ids = []int{a.id}
		case a.start < n:
			ids = append(ids, a.id)
		}
	}
	return ids
}

func scenarios() map[string]func(*scenario) {
	return map[string]func(*scenario){
		"first save": func(s *scenario) {
			s.open()
			s.save(1, 10)
		},
		"next save": func(s *scenario) {
			s.open()
			s.save(1, 10)
			s.begin()
			s.save(2, 20)
		},
		"overwrite": func(s *scenario) {
			s.open()
			s.save(1, 10)
			s.begin()
			s.save(2, 10)
		},
		"prune": func(s *scenario) {
			s.open()
			for i := range 3 {
				s.save(1+i, 10+10*int64(i))
			}
			s.opts.Keep = 1
			s.open()
			s.begin()
			s.save(4, 40)
		},
		"keep the best": func(s *scenario) {
			s.opts = Options{Keep: 1, KeepBest: true}
			s.open()
			s.save(6, 10)
			s.save(1, 20)
			s.begin()
			s.save(2, 30)
		},
		// A process is killed in the middle of a save and in the middle of a
		// removal; the next one resumes and saves.
		"resume, then save": func(s *scenario) {
			s.opts.Keep = 1
			s.open()
			s.save(1, 10)
			for _, call := range []string{"rename", "remove"} {
				s.fault = func(c, name string, _ []byte) error {
					if c == call && !strings.Contains(name, tmpPrefix) && strings.Contains(name, "20") || s.fault == nil {
						return errKilled
					}
					return nil
				}
				s.saveKilled(2, 20)
			}
			s.begin()
			s.open()
			s.load()
			s.save(3, 30)
		},
		// As before, but the power fails in the second process, which may have
		// built on what the first had not flushed.
		"killed twice": func(s *scenario) {
			s.open()
			s.save(1, 10)
			s.begin()
			s.saveKilledAt(2, 20, "rename")
			s.open()
			s.load()
			s.save(3, 20)
			s.saveKilledAt(4, 20, "rename")
			s.open()
			s.load()
			s.save(5, 30)
		},
	}
}

var errKilled = errors.New("killed")

// saveKilled tries a save during which the process ends: from the first fault on
// no call does anything.
func (s *scenario) saveKilled(id int, step int64) {
	inner := s.fault
	dead := false
	s.fault = func(call, name string, p []byte) error {
		if dead = dead || inner(call, name, p) != nil; dead {
			return errKilled
		}
		return nil
	}
	start := len(s.log)
	err := s.dir.Save(context.Background(), metaOf(id, step), filesOf(s, id)...)
	s.fault = nil
	s.dir.Close()
	s.dir = nil
	s.open()
	if err == nil {
		s.saves = append(s.saves, attempt{id, start, len(s.log)})
	}
}

// saveKilledAt ends the process at the last call of a kind that the save makes
// to put the checkpoint in place.
func (s *scenario) saveKilledAt(id int, step int64, call string) {
	s.fault = func(c, name string, _ []byte) error {
		if c == call && strings.Contains(name, tmpPrefix) {
			return errKilled
		}
		return nil
	}
	s.saveKilled(id, step)
}

// crashes counts the crashes of a scenario, and those after which something else
// is found than may be.
func crashes(s *scenario, p power, seeds int) (all, bad int, first error) {
	seen := make(map[string]error) // by what survived and what may be found
	for n := range len(s.log) + 1 {
		if len(s.saves) > 0 && s.saves[0].start == 0 && n == 0 {
			continue // nothing was done
		}
		continued := false
		allowed, durable := s.allowed(n), p.durable(s.log[:n])
		for seed := range seeds {
			rng := rand.New(rand.NewPCG(uint64(n), uint64(seed)))
			keep, key := p.survivors(s.log[:n], durable, rng)
			key = strings.TrimRight(key, "\x00") + fmt.Sprint(allowed)
			err, done := seen[key]
			if !done {
				after := s.crash(n, keep)
				var id int
				if id, err = recovered(after); err == nil && !slices.Contains(allowed, id) {
					err = fmt.Errorf("found save %d, want one of %d", id, allowed)
				}
				if err == nil && !continued { // and the run goes on
					continued = true
					after = s.crash(n, keep)
					after.settle()
					next := &scenario{memFS: after, opts: s.opts}
					next.open()
					next.save(99, 1000)
					if id, err = recovered(after.crash(len(after.log), none.durable(after.log))); id != 99 && err == nil {
						err = fmt.Errorf("the save after it is save %d", id)
					}
				}
				seen[key] = err
			}
			all++
			if err != nil {
				bad++
				if first == nil {
					first = fmt.Errorf("crash after operation %d, seed %d: %w", n, seed, err)
				}
			}
		}
	}
	return all, bad, first
}

func TestCrash(t *testing.T) {
	draws := 300
	if testing.Short() {
		draws = 20
	}
	for name, play := range scenarios() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &scenario{memFS: newMemFS()}
			play(s)
			for p, seeds := range map[power]int{kill: 1, none: 1, ext4: draws, posix: draws} {
				all, bad, err := crashes(s, p, seeds)
				if bad > 0 {
					t.Errorf("%v: %d of %d crashes are bad: %v", p, bad, all, err)
				}
				t.Logf("%v: %d crashes at %d operations", p, all, len(s.log))
				if all < len(s.log)*seeds {
					t.Errorf("%v: %d crashes for %d operations", p, all, len(s.log))
				}
			}
		})
	}
}

// Without the flushes the same tests fail, as they must.
func TestCrashFindsMissingFlushes(t *testing.T) {
	for _, tt := range []struct {
		name      string
		file, dir bool // what is left out
		power     power
		bad       bool
	}{
		{"no flush of files, ext4", true, false, ext4, true},
		{"no flush of files, POSIX", true, false, posix, true},
		{"no flush of files, kill", true, false, kill, false},
		{"no flush of directories, POSIX", false, true, posix, true},
		{"no flush at all, ext4", true, true, ext4, true},
	} {
		s := &scenario{memFS: newMemFS()}
		s.ignoreSyncFile, s.ignoreSyncDir = tt.file, tt.dir
		s.opts.Keep = 1
		s.open()
		s.save(1, 10)
		s.begin()
		s.save(2, 20)
		s.save(3, 30)
		all, bad, err := crashes(s, tt.power, 20)
		t.Logf("%s: %d of %d crashes are bad: %v", tt.name, bad, all, err)
		if (bad > 0) != tt.bad {
			t.Errorf("%s: %d of %d crashes are bad", tt.name, bad, all)
		}
	}
}
