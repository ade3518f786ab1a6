// Package bench measures Thinker's kernels against the roofs of the machine that they run on.
//
// The cases are those that package optest tests. Every time is set against the op's floor: the FLOPs of its definition at the peak of
// the instruction that does them, or every operand read or written once at the memory's bandwidth, whichever takes longer. Both come
// from probes in the same process, next to the op in time, on the same threads.
//
//	go test -bench . ./bench                             # all kernels, one thread and all
//	go test -bench 'MatMul/m=240' -count 6 ./bench       # for benchstat
//	go test -bench . ./bench -args -isa avx2             # another instruction set
//
// # How a share is measured
//
// Machines are shared and clocks move: the speed of memory by a half within a second, on a guest whose neighbours use it too. So a
// measurement alternates: a probe of the op's roof, a stretch of calls, 10 ms each, a probe, a stretch. A probe is the middle one of three
// short ones, or more. A stretch's share is the op's floor under the mean of the probes before and after it, over the stretch's time a
// call; the benchmark's is the median of its stretches'. ns/op and GFLOP/s or GB/s are of the same calls, on average. The metric's name
// says which roof it is a share of:
//
//	%dot    bf16 dot products (matmul, attention and the vocabulary in bf16)
//	%fma    f32 multiply-adds (everything else)
//	%read   reading memory
//	%copy   reading and writing it
//
// Bytes that an op writes, and as many of those that it reads, are taken to move at the speed of a copy, the others at that of
// reading; the metric is named after the larger part.
//
// # Cold memory
//
// Operands that hold floats lie in two arenas of random, non-zero numbers, one for what is read and one for what is written, each
// larger than the last-level cache; every call takes the next place in them, so that weights, activations and pages come from memory
// and not from a cache, as they do in a model whose layers follow one another. Indices and parameters, a few kilobytes, stay where they
// are, and so in effect do args structs, which a program writes just before a call. Scratch memory is one region for all calls, as in the engine. An op that is limited by arithmetic pays for cold
// operands too. A copy roof counts the bytes read and written, not the line that an ordinary store fetches first; an op that writes
// with streaming stores may pass it.
package bench
