package scenes

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
)

// A record is a line of records.jsonl, in the VLAA-Thinking schema.
type record struct {
	ID           string   `json:"id"`
	Image        string   `json:"image"`
	Question     string   `json:"question"`
	Gold         any      `json:"gt"`
	VerifierType string   `json:"verifier_type"`
	Options      []string `json:"options,omitempty"`
	Response     string   `json:"response,omitempty"`
	Caption      string   `json:"caption"`
	Meta         meta     `json:"meta"`
	ImageSize    [2]int   `json:"image_size"`
}

type meta struct {
	Kind      Kind   `json:"kind"`
	Rationale string `json:"rationale"`
}

func (s *Scene) record(image string) record {
	r := record{ID: s.ID, Image: image, Question: s.Question, Gold: s.Gold, VerifierType: s.Kind.VerifierType(), Options: s.Options,
		Caption: s.list(), Meta: meta{s.Kind, s.Trace}, ImageSize: [2]int{s.config.Height, s.config.Width}}
	if !s.config.NoTrace {
		r.Response = s.Response()
	}
	return r
}

// Names of what [Write] makes in its folder.
const (
	RecordsFile = "records.jsonl"
	ImageFolder = "images"
)

// Write makes a data set in the folder dir, which must not exist or be empty: records.jsonl and images/*.png. The folder appears when
// all of it is there; on an error nothing is left. The bytes are a function of the configuration.
func Write(ctx context.Context, dir string, c Config, progress func(done, total int)) (err error) {
	g, err := New(c)
	if err != nil {
		return err
	}
	if c.N == 0 {
		return errors.New("scenes: N is 0: want at least one scene")
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("scenes: the folder %s holds files: choose another one, or remove it", dir)
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("scenes: %w", err)
	}
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return fmt.Errorf("scenes: %w", err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".tmp-")
	if err != nil {
		return fmt.Errorf("scenes: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(temp)
		}
	}()
	if err := g.write(ctx, temp, progress); err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return fmt.Errorf("scenes: %w", err)
	}
	os.Remove(dir) // where it is an empty folder
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("scenes: %w", err)
	}
	return nil
}

func (g *Generator) write(ctx context.Context, dir string, progress func(done, total int)) error {
	n := g.config.N
	if err := os.Mkdir(filepath.Join(dir, ImageFolder), 0o777); err != nil {
		return fmt.Errorf("scenes: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next, done atomic.Int64
	var group sync.WaitGroup
	var mu sync.Mutex
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := g.picture(filepath.Join(dir, ImageFolder, imageName(i)), i); err != nil {
					cancel(err)
					return
				}
				if k := done.Add(1); progress != nil {
					mu.Lock()
					progress(int(k), n)
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("scenes: %w", context.Cause(ctx))
	}
	f, err := os.Create(filepath.Join(dir, RecordsFile))
	if err != nil {
		return fmt.Errorf("scenes: %w", err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i := range n {
		if err := e.Encode(g.Scene(i).record(imageName(i))); err != nil {
			return fmt.Errorf("scenes: %w", err)
		}
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		return fmt.Errorf("scenes: %w", err)
	}
	return nil
}

func imageName(i int) string { return fmt.Sprintf("scene-%06d.png", i) }

func (g *Generator) picture(path string, i int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	e := png.Encoder{CompressionLevel: png.BestSpeed}
	return errors.Join(e.Encode(w, g.Scene(i).Draw()), w.Flush(), f.Close())
}
