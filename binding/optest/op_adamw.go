package optest

func adamwCases() []Case { return nil }
