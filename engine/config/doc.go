// Package config reads the configuration files of a Qwen2.5-VL checkpoint:
// config.json, the stop ids of generation_config.json, and
// preprocessor_config.json.
//
// config.json comes in two forms. The released one is flat: the decoder's keys
// stand at the top level, the vision tower's under vision_config. Newer versions
// of transformers save the decoder's keys under text_config, in some versions a
// second time at the top level. Both are read as transformers 4.57 and 5 read
// them:
//
//   - A missing key takes the default of transformers' class, which is not the
//     value of any released model (hidden_size 8192, rms_norm_eps 1e-5,
//     tokens_per_second 4). [Config.Defaulted] names these keys; the sizes are
//     checked against the tensors by package checkpoint. A key that is null
//     counts as missing.
//   - In the nested form, the decoder's keys come from text_config. A key that
//     the top level holds too must agree where it fixes a shape or a number:
//     sizes, heads, layers, rope_theta, mrope_section, rms_norm_eps. Other keys of
//     the top level are ignored.
//   - tie_word_embeddings and the token ids come from the top level; those that
//     it lacks, from text_config. transformers 4.57 leaves a true
//     tie_word_embeddings out at the top level, and 5 saves bos_token_id and
//     eos_token_id in text_config alone.
//   - rope_scaling and rope_parameters are one key, at either place; what all of
//     them say must agree. An mrope_section makes it M-RoPE, whether the type is
//     called mrope or default. Without one there is no model, and other types
//     (yarn, linear, dynamic) are refused.
//   - dtype and torch_dtype are one key, dtype first; in_channels and in_chans are
//     one key, and must agree.
//   - sliding_window and max_window_layers are ignored, because use_sliding_window
//     must be false.
//
// It differs from transformers in that every value is checked: sizes are
// positive and bounded, heads divide the hidden size, sections add up, ids are
// in the vocabulary. An error names the file, the key, the value and what is
// allowed. Files are read up to a limit, and the parsed configuration takes no
// memory that a number in it could ask for.
package config
