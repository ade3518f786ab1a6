package optest

func logprobBackwardCases() []Case { return nil }
