// Package mathverify decides whether a mathematical answer equals the gold answer, and says why.
//
// Answers are LaTeX or plain text: numbers in every notation (7,425,000, 310\,027, 8.7e6, 3\frac12, 50\%, 0.\overline{3},
// 1011_2), terms with roots, powers and functions, units, currencies and degrees, intervals, sets, lists, tuples, matrices,
// equations, inequalities, chains of them, complex numbers, and words. [Verify] takes two texts, finds the answer in each as
// [Extract] does, reads it as [Parse] does, and compares the trees. The package needs nothing but the standard library, starts
// no goroutines, keeps no state, and runs no code that it reads.
//
// # How a verdict comes about
//
// Numbers are compared as exact rationals. Terms are brought into normal form, a quotient of polynomials over the rationals
// in variables, roots of primes, i, pi and atoms for everything else; where the difference is zero, or consists of independent
// atoms only, that decides. The rest, such as sin 2x against 2 sin x cos x, is evaluated to 77 digits, at fixed points for
// terms with variables, and to 154 digits where a small difference could be cancellation. A point counts where both sides are
// real, as somebody who writes \sqrt{x} means x to be positive; (-1)^n is compared at whole numbers, and what has no real
// values in the complex numbers. Sets of real numbers, whether written as intervals, unions or inequalities in one unknown,
// are compared as sorted spans. What is ambiguous is read every way it can be meant, the same way on both sides: log to the
// base 10 or e, 90° as 90 or pi/2, 17 \% as 0.17 or 17, 100,200 as one number or two, 3,5 as two numbers or 3.5.
//
// A [Verdict] carries the [Rule] that decided. Its [Outcome] tells a wrong answer from one that cannot be read, from a gold
// answer that cannot be read, and from a comparison that would pass the limits.
//
// # Limits
//
// Every input is answered within fixed bounds of length, tokens, depth, digits and work (see the constants), without a timer:
// work is counted, so that a verdict does not depend on the speed of the machine. A power, factorial or binomial whose exact
// value would be longer than [MaxBits] is never computed.
//
// # Math-Verify
//
// The behaviour follows Math-Verify (github.com/huggingface/Math-Verify) where that is right: decimals are rounded to six
// digits, a gold assignment x = 5 accepts 5 and an answer x = 5 the gold 5 but not y = 5, sets and lists have no order and
// tuples do, sets are no tuples, a gold inequality accepts an interval, "final answer is" comes before \boxed{}, and both
// before the last formula. Differences, each with cases in TestDifferences:
//
//   - Every input ends: a power tower is refused by its size and not by a clock, and the refusal is an outcome of its own.
//   - 0.\overline{3}, sin 30°, 11*pi/6, 8.7e6, 310\,027 and i^2 are what they say.
//   - A point behind the answer, as in \boxed{60.}, is not part of it.
//   - 17\% equals 17 as well as 0.17: the question may have asked for percent. 17 does not equal 0.17.
//   - Decimals that round to the same six digits are not equal if they differ by more than a thousandth of their value:
//     1.23e-8 is not 4.56e-8, and not 0.
//   - Units are compared where both sides have one: 5 m is 500 cm but not 5 cm. A unit on one side is ignored.
//   - x = 1, y = 2 against bare values is ordered: 2, 1 is not accepted.
//   - Conditions are solved whichever side is gold, unless [Options.StrictSets] is set.
//   - A number in a base is its value: 1011_2 is 11, and not 1011.
//   - A ratio is a quotient: 3:1 is 6:2.
//   - The name of a function's argument does not matter: f(t) = t^2 is f(x) = x^2.
//   - Roots of odd order of negative numbers are real: (-8)^{1/3} is -2.
//   - Nothing is made up from an input that is one expression but cannot be read: the 4 of \begin{pmatrix}1&2\\3&4 is no answer.
//   - Text in words is compared by its words, without regard to case, and number words up to twenty are numbers.
//
// An answer that is an equation is taken by its right side where the gold answer is none, as in Math-Verify; the other way
// round the left side must be a name, so that order matters there: 5 accepts x + y = 5, but x + y = 5 does not accept 5.
package mathverify
