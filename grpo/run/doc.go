// Package run keeps the checkpoints of a training run so that the run survives
// a kill, a power loss and a full disk at any moment.
//
// A run directory holds one folder a checkpoint, step-<N>, with the files that
// the trainer wrote and, last, manifest.json: format version, step, policy
// version, hashes of model and configuration, the trainer's own state as opaque
// JSON, and size and CRC-32C of every file. This package knows nothing of
// tensors: what a checkpoint holds comes from the caller's functions.
//
// [Dir.Save] goes in an order that leaves, wherever it is cut off, the old
// checkpoint or the new one:
//
//  1. The free space must hold what the files are expected to take.
//  2. A folder .tmp-<N>-<random> is made, with a marker that says whose it is.
//  3. Every file is written and flushed. An error fails the save: a flush is
//     never repeated, because the kernel drops the pages that it failed to write.
//  4. manifest.json is written and flushed, then the folder's entries are.
//  5. The folder is renamed to step-<N> and the run directory flushed.
//  6. Only then are older checkpoints removed: renamed to .trash-<N>-<random>,
//     the run directory flushed, their files unlinked.
//
// Which checkpoint is the latest is stored nowhere; it follows from the names.
// [Dir.Load] reads every byte of the newest one and compares sizes and
// checksums; if that fails it says so in the log and takes the one before. It
// returns [ErrNone] only where there is no checkpoint at all: if there are some
// and none is valid the error is an [InvalidError], so that a trainer never
// starts afresh over a damaged run.
//
// What this package did not make it does not touch: names other than step-<N>
// in plain decimal, links, folders without the marker, and checkpoints into
// which somebody put a further file (which is a way to pin one by hand).
//
// One process at a time has a run directory open; see [ErrLocked]. [Signals]
// helps a trainer to end with a checkpoint when it is told to end.
package run
