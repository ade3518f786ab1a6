// Package safetensors reads and writes the safetensors format: named tensors of
// plain numbers, without code.
//
// A file is an 8-byte little-endian header length, a JSON header
//
//	{"__metadata__": {"key": "value"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
//
// padded with spaces to a multiple of 8, and the data, row major and little
// endian. Offsets count from the end of the header. The reference implementation
// is github.com/huggingface/safetensors.
//
// The reader takes nothing on trust. It opens regular files only, reads no more
// of the header than the file holds and at most 100 MB, and accepts a file only
// if every name is unique, every dtype known, every size free of overflow and
// equal to its offsets, and the tensors cover the data without gap or overlap to
// the last byte. What a header costs in memory is bounded by the size of the
// file, never by a number written in it. The reader is stricter than the
// reference implementation in refusing duplicate keys, names of more than
// [MaxName] bytes and more than [MaxRank] dimensions.
//
// Data is read with pread into the caller's memory and not mapped, so the
// process holds what it has planned and no more, and a file that is cut short
// under a reader gives an error and not a fault. A [File] and a [Set] may be
// used by several goroutines at once.
//
// A [Set] is a checkpoint folder of one or many shards. A [Writer] streams
// tensors to a temporary file, which takes the place of the target when it is
// complete and flushed to the disk.
package safetensors
