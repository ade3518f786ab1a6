// Package scratch makes what a small Qwen2.5-VL model begins with, from nothing
// but text and sizes: a tokenizer trained on the text, a configuration that fits
// it, and the other files of a checkpoint folder. With random weights from package
// checkpoint it is a whole model, which package engine and transformers open.
//
//	tok, err := tokenizer.Train(texts, tokenizer.TrainOptions{VocabSize: 1000})
//	cfg, err := scratch.Config(tok, scratch.Sizes{Hidden: 128, Layers: 4, ...})
//	err = scratch.WriteCompanions(files, tok, cfg, scratch.Pixels{Min: 28 * 28, Max: 224 * 224})
//	err = checkpoint.Init(ctx, dir, cfg, checkpoint.InitOptions{Tokenizer: files})
package scratch
