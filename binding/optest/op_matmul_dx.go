package optest

func matmulDxCases() []Case { return nil }
