package grpo

import (
	"strings"
	"testing"
)

// TestSchedule has the arithmetic of the paper: 49 rollouts and 392 updates over 25,195 records.
func TestSchedule(t *testing.T) {
	paper := Config{Settings: Defaults(Paper, GRPO), Prompts: 512, Group: 4, UpdateSequences: 256, DropLast: true}
	for _, x := range []struct {
		name              string
		c                 func(c *Config)
		data              int
		rollouts, updates int64
	}{
		{"the paper's", func(*Config) {}, 25_195, 49, 392},
		{"with the last rollout", func(c *Config) { c.DropLast = false }, 25_195, 50, 400},
		{"two epochs", func(c *Config) { c.Epochs = 2 }, 25_195, 98, 784},
		{"two passes over a rollout", func(c *Config) { c.Iterations = 2 }, 25_195, 49, 784},
		{"an exact number", func(*Config) {}, 1024, 2, 16},
		{"a number of rollouts", func(c *Config) { c.Rollouts = 3 }, 25_195, 3, 24},
		{"an update that is not full", func(c *Config) { c.UpdateSequences = 1000 }, 25_195, 49, 147},
		{"one update a rollout", func(c *Config) { c.UpdateSequences = 0 }, 25_195, 49, 49},
	} {
		c := paper
		x.c(&c)
		if rollouts, updates := c.Schedule(x.data); rollouts != x.rollouts || updates != x.updates {
			t.Errorf("%s: %d rollouts, %d updates, want %d and %d", x.name, rollouts, updates, x.rollouts, x.updates)
		}
	}
	// OpenRLHF plans 25,195 * 4 / 256 = 393 updates, which has the same warm-up.
	s := paper.Settings
	s.WarmupRatio = 0.03
	if s.Warmup(392) != 12 || s.Warmup(393) != 12 {
		t.Errorf("%d and %d updates of warm-up, want 12", s.Warmup(392), s.Warmup(393))
	}
	if err := paper.check(511); err == nil || !strings.Contains(err.Error(), "DropLast") {
		t.Errorf("too few examples: %v", err)
	}
}
