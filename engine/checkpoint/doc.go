// Package checkpoint reads, writes and makes Qwen2.5-VL checkpoint folders: a
// config.json, safetensors files, and beside them the tokenizer's files.
//
// Tensors go by the names of the released checkpoints: model.embed_tokens.weight,
// model.layers.0.self_attn.q_proj.weight, model.norm.weight, lm_head.weight,
// visual.patch_embed.proj.weight, visual.blocks.0.attn.qkv.weight,
// visual.merger.mlp.2.bias and so on. Newer versions of transformers save
// model.language_model.* and model.visual.* instead; [Open] maps these to the
// released names.
//
// [Open] compares the folder with [Spec], the list of tensors that the
// configuration calls for: each must be there once, with its shape, as F32, BF16
// or F16, and nothing may be left over. No tensor stands in for another: without
// tied embeddings a missing lm_head.weight is an error. Two things may be there
// that the model does not use: rotary frequencies that old versions of
// transformers saved, and, with tied embeddings, an lm_head.weight with the same
// values as the embedding. One with other values is an error, because
// transformers 4 would take the embedding for the head and transformers 5 would
// not.
//
// Data is read by ranges of rows, as float32 or as bfloat16. Widening is exact;
// narrowing rounds to nearest, ties to even.
package checkpoint
