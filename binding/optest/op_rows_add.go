package optest

func rowsAddCases() []Case { return nil }
