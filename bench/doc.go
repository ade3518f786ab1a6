// Package bench measures Thinker's kernels against the roofs of the machine that it runs on.
//
//	go test -run '^$' -bench . ./bench                     every op, one thread and all
//	go test -run '^$' -bench 'MatMul/.*m=240' ./bench      some
//
// The cases are those marked Bench in the table of package optest, at the shapes of Qwen2.5-VL-3B, so what is timed is what is
// tested. A figure is a share of the roof: the time that the machine's measured ceilings allow for the op's [optest.Work], over the
// time that it took. [Roof] says how. The ceilings are probed in the same process, right before and after each case, since machines
// are shared and their clocks move.
//
// Operands are cold: a case works through copies of them that together exceed the caches by far, so that a weight comes from
// memory, as it does in a model whose other weights were read in between. They hold random numbers, never zeros.
package bench
