package imageproc

import (
	"fmt"
	"image"
	"runtime"
)

// A Processor prepares pictures for the vision tower. Its zero value is that of
// the released Qwen2.5-VL checkpoints. It is safe for concurrent use as long as
// its fields are not changed.
type Processor struct {
	// PatchSize is the side of a patch in pixels, MergeSize the side of the
	// cell of patches that becomes one token, TemporalPatchSize the number of
	// frames in a patch. 0 means 14, 2 and 2.
	PatchSize, MergeSize, TemporalPatchSize int
	// MinPixels and MaxPixels bound the area of the resized picture; 0 means
	// 3136 and 12845056. The sides are multiples of PatchSize*MergeSize in any
	// case.
	MinPixels, MaxPixels int
	// Mean and Std normalize the channels red, green and blue after
	// rescaling. If Std is zero, both are CLIP's.
	Mean, Std [3]float64
	// Rescale multiplies the bytes; 0 means 1/255.
	Rescale float64
	// Limits bound what a picture file may ask for.
	Limits Limits
	// Workers is the number of goroutines that work on one picture; 0 means
	// one a CPU. It does not change any result.
	Workers int
}

// The values of preprocessor_config.json of Qwen/Qwen2.5-VL-3B-Instruct.
const (
	defaultPatchSize         = 14
	defaultMergeSize         = 2
	defaultTemporalPatchSize = 2
	defaultMinPixels         = 56 * 56
	defaultMaxPixels         = 28 * 28 * 16384
)

var (
	clipMean = [3]float64{0.48145466, 0.4578275, 0.40821073}
	clipStd  = [3]float64{0.26862954, 0.26130258, 0.27577711}
)

// settled returns p with its defaults filled in, or an error if its values
// make no sense.
func (p *Processor) settled() (Processor, error) {
	q := *p
	for _, f := range []struct {
		name    string
		value   *int
		missing int
	}{
		{"PatchSize", &q.PatchSize, defaultPatchSize},
		{"MergeSize", &q.MergeSize, defaultMergeSize},
		{"TemporalPatchSize", &q.TemporalPatchSize, defaultTemporalPatchSize},
		{"MinPixels", &q.MinPixels, defaultMinPixels},
		{"MaxPixels", &q.MaxPixels, defaultMaxPixels},
		{"Workers", &q.Workers, runtime.GOMAXPROCS(0)},
	} {
		if *f.value < 0 {
			return q, fmt.Errorf("imageproc: Processor.%s is %d, must not be negative", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.missing
		}
	}
	if q.PatchSize > 1024 || q.MergeSize > 64 || q.TemporalPatchSize > 64 {
		return q, fmt.Errorf("imageproc: Processor with patches of %d pixels and %d frames, %d to the side of a token", q.PatchSize, q.TemporalPatchSize, q.MergeSize)
	}
	if q.Std == ([3]float64{}) {
		q.Mean, q.Std = clipMean, clipStd
	}
	for _, s := range q.Std {
		if !(s > 0) {
			return q, fmt.Errorf("imageproc: Processor.Std is %v, must be positive", q.Std)
		}
	}
	if q.Rescale == 0 {
		q.Rescale = 1.0 / 255
	}
	return q, nil
}

// Load reads a picture file and resizes it. Errors name the path.
func (p *Processor) Load(path string) (*Image, error) {
	q, err := p.settled()
	if err != nil {
		return nil, err
	}
	rgb, err := decodeFile(path, q.Limits, q.Workers)
	if err != nil {
		return nil, err
	}
	im, err := q.resized(rgb)
	if err != nil {
		return nil, fmt.Errorf("imageproc: %s: %w", path, err)
	}
	im.Path = path
	return im, nil
}

// FromRGB resizes a picture. It does not keep rgb, but if the size does not
// change, the Image shares its pixels.
func (p *Processor) FromRGB(rgb *RGB) (*Image, error) {
	q, err := p.settled()
	if err != nil {
		return nil, err
	}
	im, err := q.resized(rgb)
	if err != nil {
		return nil, fmt.Errorf("imageproc: %w", err)
	}
	return im, nil
}

// FromImage converts a picture that a Go program has decoded, as the function
// FromImage does, and resizes it.
func (p *Processor) FromImage(m image.Image) (*Image, error) {
	rgb, err := FromImage(m)
	if err != nil {
		return nil, err
	}
	return p.FromRGB(rgb)
}

// resized does the work; p has its defaults filled in.
func (p *Processor) resized(rgb *RGB) (*Image, error) {
	im, err := p.shaped(rgb.H, rgb.W)
	if err != nil {
		return nil, err
	}
	r, err := resize(rgb, im.ResizedH, im.ResizedW, p.Workers)
	if err != nil {
		return nil, err
	}
	im.Pixels = r.Pix
	im.cut.table = normalTable(p.Rescale, p.Mean, p.Std)
	return im, nil
}

// shaped is the image of a picture of that size, without pixels.
func (p *Processor) shaped(origH, origW int) (*Image, error) {
	h, w, err := smartResize(origH, origW, p.PatchSize*p.MergeSize, p.MinPixels, p.MaxPixels)
	if err != nil {
		return nil, err
	}
	if limit := p.Limits.maxPixels(); h > limit/w {
		return nil, fmt.Errorf("%dx%d (height x width) would be resized to %dx%d, more than the limit of %d pixels", origH, origW, h, w, limit)
	}
	return &Image{
		OrigH: origH, OrigW: origW,
		ResizedH: h, ResizedW: w,
		Grid: [3]int{1, h / p.PatchSize, w / p.PatchSize},
		cut:  cutter{patch: p.PatchSize, merge: p.MergeSize, temporal: p.TemporalPatchSize, workers: p.Workers},
	}, nil
}
