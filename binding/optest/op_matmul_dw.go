package optest

func matmulDwCases() []Case { return nil }
