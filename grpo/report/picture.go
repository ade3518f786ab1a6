package report

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"image/png"
	"path/filepath"
	"strings"

	"golang.org/x/image/draw"

	"github.com/thinker-vl/thinker/engine/imageproc"
)

const (
	pictureSide  = 480 // pixels of a picture's longer side in the page
	thumbSide    = 200
	leastSide    = 320        // of a picture that is shown large: smaller ones are enlarged, pixel by pixel
	plainBytes   = 24 << 10   // of a PNG that is taken though a JPEG is smaller: it has no smear around edges
	pictureBytes = 80 << 10   // of an encoded picture, above which it is compressed harder
	pageBytes    = 1200 << 10 // of all pictures
)

// A picture stands in the page as data.
type picture struct {
	Src     template.URL
	W, H    int    // in the page
	Name    string // of its file
	Missing string // why there is none
	Boxes   []drawnBox
	Legend  []legendEntry
	Note    string

	size [2]int // of the file, height and width
}

// An album reads pictures, each once for every size, as long as the page has room for them.
type album struct {
	dir   string // that relative paths are below
	roots []string
	used  int
	seen  map[string]picture
	left  int // pictures for which there was no room
}

// get returns the picture of a path that comes from a run.
func (a *album) get(path string, side int) picture {
	key := fmt.Sprint(side, " ", path)
	p, ok := a.seen[key]
	if !ok {
		p = a.load(path, side)
		if len(a.seen) < 1000 {
			a.seen[key] = p
		}
	}
	return p
}

func (a *album) load(path string, side int) picture {
	p := picture{Name: line(filepath.Base(path), 80)}
	fail := func(err error) picture {
		p.Missing = line(err.Error(), 300)
		return p
	}
	if a.used >= pageBytes {
		a.left++
		return fail(errors.New("left out: the page has no room for more pictures"))
	}
	file, err := a.resolve(path)
	if err != nil {
		return fail(err)
	}
	rgb, err := imageproc.DecodeFile(file, imageproc.Limits{MaxPixels: 40 << 20, MaxBytes: 64 << 20})
	if err != nil {
		return fail(errors.New(strings.TrimPrefix(err.Error(), "imageproc: ")))
	}
	p.size = [2]int{rgb.H, rgb.W}
	src := image.NewRGBA(image.Rect(0, 0, rgb.W, rgb.H))
	for i, k := 0, 0; k+2 < len(rgb.Pix); i, k = i+4, k+3 {
		src.Pix[i], src.Pix[i+1], src.Pix[i+2], src.Pix[i+3] = rgb.Pix[k], rgb.Pix[k+1], rgb.Pix[k+2], 0xff
	}
	if long := max(rgb.W, rgb.H); long > side {
		small := image.NewRGBA(image.Rect(0, 0, max(1, rgb.W*side/long), max(1, rgb.H*side/long)))
		draw.CatmullRom.Scale(small, small.Bounds(), src, src.Bounds(), draw.Src, nil)
		src = small
	} else if k := (leastSide + long - 1) / long; k > 1 && side > leastSide {
		large := image.NewRGBA(image.Rect(0, 0, rgb.W*min(k, side/long), rgb.H*min(k, side/long)))
		draw.NearestNeighbor.Scale(large, large.Bounds(), src, src.Bounds(), draw.Src, nil)
		src = large
	}
	kind, data, err := encode(src)
	if err != nil {
		return fail(err)
	}
	a.used += base64.StdEncoding.EncodedLen(len(data))
	p.W, p.H = src.Rect.Dx(), src.Rect.Dy()
	p.Src = template.URL("data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(data))
	return p
}

// resolve returns the file of a path, if pictures may come from there.
func (a *album) resolve(path string) (string, error) {
	if len(path) > 4096 || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("%.40q is no path", path)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(a.dir, path)
	}
	if a.roots == nil {
		return path, nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	for _, root := range a.roots {
		if root, err = filepath.EvalSymlinks(root); err != nil {
			continue
		}
		if root, err = filepath.Abs(root); err != nil {
			continue
		}
		if inside, err := filepath.Rel(root, real); err == nil && filepath.IsLocal(inside) {
			return real, nil
		}
	}
	return "", fmt.Errorf("%s is not in a folder that pictures may come from", path)
}

// encode takes PNG where that is small, else PNG or JPEG, what is smaller.
func encode(m image.Image) (kind string, data []byte, err error) {
	var p, j bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&p, m); err != nil {
		return "", nil, err
	}
	if p.Len() <= plainBytes {
		return "image/png", p.Bytes(), nil
	}
	for _, quality := range []int{85, 65, 40} {
		j.Reset()
		if err := jpeg.Encode(&j, m, &jpeg.Options{Quality: quality}); err != nil {
			return "", nil, err
		}
		if min(j.Len(), p.Len()) <= pictureBytes {
			break
		}
	}
	if p.Len() <= j.Len() {
		return "image/png", p.Bytes(), nil
	}
	return "image/jpeg", j.Bytes(), nil
}

// A drawnBox is a rectangle over a picture, in pixels of the page.
type drawnBox struct {
	Kind       string // true, before, after: a CSS class
	X, Y, W, H float64
}

type legendEntry struct{ Kind, Label string }

const maxDrawn = 12 // boxes of a kind

// box draws boxes given in parts of the sides. It reports whether all of them lie on the picture.
func (p *picture) box(kind string, boxes [][4]float64) bool {
	inside := true
	for i, b := range boxes {
		if i == maxDrawn {
			break
		}
		for _, v := range b {
			inside = inside && v >= -0.005 && v <= 1.005
		}
		x1, y1 := min(max(b[0], -1), 2), min(max(b[1], -1), 2)
		x2, y2 := min(max(b[2], -1), 2), min(max(b[3], -1), 2)
		w, h := float64(p.W), float64(p.H)
		p.Boxes = append(p.Boxes, drawnBox{kind, round1(x1 * w), round1(y1 * h), round1((x2 - x1) * w), round1((y2 - y1) * h)})
	}
	return inside
}

func round1(v float64) float64 { return float64(int(v*10+0.5*sign(v))) / 10 }

func sign(v float64) float64 {
	if v < 0 {
		return -1
	}
	return 1
}
