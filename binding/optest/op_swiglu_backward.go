package optest

func swigluBackwardCases() []Case { return nil }
