package mathverify_test

import (
	"fmt"

	"github.com/thinker-vl/thinker/grpo/reward/mathverify"
)

func ExampleVerify() {
	for _, answer := range []string{
		`So the area is \(\boxed{\dfrac{\sqrt{12}}{4}}\).`,
		`\frac{\sqrt3}{3}`,
		`9^{9^{9^9}}`,
		`\frac{`,
	} {
		v := mathverify.Verify(`$\frac{\sqrt{3}}{2}$`, answer, mathverify.Options{})
		fmt.Printf("%v: %s\n", v.Equal, v.Reason)
	}
	// Output:
	// true: equal by normal form
	// false: different by normal form
	// false: more than 16777216 in an exponent
	// false: answer: "\\frac{" at byte 6: an operand is missing
}

func ExampleExtract() {
	for _, c := range mathverify.Extract(`With 3 more we get \boxed{7}. The final answer is $7\frac12$.`, 0) {
		fmt.Println(c.Place+":", c.Text)
	}
	// Output:
	// final answer: 7\frac12
	// boxed: 7
	// number: 3
}

func ExampleParse() {
	e, err := mathverify.Parse(`x \in [0, \tfrac12) \cup \{2\}`)
	fmt.Println(e, err)
	// Output: x in ([0, 1/2) u {2}) <nil>
}
