package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func mustOpen(t *testing.T, fsys FS, dir string, o Options) *Dir {
	t.Helper()
	d, err := Open(fsys, dir, quiet(o))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func mustSave(t *testing.T, d *Dir, id int, step int64) {
	t.Helper()
	if err := d.Save(t.Context(), metaOf(id, step), filesOf(d.fs, id)...); err != nil {
		t.Fatal(err)
	}
}

// loaded returns which save the newest checkpoint is of.
func loaded(t *testing.T, d *Dir) int {
	t.Helper()
	c, err := d.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	id, err := identify(c)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func listed(t *testing.T, fsys FS, dir string) []string {
	t.Helper()
	entries, err := fsys.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name != ".lock" {
			names = append(names, e.Name)
		}
	}
	return names
}

// On the real file system: save, load, resume, replace, prune.
func TestDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "runs", "a")
	d := mustOpen(t, Disk{}, dir, Options{Keep: 2, Binary: "v1"})
	if _, err := d.Load(t.Context()); !errors.Is(err, ErrNone) {
		t.Errorf("Load of an empty directory: %v", err)
	}
	for i := range 4 {
		mustSave(t, d, i+1, int64(10*i))
	}
	mustSave(t, d, 7, 30)
	if got, want := listed(t, Disk{}, dir), []string{"step-20", "step-30"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	d.Close()
	d.Close()
	if err := d.Save(t.Context(), metaOf(1, 40)); err == nil {
		t.Error("a closed directory was saved to")
	}
	d = mustOpen(t, Disk{}, dir, Options{})
	defer d.Close()
	c, err := d.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if id, err := identify(c); id != 7 || err != nil || c.Step != 30 || c.Binary != "v1" || c.Model != "m1" || c.Config != "c1" {
		t.Errorf("save %d, %v: %+v", id, err, c)
	}
	if data, err := os.ReadFile(c.Path("model/config.json")); err != nil || !bytes.Equal(data, content(7, "model/config.json", 40)) {
		t.Errorf("model/config.json: %v", err)
	}
	if _, err := c.Open("absent"); err == nil {
		t.Error("a file that is not in the manifest was opened")
	}
	if c, err := d.LoadStep(t.Context(), 20); err != nil || c.Step != 20 {
		t.Errorf("LoadStep(20): %v", err)
	}
	if _, err := d.LoadStep(t.Context(), 10); !errors.Is(err, ErrNone) {
		t.Errorf("LoadStep(10): %v", err)
	}
	if n, ok := (Disk{}).Free(dir); ok && n <= 0 {
		t.Errorf("%d bytes free", n)
	}
}

func TestTwoOpeners(t *testing.T) {
	dir := t.TempDir()
	d := mustOpen(t, Disk{}, dir, Options{})
	if _, err := Open(Disk{}, dir, quiet(Options{})); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("the second opener got %v", err)
	}
	mustSave(t, d, 1, 1)
	r := mustOpen(t, Disk{}, dir, Options{ReadOnly: true})
	if loaded(t, r) != 1 {
		t.Error("the reader did not find the checkpoint")
	}
	if err := r.Save(t.Context(), metaOf(1, 2)); err == nil {
		t.Error("a reader saved")
	}
	r.Close()
	d.Close()
	mustOpen(t, Disk{}, dir, Options{}).Close()
	if _, err := Open(Disk{}, filepath.Join(dir, "absent"), quiet(Options{ReadOnly: true})); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a reader of an absent directory got %v", err)
	}
}

func TestRefuses(t *testing.T) {
	m := newMemFS()
	d := mustOpen(t, m, runDir, Options{})
	mustSave(t, d, 1, 10)
	ok := File{Name: "a", Write: func(context.Context, io.Writer) error { return nil }}
	nan := math.NaN()
	tests := []struct {
		name  string
		meta  Meta
		files []File
		want  string
	}{
		{"negative step", Meta{Step: -1}, nil, "negative"},
		{"older step", Meta{Step: 9}, nil, "holds step 10"},
		{"NaN score", Meta{Step: 11, Score: &nan}, nil, "finite"},
		{"state", Meta{Step: 11, State: json.RawMessage(`{`)}, nil, "state"},
		{"neither", Meta{Step: 11}, []File{{Name: "a"}}, "exactly one"},
		{"both", Meta{Step: 11}, []File{{Name: "a", Write: ok.Write, Folder: func(context.Context, string) error { return nil }}}, "exactly one"},
		{"twice", Meta{Step: 11}, []File{ok, ok}, "twice"},
		{"file in a file", Meta{Step: 11}, []File{ok, {Name: "a/b", Write: ok.Write}}, "a/b"},
		{"error", Meta{Step: 11}, []File{{Name: "a", Write: func(context.Context, io.Writer) error { return errors.New("no weights") }}}, "a: no weights"},
		{"error passed over", Meta{Step: 11}, []File{{Name: "a", Write: func(_ context.Context, w io.Writer) error {
			m.fault = func(call, _ string, _ []byte) error {
				if call == "write" {
					return syscall.ENOSPC
				}
				return nil
			}
			w.Write(make([]byte, 1<<20))
			m.fault = nil
			return nil
		}}}, "no space"},
	}
	for _, name := range []string{"", ".", "/a", "../a", "a/../b", "a//b", `a\b`, "a\x00", "a\n", "C:a", "manifest.json", ".thinker-checkpoint",
		"\xff", strings.Repeat("a", 256), strings.Repeat("a/", 600) + "b"} {
		tests = append(tests, struct {
			name  string
			meta  Meta
			files []File
			want  string
		}{fmt.Sprintf("name %.20q", name), Meta{Step: 11}, []File{{Name: name, Write: ok.Write}}, "name"})
	}
	for _, tt := range tests {
		if err := d.Save(t.Context(), tt.meta, tt.files...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", tt.name, err, tt.want)
		}
	}
	func() {
		defer func() { recover() }()
		d.Save(t.Context(), Meta{Step: 11}, File{Name: "a", Write: func(context.Context, io.Writer) error { panic("a bug") }})
	}()
	ctx, cancel := context.WithCancel(t.Context())
	err := d.Save(ctx, Meta{Step: 11}, ok, File{Name: "b", Write: func(_ context.Context, w io.Writer) error {
		cancel()
		_, err := w.Write(make([]byte, 1<<20))
		return err
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := d.Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Load, cancelled: %v", err)
	}
	if got := listed(t, m, runDir); !slices.Equal(got, []string{"step-10"}) {
		t.Errorf("after saves that failed there is %q", got)
	}
	if loaded(t, d) != 1 {
		t.Error("the checkpoint before is not there")
	}
	if _, err := Open(m, runDir, quiet(Options{Keep: -1})); err == nil {
		t.Error("Keep -1 was taken")
	}
}

func TestFreeSpace(t *testing.T) {
	m := newMemFS()
	m.free = 2049 // of 1350 + 5 % that the sizes make
	d := mustOpen(t, m, runDir, Options{})
	mustSave(t, d, 1, 10)
	m.free = 1300
	before := len(m.log)
	var space *SpaceError
	if err := d.Save(t.Context(), metaOf(2, 20), filesOf(m, 2)...); !errors.As(err, &space) || space.Free != 1300 || space.Need != 1310+1310/20 {
		t.Errorf("%v", err)
	}
	if len(m.log) != before {
		t.Error("something was written")
	}
}

func TestIdentity(t *testing.T) {
	m := newMemFS()
	d := mustOpen(t, m, runDir, Options{})
	mustSave(t, d, 1, 10)
	mustSave(t, d, 2, 20)
	d.Close()
	for _, tt := range []struct{ model, config, what string }{{"m2", "c1", "model"}, {"m1", "c2", "config"}} {
		d, err := Open(m, runDir, Options{Model: tt.model, Config: tt.config, Keep: 1, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		var mismatch *MismatchError
		if _, err := d.Load(t.Context()); !errors.As(err, &mismatch) || mismatch.What != tt.what {
			t.Errorf("%+v: %v", tt, err)
		}
		// Even a caller that did not look does not remove what is of another run.
		if err := d.Save(t.Context(), Meta{Step: 30}); err != nil {
			t.Error(err)
		}
		if got := listed(t, m, runDir); !slices.Equal(got, []string{"step-10", "step-20", "step-30"}) {
			t.Errorf("there is %q", got)
		}
		_, inode, _, _ := m.find("", runDir)
		delete(m.img[inode].entries, "step-30")
		d.Close()
	}
	d = mustOpen(t, m, runDir, Options{})
	m.edit(runDir+"/step-20/manifest.json", func(b []byte) []byte { return reseal(bytes.Replace(b, []byte(`"format":1`), []byte(`"format":2`), 1)) })
	var format *FormatError
	if _, err := d.Load(t.Context()); !errors.As(err, &format) || format.Format != 2 || !strings.Contains(format.Path, "step-20") {
		t.Errorf("format 2: %v", err)
	}
}

// reseal gives an altered manifest the right checksum.
func reseal(b []byte) []byte {
	body := b[:len(b)-trailerSize]
	sum := Checksum(crcOf(body))
	return []byte(string(body) + trailerStart + sum.String() + trailerEnd)
}

// Every call fails once, and from some call on all fail.
func TestFaults(t *testing.T) {
	type mode struct {
		name string
		err  error
		only string // calls that can fail so
	}
	for _, tt := range []mode{
		{"ENOSPC", syscall.ENOSPC, "write create mkdir"},
		{"short write", errShort, "write"},
		{"EIO", syscall.EIO, ""},
	} {
		for _, lasting := range []bool{false, true} {
			for _, step := range []int64{20, 10} { // a new checkpoint, or one in the other's place
				fired := true
				for n := 0; fired; n++ {
					m := newMemFS()
					d := mustOpen(t, m, runDir, Options{Keep: 1})
					mustSave(t, d, 1, 10)
					fired = false
					calls := 0
					at := ""
					m.fault = func(call, name string, _ []byte) error {
						if tt.only != "" && !strings.Contains(tt.only, call) {
							return nil
						}
						calls++
						if calls-1 == n || lasting && calls > n {
							if !fired {
								at = call + " " + name
							}
							fired = true
							return tt.err
						}
						return nil
					}
					err := d.Save(t.Context(), metaOf(2, step), filesOf(m, 2)...)
					m.fault = nil
					what := fmt.Sprintf("%s, lasting %v, step %d, call %d: %s: %v", tt.name, lasting, step, n, at, err)
					if n == 0 && err == nil {
						t.Fatal("no fault was noticed:", what)
					}
					// Another process sees what this one says.
					d.Close()
					d = mustOpen(t, m, runDir, Options{Keep: 1})
					want := 1
					if err == nil {
						want = 2
					}
					// Where nothing works any more, a rename whose flush failed cannot be taken back.
					if got := loaded(t, d); got != want && !(lasting && got == 2 && strings.HasPrefix(at, "syncdir")) {
						t.Fatalf("%s: save %d is found", what, got)
					}
					if err != nil && !lasting && step == 20 && !slices.Equal(listed(t, m, runDir), []string{"step-10"}) {
						t.Fatalf("%s: there is %q", what, listed(t, m, runDir))
					}
					mustSave(t, d, 3, 20)
					if got := listed(t, m, runDir); loaded(t, d) != 3 || !slices.Equal(got, []string{"step-20"}) {
						t.Fatalf("%s: when the fault is gone there is %q", what, got)
					}
				}
			}
		}
	}
}

// A save that fails leaves the directory to the same process, too.
func TestFaultThenSameProcess(t *testing.T) {
	for n := range 200 {
		m := newMemFS()
		d := mustOpen(t, m, runDir, Options{Keep: 1})
		mustSave(t, d, 1, 10)
		calls := 0
		m.fault = func(string, string, []byte) error {
			if calls++; calls > n {
				return syscall.EIO
			}
			return nil
		}
		err := d.Save(t.Context(), metaOf(2, 10), filesOf(m, 2)...)
		m.fault = nil
		if got := loaded(t, d); got != 1 && got != 2 || err == nil && got != 2 {
			t.Fatalf("call %d: %v, save %d is found", n, err, got)
		}
		mustSave(t, d, 3, 20)
		if got := listed(t, m, runDir); loaded(t, d) != 3 || !slices.Equal(got, []string{"step-20"}) {
			t.Fatalf("call %d: there is %q", n, got)
		}
	}
}

// corrupt damages the newer of two checkpoints. It must be noticed.
func corrupt(t *testing.T, file string, goOn bool, change func([]byte) []byte) {
	t.Helper()
	m := newMemFS()
	var text bytes.Buffer
	d, err := Open(m, runDir, Options{Model: "m1", Config: "c1", Log: slog.New(slog.NewTextHandler(&text, nil))})
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, d, 1, 10)
	mustSave(t, d, 2, 20)
	m.edit(runDir+"/step-20/"+file, change)
	if got := loaded(t, d); got != 1 || !strings.Contains(text.String(), "step-20") {
		t.Fatalf("%s: save %d is found, the log says %q", file, got, text.String())
	}
	if !goOn {
		return
	}
	// The run goes on below the damaged checkpoint and comes to replace it.
	mustSave(t, d, 3, 15)
	mustSave(t, d, 4, 20)
	if got := loaded(t, d); got != 4 {
		t.Fatalf("%s: save %d is found after the damaged one was replaced", file, got)
	}
}

func TestCorruption(t *testing.T) {
	m := newMemFS()
	d := mustOpen(t, m, runDir, Options{})
	mustSave(t, d, 2, 20)
	_, inode, _, _ := m.find("", runDir+"/step-20/manifest.json")
	for n := range m.img[inode].data {
		corrupt(t, "manifest.json", n%32 == 0, func(b []byte) []byte { return b[:n] })
		corrupt(t, "manifest.json", n%32 == 0, func(b []byte) []byte { b[n] ^= 1 << (n % 8); return b })
	}
	for name, size := range testFiles {
		for n := 0; n < size; n += 7 {
			corrupt(t, name, n == 0, func(b []byte) []byte { return b[:n] })
			corrupt(t, name, n == 0, func(b []byte) []byte { b[n] ^= 1 << (n % 8); return b })
		}
		corrupt(t, name, true, func(b []byte) []byte { return append(b, 0) })
	}
}

// A bit in every 4 KiB of a larger file.
func TestBitFlips(t *testing.T) {
	const size = 1 << 20
	m := newMemFS()
	m.chunk = size
	d := mustOpen(t, m, runDir, Options{})
	for step := range int64(2) {
		err := d.Save(t.Context(), Meta{Step: step}, File{Name: "w", Write: func(_ context.Context, w io.Writer) error {
			_, err := w.Write(content(int(step), "w", size))
			return err
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, inode, _, _ := m.find("", runDir+"/step-1/w")
	data := m.img[inode].data
	for n := 0; n < size; n += 4096 {
		i, bit := n+n/4096*37%4096, byte(1)<<(n/4096%8)
		data[i] ^= bit
		if c, err := d.Load(t.Context()); err != nil || c.Step != 0 {
			t.Fatalf("a bit of byte %d: %+v, %v", i, c, err)
		}
		data[i] ^= bit
	}
	if c, err := d.Load(t.Context()); err != nil || c.Step != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestNoneValid(t *testing.T) {
	m := newMemFS()
	d := mustOpen(t, m, runDir, Options{})
	mustSave(t, d, 1, 10)
	mustSave(t, d, 2, 20)
	m.edit(runDir+"/step-10/manifest.json", func(b []byte) []byte { return nil })
	if err := m.Remove(runDir + "/step-20/model/config.json"); err != nil {
		t.Fatal(err)
	}
	var invalid *InvalidError
	if _, err := d.Load(t.Context()); !errors.As(err, &invalid) || len(invalid.Reasons) != 2 || errors.Is(err, ErrNone) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	// Without its manifest, too, it is a checkpoint that is damaged.
	for _, step := range []string{"10", "20"} {
		if err := m.Remove(runDir + "/step-" + step + "/manifest.json"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Load(t.Context()); !errors.As(err, &invalid) {
		t.Errorf("%v", err)
	}
}

// What this program did not make is ignored and stays.
func TestForeign(t *testing.T) {
	dir := t.TempDir()
	d := mustOpen(t, Disk{}, dir, Options{Keep: 1})
	for i := range 3 {
		mustSave(t, d, i+1, int64(i+1))
		if i < 2 {
			// Somebody adds a note: the checkpoint stays.
			if err := os.WriteFile(filepath.Join(dir, stepName(int64(i+1)), "note"), nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.Close()
	const random = "-0123456789abcdef"
	var want []string
	for _, name := range []string{"step-007", "step-9999999999999999999", "step--1", "step-", "step-+4", "step-4", "Step-5", "wandb", ".tmp-4", ".tmp-4" + random,
		".trash-4" + random, ".old-4" + random, ".tmp-04" + random, ".tmp-x" + random, ".tmp-5-XYZ", ".git"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, "mine"), []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	for name, target := range map[string]string{"step-100": "step-100", "step-101": "step-1", "loop": ".", ".tmp-101" + random: "step-1", "step-102": "absent"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	for _, name := range []string{"step-103", "metrics.jsonl"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
		want = append(want, name)
	}
	want = append(want, "step-1", "step-2", "step-3")
	slices.Sort(want)
	// Of these the program is sure.
	stale := ".tmp-6" + random
	for _, name := range []string{stale, ".trash-6" + random, ".tmp-7" + random} {
		if err := os.MkdirAll(filepath.Join(dir, name, "a", "b"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name, markerName), nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../../step-1", filepath.Join(dir, name, "a", "link")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, ".tmp-8"+random), 0o777); err != nil { // cut off before the marker came
		t.Fatal(err)
	}
	d = mustOpen(t, Disk{}, dir, Options{Keep: 1})
	defer d.Close()
	if got := listed(t, Disk{}, dir); !slices.Equal(got, want) {
		t.Errorf("there is\n%q, want\n%q", got, want)
	}
	if loaded(t, d) != 3 {
		t.Error("another checkpoint is loaded")
	}
	for _, step := range []int64{4, 100, 101, 102, 103} {
		if err := d.Save(t.Context(), metaOf(5, step), filesOf(Disk{}, 5)...); err == nil || !strings.Contains(err.Error(), "in the way") {
			t.Errorf("step %d: %v", step, err)
		}
	}
	mustSave(t, d, 5, 5) // step-3 goes
	want = slices.DeleteFunc(want, func(s string) bool { return s == "step-3" })
	want = append(want, "step-5")
	slices.Sort(want)
	if got := listed(t, Disk{}, dir); !slices.Equal(got, want) {
		t.Errorf("after a save there is\n%q, want\n%q", got, want)
	}
	if id := loaded(t, d); id != 5 {
		t.Errorf("save %d is found", id)
	}
}

// A file of a checkpoint that became a link or a pipe is damage.
func TestNotRegular(t *testing.T) {
	dir := t.TempDir()
	d := mustOpen(t, Disk{}, dir, Options{})
	defer d.Close()
	mustSave(t, d, 1, 10)
	for _, name := range []string{"optimizer.safetensors", "manifest.json", "model"} {
		mustSave(t, d, 2, 20)
		path := filepath.Join(dir, "step-20", name)
		if err := errors.Join(os.Rename(path, filepath.Join(dir, "moved")), os.Symlink("../moved", path)); err != nil {
			t.Fatal(err)
		}
		if id := loaded(t, d); id != 1 {
			t.Errorf("%s is a link: save %d is found", name, id)
		}
		if err := errors.Join(os.Remove(path), os.Rename(filepath.Join(dir, "moved"), path)); err != nil {
			t.Fatal(err)
		}
		if id := loaded(t, d); id != 2 {
			t.Errorf("%s: save %d is found", name, id)
		}
	}
}

func TestRetention(t *testing.T) {
	for _, tt := range []struct {
		name   string
		opts   Options
		scores []float64 // NaN: none
		pinned int
		want   []string
	}{
		{"all", Options{}, []float64{1, 2, 3}, -1, []string{"step-0", "step-1", "step-2"}},
		{"newest", Options{Keep: 1}, []float64{1, 2, 3}, -1, []string{"step-2"}},
		{"two", Options{Keep: 2}, []float64{3, 2, 1}, -1, []string{"step-1", "step-2"}},
		{"best", Options{Keep: 1, KeepBest: true}, []float64{1, 3, 2, 0}, -1, []string{"step-1", "step-3"}},
		{"best, of equals the newer", Options{Keep: 1, KeepBest: true}, []float64{3, 3, 2, 0}, -1, []string{"step-1", "step-3"}},
		{"best is newest", Options{Keep: 1, KeepBest: true}, []float64{1, 2, 3}, -1, []string{"step-2"}},
		{"lowest", Options{Keep: 1, KeepBest: true, Lowest: true}, []float64{3, 1, 2}, -1, []string{"step-1", "step-2"}},
		{"best, some not scored", Options{Keep: 1, KeepBest: true}, []float64{-5, math.NaN(), math.NaN()}, -1, []string{"step-0", "step-2"}},
		{"pinned", Options{Keep: 1}, []float64{1, 2, 3}, 0, []string{"step-0", "step-2"}},
		{"pinned and best", Options{Keep: 1, KeepBest: true}, []float64{1, 3, 2, 0}, 0, []string{"step-0", "step-1", "step-3"}},
	} {
		m := newMemFS()
		d := mustOpen(t, m, runDir, tt.opts)
		for i, score := range tt.scores {
			meta := Meta{Step: int64(i), Pinned: i == tt.pinned}
			if !math.IsNaN(score) {
				meta.Score = &score
			}
			if err := d.Save(t.Context(), meta); err != nil {
				t.Fatal(err)
			}
		}
		if got := listed(t, m, runDir); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A damaged checkpoint does not count as one of those that stay.
func TestRetentionPassesOverDamage(t *testing.T) {
	m := newMemFS()
	d := mustOpen(t, m, runDir, Options{Keep: 2})
	mustSave(t, d, 1, 10)
	mustSave(t, d, 2, 20)
	m.edit(runDir+"/step-20/optimizer.safetensors", func(b []byte) []byte { b[0]++; return b })
	if id := loaded(t, d); id != 1 {
		t.Fatalf("save %d is found", id)
	}
	mustSave(t, d, 3, 15)
	mustSave(t, d, 4, 30)
	if got, want := listed(t, m, runDir), []string{"step-15", "step-20", "step-30"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	mustSave(t, d, 5, 40)
	if got, want := listed(t, m, runDir), []string{"step-30", "step-40"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A checkpoint that is replaced and may not be removed stays under another name,
// under which it does not come back.
func TestReplaceForeign(t *testing.T) {
	m := newMemFS()
	d := mustOpen(t, m, runDir, Options{Keep: 1})
	mustSave(t, d, 1, 10)
	if f, err := m.Create(runDir + "/step-10/note"); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	mustSave(t, d, 2, 10)
	mustSave(t, d, 3, 20)
	d.Close()
	d = mustOpen(t, m, runDir, Options{Keep: 1})
	got := listed(t, m, runDir)
	if len(got) != 2 || !strings.HasPrefix(got[0], "replaced-10-") || got[1] != "step-20" || loaded(t, d) != 3 {
		t.Fatalf("there is %q", got)
	}
	if _, err := m.Stat(runDir + "/" + got[0] + "/note"); err != nil {
		t.Error(err)
	}
}

// A disk that fails while a run is opened is not taken for an empty one, also
// where a checkpoint waits under another name for its successor.
func TestFaultWhenOpening(t *testing.T) {
	for _, pending := range []string{"", "rename", "remove"} {
		fired := true
		for n := 0; fired; n++ {
			m := newMemFS()
			d := mustOpen(t, m, runDir, Options{Keep: 1})
			mustSave(t, d, 1, 10)
			if pending != "" { // the process ends while it replaces the checkpoint
				dead := false
				m.fault = func(call, name string, _ []byte) error {
					if dead = dead || call == pending && !strings.Contains(name, "step-10"); dead {
						return syscall.EIO
					}
					return nil
				}
				d.Save(t.Context(), metaOf(2, 10), filesOf(m, 2)...)
			}
			d.Close()
			want := map[string]int{"": 1, "rename": 1, "remove": 2}[pending]
			fired = false
			calls := 0
			m.fault = func(string, string, []byte) error {
				if calls++; calls-1 == n {
					fired = true
					return syscall.EIO
				}
				return nil
			}
			d, err := Open(m, runDir, quiet(Options{Keep: 1}))
			if err == nil {
				var c *Checkpoint
				if c, err = d.Load(t.Context()); err == nil {
					m.fault = nil
					if id, err := identify(c); id != want || err != nil {
						t.Fatalf("%q, call %d: save %d, %v", pending, n, id, err)
					}
				}
				d.Close()
			}
			if errors.Is(err, ErrNone) || err == nil && !fired && n == 0 {
				t.Fatalf("%q, call %d: %v", pending, n, err)
			}
			m.fault = nil
			d = mustOpen(t, m, runDir, Options{Keep: 1})
			if got := listed(t, m, runDir); loaded(t, d) != want || !slices.Equal(got, []string{"step-10"}) {
				t.Fatalf("%q, call %d: there is %q", pending, n, got)
			}
		}
	}
}
