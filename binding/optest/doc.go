// Package optest is the table of op cases that a back-end is held against, and measured on.
//
// A [Case] is one op of the ABI (csrc/include/thinker.h) at one size: its operands, their seeded contents, the call, an obvious
// reference in double precision, and the FLOPs and bytes that it cannot do without. Tests run every case on every instruction set and
// number of threads; package bench times those marked Bench over the same table; a second back-end runs it unchanged, since data
// goes to and from the device through the ABI's copy alone.
//
//	for _, c := range optest.Cases() {
//		p := c.New()
//		got, err := p.Run(device)  // also: nothing outside the outputs was written
//		err = p.Check(got)         // every element of every output
//	}
//
// # Memory
//
// Every operand lies between guard zones. Guards, the gaps between the rows of a strided operand, and outputs before the call hold a
// NaN pattern (0x7fc1dead, or 0x7fc1 in bf16), so that an element that was read outside its operand spoils the result, one that
// was never written shows, and one that was written outside is found by comparing the rest of memory bit for bit.
//
// # Tolerance
//
// Where the ABI defines the bits, bits are compared. Elsewhere the rule is FlashAttention's (Dao et al., flash-attention/tests):
//
//	max |out - ref| <= 2 max |naive - ref| + atol
//
// with ref the reference in double precision on the inputs as the op sees them (rounded to its dtype), naive the same obvious loop in
// float32, rounded to the output's dtype where the op stores, and atol = 2 u (max |ref| + 0.3) with u the output dtype's unit
// roundoff: what adding and taking away 0.3 would cost. The same holds for the error in norm. The error of the naive loop is a random
// variable; so that it is no accident of few numbers, a case with fewer than 64 outputs draws further inputs until it has as
// many.
//
// # Properties
//
// [Properties] lists what must hold exactly: a row's result is the same alone and in a batch, a sequence's the same however it is
// paged, chunked or shared, a draw the same whatever is drawn beside it. [Refusals] lists calls that must be refused, with outputs
// untouched.
package optest
