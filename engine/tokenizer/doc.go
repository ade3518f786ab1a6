// Package tokenizer is the byte-level BPE tokenizer of the Qwen2 family, read
// from the files of a Hugging Face checkpoint folder.
//
// It gives the ids that Hugging Face tokenizers gives for the same files. Unlike
// that library it knows one pipeline only (NFC, the Qwen2 pre-tokenizer,
// byte-level BPE), which it implements without a regular-expression engine, and
// refuses a folder that asks for another instead of approximating it.
//
// # Files
//
// [Load] reads tokenizer.json where the folder has one, else vocab.json and
// merges.txt. Without tokenizer.json the added tokens come from
// added_tokens_decoder in tokenizer_config.json or, in older folders, from
// added_tokens.json. With tokenizer.json, added_tokens_decoder may only add to
// it. Ids must be those that the reference would assign: the base vocabulary may
// have holes, but added tokens follow it one by one.
//
// # Encoding
//
//  1. Input that is not valid UTF-8 is first made so: each maximal subpart of an
//     ill-formed sequence becomes one U+FFFD, as in [Tokenizer.Decode].
//
//  2. Added tokens (special or not) are found in the text, leftmost first and the
//     longest at each place, and become their ids. Their flags lstrip, rstrip,
//     single_word and normalized are honoured.
//
//  3. What lies between them is normalized to NFC, with the data of Unicode 9.0
//     as in the reference: code points assigned later pass through. There is no
//     limit to the number of combining marks.
//
//  4. It is cut into words by the expression below, with the categories of
//     Unicode 16.0. The contractions ignore case as the reference's engine does:
//     U+017F, the long s, folds to s.
//
//  5. The bytes of each word are merged, the pair of lowest rank first and the
//     leftmost of equals. Long words take n log n steps.
//
// The expression is
//
//	(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//
// [Tokenizer.EncodeOrdinary] leaves out step 2.
//
// # Decoding
//
// [Tokenizer.Decode] joins the tokens' bytes and replaces what is not UTF-8 by
// U+FFFD; a [Decoder] does so piece by piece. Encoding decoded ids again may give
// other ids, so whatever needs ids must keep them.
//
// # Training
//
// [Train] makes a tokenizer of a corpus, for models that begin from nothing, and
// [Tokenizer.Save] writes one to a folder.
//
// # Limits
//
// A file may have 64 MiB, an id must be below 1,048,576, an added token has at most
// 1,024 bytes. A word of more than 1 GiB is cut there.
package tokenizer
