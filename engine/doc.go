// Package engine runs Qwen2.5-VL: a Hugging Face checkpoint folder and pictures in, answers with log-probs out.
//
//	e, err := engine.Open(ctx, dir, engine.Options{})
//	defer e.Close()
//	p, err := e.Ask("What kind of dog is this?", "dog.jpg")
//	for s, err := range e.Generate(ctx, engine.Prompts(p), engine.Sampling{N: 4, Temperature: 1}) {
//		...
//	}
//
// It differs from other engines in three ways. What the sampler records is what the scorer computes: the log-probs of
// [Engine.Generate] and [Engine.Score] are equal bit for bit, whatever the batch, the chunking of prompts, the sharing of prefixes or
// the number of threads. Its pictures and token ids are exactly the reference implementation's (transformers over Pillow). And
// nothing is taken silently: not from generation_config.json but the stop ids, not from a config what the tensors contradict.
//
// The parts stand in packages of their own: [github.com/thinker-vl/thinker/engine/safetensors], config, checkpoint, tokenizer, chat
// and imageproc.
package engine
