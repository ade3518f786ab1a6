package optest

func attentionBackwardCases() []Case { return nil }
