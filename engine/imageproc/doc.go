// Package imageproc turns pictures into the rows of patches that the vision
// tower of Qwen2.5-VL reads.
//
// It does what the reference does to a picture file, to the last bit:
// transformers' load_image (EXIF orientation, then RGB) followed by
// Qwen2VLImageProcessor, the "slow" processor over Pillow, of transformers
// 4.57.3. In order:
//
//   - [Decode] reads PNG, JPEG, WebP, GIF, BMP and TIFF files to 8-bit RGB by
//     Pillow's rules: alpha is dropped, not composited; of 16 bits the high
//     byte is kept; CMYK becomes RGB by Pillow's formula; of animations and
//     multi-page files the first picture is taken. JPEG and WebP chroma is
//     interpolated as libjpeg-turbo and libwebp do, so that lossy pictures too
//     are equal in every byte.
//   - [SmartResize] chooses a size that is a multiple of 28 pixels.
//   - [Resize] is Pillow's antialiased bicubic resize with its fixed-point
//     rounding and its order of passes.
//   - [Image.Patches] rescales, normalizes and cuts into patches.
//
// [Processor.Load] does all of it. Pixels are bytes, patches float32. Sizes are
// given height first, as the model counts them, in pixels.
//
// # Differences from the reference
//
// Gray pictures of 16 bits keep their high byte; Pillow clips them at 255,
// which makes them almost white. Pictures of height 1 or 3 are not mistaken
// for pictures with the channels first. JPEG files that were cut off between
// progressive scans and closed with an end marker are not smoothed.
//
// # Input that is not trusted
//
// A header is checked against [Limits] and against the size of the data before
// memory is taken for the picture, only regular files are read, and a panic in
// a decoder becomes an error.
package imageproc
