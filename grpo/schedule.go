package grpo

import "math"

// LearningRateAt is the learning rate of the update that follows after so many, of so many in all: transformers' schedules, whose first
// update of a warm-up has rate 0.
func (s *Settings) LearningRateAt(done, total int) float64 {
	return s.LearningRate * s.rate(done, total)
}

func (s *Settings) rate(done, total int) float64 {
	warm := s.Warmup(total)
	if done < warm {
		return float64(done) / float64(warm)
	}
	progress := min(float64(done-warm)/float64(max(total-warm, 1)), 1)
	cosine := 0.5 * (1 + math.Cos(math.Pi*progress))
	switch s.Schedule {
	case Linear:
		return 1 - progress
	case Cosine:
		return cosine
	case CosineWithMinLR:
		least := s.MinLRRate
		if s.MinLR > 0 {
			least = s.MinLR / s.LearningRate
		}
		return least + (1-least)*cosine
	}
	return 1
}

// Warmup is the number of updates that the learning rate rises in, of so many in all.
func (s *Settings) Warmup(total int) int {
	if s.WarmupSteps > 0 {
		return s.WarmupSteps
	}
	return int(math.Ceil(float64(total) * s.WarmupRatio))
}

// A KLController adapts the coefficient of KL so that KL comes near its target (Ziegler et al. 2019). With target 0 it leaves the
// coefficient as it is. Its fields are its whole state.
type KLController struct {
	Coef    float64 `json:"coef"`
	Target  float64 `json:"target"`
	Horizon float64 `json:"horizon"`
}

// KLController is the settings' controller, at its start. Its Coef goes into Beta before each step.
func (s *Settings) KLController() KLController {
	return KLController{Coef: s.Beta, Target: s.KLTarget, Horizon: s.KLHorizon}
}

// Update moves the coefficient after a rollout of so many samples whose mean KL was kl: by at most a fifth of samples/Horizon.
func (c *KLController) Update(kl float64, samples int) {
	if c.Target <= 0 || c.Horizon <= 0 || math.IsNaN(kl) {
		return
	}
	c.Coef *= 1 + max(-0.2, min(kl/c.Target-1, 0.2))*float64(samples)/c.Horizon
}
