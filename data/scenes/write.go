package scenes

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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

// Write makes a data set in the folder dir, which must not exist or be empty: records.jsonl and images/*.png. The records appear when
// all of it is there; on an error nothing is left. The bytes are a function of the configuration. progress, which may be nil, is called
// after every picture, by one goroutine at a time.
func Write(ctx context.Context, dir string, c Config, progress func(done, total int)) (err error) {
	g, err := New(c)
	if err != nil {
		return err
	}
	if c.N == 0 {
		return errors.New("scenes: N is 0: want at least one scene")
	}
	defer func() {
		if err != nil && !strings.HasPrefix(err.Error(), "scenes: ") {
			err = fmt.Errorf("scenes: %w", err)
		}
	}()
	entries, err := os.ReadDir(dir)
	exists := err == nil
	switch {
	case len(entries) > 0:
		return fmt.Errorf("the folder %s holds files: choose another one, or remove it", dir)
	case !exists && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	// A new folder is renamed as a whole. An empty one stays what it is, a link or a mounted volume, and gets the files.
	dir = filepath.Clean(dir)
	parent, pattern := dir, ".tmp-"
	if !exists {
		parent, pattern = filepath.Dir(dir), "."+filepath.Base(dir)+".tmp-"
		if err := os.MkdirAll(parent, 0o777); err != nil {
			return err
		}
	}
	temp, err := os.MkdirTemp(parent, pattern)
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := g.write(ctx, temp, progress); err != nil {
		return err
	}
	if !exists {
		return errors.Join(os.Chmod(temp, 0o755), os.Rename(temp, dir))
	}
	images := filepath.Join(dir, ImageFolder)
	if err := os.Rename(filepath.Join(temp, ImageFolder), images); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(temp, RecordsFile), filepath.Join(dir, RecordsFile)); err != nil {
		return errors.Join(err, os.RemoveAll(images))
	}
	return nil
}

func (g *Generator) write(ctx context.Context, dir string, progress func(done, total int)) error {
	n := g.config.N
	if err := os.Mkdir(filepath.Join(dir, ImageFolder), 0o777); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	var mu sync.Mutex
	done := 0
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
				mu.Lock()
				if done++; progress != nil {
					progress(done, n)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f, err := os.Create(filepath.Join(dir, RecordsFile))
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i := range n {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := e.Encode(g.Scene(i).record(imageName(i))); err != nil {
			return err
		}
	}
	return errors.Join(w.Flush(), f.Close())
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
