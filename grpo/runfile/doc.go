// Package runfile reads the YAML file that says what a training run is: model, data, prompts, loss, rollouts, rewards, evaluation,
// checkpoints, seed.
//
//	f, err := runfile.Load(runfile.GRPO, "paper", "run.yaml", text, []string{"rollout.prompts=8"})
//	os.WriteFile("resolved.yaml", f.YAML("v1.0"), 0o666)
//
// A file is laid over a preset, and overrides over the file; what none of them says has a default. A key that nobody knows is an error that
// names the file, the line and the key that was probably meant. The resolved file says everything, with the dialect's version, and reads as
// the same run. Relative paths are relative to the folder that the program runs in, not to the file's. Keys have TRL's names where TRL has
// one.
package runfile
