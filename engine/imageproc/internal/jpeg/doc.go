// Package jpeg decodes JPEG pictures (ITU-T T.81) to the same bytes as
// libjpeg-turbo does with its default settings, which is what Pillow and so
// the reference image processor sees.
//
// The standard library's image/jpeg rounds its inverse DCT differently, hands
// out chroma without interpolation, and refuses several sampling layouts, so a
// picture that went through it differs from the reference in most pixels by
// one or two levels and at coloured edges by dozens. Here
//
//   - the inverse DCT is the "islow" integer transform: the Loeffler,
//     Ligtenberg and Moschytz factorization ("Practical Fast 1-D DCT Algorithms
//     with 11 Multiplications", ICASSP 1989) with 13-bit constants, two extra
//     bits between the passes, and the 16-bit saturation of the SIMD versions;
//   - chroma of half width, half height or both is interpolated with the
//     triangle filter ("fancy upsampling"), taking the component's true edge,
//     and other integer ratios are replicated;
//   - colour conversion uses 16-bit fixed point tables.
//
// Baseline, extended sequential and progressive Huffman pictures of 8 bits with
// 1, 3 or 4 components are read, with any sampling factors whose ratios are
// whole numbers. Arithmetic coding, lossless and hierarchical processes and 12
// bits are refused. Corrupt entropy-coded data is handled as libjpeg handles
// it: a bad code reads as zero, and a segment that a marker ends early is
// filled with zeros. Data that ends without a marker is an error.
package jpeg
