package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"github.com/spf13/cobra"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/engine/chat"
	"github.com/thinker-vl/thinker/engine/config"
	"github.com/thinker-vl/thinker/engine/imageproc"
	"github.com/thinker-vl/thinker/engine/safetensors"
	"github.com/thinker-vl/thinker/tools/thinker/internal/output"
)

func (a *app) preprocessCommand() *cobra.Command {
	var model, out string
	var lo, hi int
	c := &cobra.Command{
		Use:   "preprocess --model DIR --out FILE.safetensors IMAGE...",
		Short: "Turn pictures into what the vision tower reads",
		Long: `Turn pictures into what the vision tower reads, exactly as the reference implementation's image processor does. No weights are needed.

Out: a safetensors file with
     pixel_values    f32 [N, 1176]  a patch of 2 x 14 x 14 pixels in 3 colours a row, the pictures one after another
     image_grid_thw  i64 [k, 3]     each picture's patches in time, height and width; N is the sum of their products

Pictures are PNG, JPEG, WebP, GIF (the first frame), BMP or TIFF files. Their EXIF orientation is applied. Paths are absolute or relative
to the working directory. A picture whose height or width is more than 200 times the other is refused, as in the reference.`,
		Example: `  thinker preprocess --model Qwen2.5-VL-3B --max-pixels 1003520 --out pixels.safetensors dog.jpg cat.png`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("preprocess: no pictures: name at least one file")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return a.preprocess(c.Context(), model, out, lo, hi, args)
		},
	}
	requiredDir(c, &model, "model", "checkpoint folder; its preprocessor_config.json is read")
	pixelFlags(c.Flags(), &lo, &hi)
	c.Flags().StringVar(&out, "out", "", "safetensors file, replaced when complete")
	c.MarkFlagRequired("out")
	c.MarkFlagFilename("out", "safetensors")
	return c
}

// holdsAny reports whether a folder has one of the files.
func holdsAny(dir string, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	})
}

// keepPixels is how much memory resized pictures may take between the two passes over them; what is beyond is decoded twice.
const keepPixels = 1 << 30

func (a *app) preprocess(ctx context.Context, model, out string, lo, hi int, paths []string) error {
	if err := checkPixels(lo, hi); err != nil {
		return err
	}
	if out == output.Stdout {
		return usagef("--out -: a safetensors file cannot go to standard output: name a file")
	}
	if err := checkFolder(model); err != nil {
		return err
	}
	if !holdsAny(model, config.PreprocessorFile, config.ProcessorFile, config.FileName) {
		return fmt.Errorf("%s has neither %s nor %s: name a checkpoint folder", model, config.PreprocessorFile, config.FileName)
	}
	processor, err := engine.Images(model, lo, hi)
	if err != nil {
		return err
	}
	load := func(path string) (*imageproc.Image, error) {
		path, err := chat.ResolveImage("", path)
		if err != nil {
			return nil, err
		}
		return processor.Load(path)
	}

	// The file's header has the number of patches, so every picture is opened before the first is written.
	bar := a.progress("reading pictures", int64(len(paths)))
	defer bar.end()
	images := make([]*imageproc.Image, len(paths))
	grids := make([]byte, 0, 24*len(paths))
	patches, width, room := 0, 0, keepPixels
	for i, path := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		m, err := load(path)
		if err != nil {
			return err
		}
		for _, n := range m.Grid {
			grids = binary.LittleEndian.AppendUint64(grids, uint64(n))
		}
		patches, width = patches+m.Grid[0]*m.Grid[1]*m.Grid[2], m.PatchLen()
		if room -= 3 * m.ResizedW * m.ResizedH; room >= 0 {
			images[i] = m
		}
		bar.add(1)
	}
	bar.end()

	w, err := safetensors.Create(out, []safetensors.Info{
		{Name: "image_grid_thw", DType: safetensors.I64, Shape: []int64{int64(len(paths)), 3}},
		{Name: "pixel_values", DType: safetensors.F32, Shape: []int64{int64(patches), int64(width)}},
	}, nil)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Write("image_grid_thw", grids); err != nil {
		return err
	}
	bar = a.progress("writing pixels", int64(len(paths)))
	defer bar.end()
	var values []float32
	for i, path := range paths {
		if err := ctx.Err(); err != nil {
			return err
		}
		m := images[i]
		images[i] = nil
		if m == nil {
			if m, err = load(path); err != nil {
				return err
			}
		}
		values = m.AppendPatches(values[:0])
		if err := w.Write("pixel_values", littleEndian(values)); err != nil {
			return fmt.Errorf("%w (has %s changed while it was read?)", err, path)
		}
		bar.add(1)
	}
	return w.Commit()
}

// littleEndian is v as safetensors stores it. It may share v's memory.
func littleEndian(v []float32) []byte {
	if len(v) == 0 {
		return nil
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&v[0])), 4*len(v))
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		for i := 0; i < len(b); i += 4 {
			b[i], b[i+1], b[i+2], b[i+3] = b[i+3], b[i+2], b[i+1], b[i]
		}
	}
	return b
}

// checkFolder refuses what is no folder with a message that does not speak of a file in it.
func checkFolder(dir string) error {
	fi, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		what := "want a checkpoint folder"
		if strings.Count(dir, "/") == 1 && !strings.HasPrefix(dir, ".") {
			what += " on this machine: models are not downloaded"
		}
		return fmt.Errorf("%s: there is no such folder: %s", dir, what)
	case err != nil:
		return err
	case !fi.IsDir():
		return fmt.Errorf("%s is not a folder: want the checkpoint's folder", dir)
	}
	return nil
}
