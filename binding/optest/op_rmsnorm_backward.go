package optest

func rmsnormBackwardCases() []Case { return nil }
