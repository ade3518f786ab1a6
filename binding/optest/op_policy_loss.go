package optest

func policyLossCases() []Case { return nil }
