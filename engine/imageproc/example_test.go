package imageproc_test

import (
	"fmt"
	"path/filepath"

	"github.com/thinker-vl/thinker/engine/imageproc"
)

func ExampleProcessor_Load() {
	p := imageproc.Processor{MaxPixels: 100352}
	im, err := p.Load(filepath.Join("testdata", "pillow", "jpeg-exif-6.jpg"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("upright %dx%d, resized to %dx%d (height x width)\n", im.OrigH, im.OrigW, im.ResizedH, im.ResizedW)
	fmt.Println("grid", im.Grid, "tokens", im.Tokens())
	patches := im.Patches()
	fmt.Println(len(patches)/im.PatchLen(), "patches of", im.PatchLen(), "values")
	// Output:
	// upright 33x21, resized to 84x56 (height x width)
	// grid [1 6 4] tokens 6
	// 24 patches of 1176 values
}

func ExampleSmartResize() {
	h, w, err := imageproc.SmartResize(1080, 1920, 28, 3136, 1003520)
	fmt.Println(h, w, err)
	_, _, err = imageproc.SmartResize(20, 5000, 28, 3136, 1003520)
	fmt.Println(err)
	// Output:
	// 728 1316 <nil>
	// imageproc: the sides of 20x5000 (height x width) have a ratio of 250.0, more than 200; crop the picture
}

func ExampleImage_ToOriginal() {
	im := imageproc.Image{OrigH: 1080, OrigW: 1920, ResizedH: 728, ResizedW: 1316}
	b := im.ToOriginal(imageproc.Box{X0: 329, Y0: 182, X1: 658, Y1: 364})
	fmt.Printf("%.0f %.0f %.0f %.0f\n", b.X0, b.Y0, b.X1, b.Y1)
	// Output: 480 270 960 540
}
