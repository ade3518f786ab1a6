// Package chat holds conversations and renders them as the prompts of Qwen2.5-VL.
//
// [Render] writes exactly what the chat template released with
// Qwen2.5-VL-3B-Instruct writes, without a template engine: a default system
// message where the first message is not one; text verbatim, special-token strings
// in it included; <|vision_start|><|image_pad|><|vision_end|> for a picture in a
// message of any role. [CheckTemplate] tells whether a checkpoint's own template
// is that one.
//
// # Messages as JSON
//
// A message is {"role": ..., "content": ...} with one of the roles system, user and
// assistant. The content is a string or a list of items. As in the template
//
//   - an item of type image, or with a key image or image_url, is a picture. Its
//     path is the value of image, of image_url (a string or {"url": string}), or, in
//     an item of type image, of path or url. Without a path it is rendered all the
//     same. A text in it is not.
//   - another item with a key text adds that text, whatever its type.
//
// Unlike the template, which skips what it does not know, decoding refuses it: other
// items, videos, other keys (such as min_pixels, which the reference's picture
// loader would heed), keys that come twice, values of another type (null too: for
// the template a picture that is null is a picture), other roles and paths that are
// URLs.
package chat
