package optest

func groupAdvantageCases() []Case { return nil }
