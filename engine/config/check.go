package config

import "fmt"

// check verifies what concerns several keys at once.
func (c *Config) check() error {
	t, v := &c.Text, &c.Vision
	if t.Heads%t.KVHeads != 0 {
		return fmt.Errorf("num_key_value_heads: %d does not divide num_attention_heads %d", t.KVHeads, t.Heads)
	}
	if t.HeadDim%2 != 0 {
		return fmt.Errorf("num_attention_heads: hidden_size %d / %d makes heads of %d, which is odd: RoPE turns pairs", t.HiddenSize, t.Heads, t.HeadDim)
	}
	if s := t.MRopeSection; s[0]+s[1]+s[2] != t.HeadDim/2 {
		return fmt.Errorf("mrope_section: %v adds up to %d, want %d: half of the head dimension hidden_size / num_attention_heads = %d",
			s, s[0]+s[1]+s[2], t.HeadDim/2, t.HeadDim)
	}
	if v.HeadDim%4 != 0 {
		return fmt.Errorf("vision_config.num_heads: hidden_size %d / %d makes heads of %d, want a multiple of 4: RoPE turns pairs by row and by column",
			v.HiddenSize, v.Heads, v.HeadDim)
	}
	if v.OutHiddenSize != t.HiddenSize {
		return fmt.Errorf("vision_config.out_hidden_size: %d is not the decoder's hidden_size %d", v.OutHiddenSize, t.HiddenSize)
	}
	if unit := v.PatchSize * v.SpatialMergeSize; v.WindowSize%unit != 0 {
		return fmt.Errorf("vision_config.window_size: %d is not a multiple of patch_size * spatial_merge_size = %d * %d = %d",
			v.WindowSize, v.PatchSize, v.SpatialMergeSize, unit)
	}
	ids := []struct {
		key string
		id  int
	}{
		{"image_token_id", c.ImageTokenID}, {"video_token_id", c.VideoTokenID}, {"vision_start_token_id", c.VisionStartTokenID},
		{"vision_end_token_id", c.VisionEndTokenID}, {"vision_token_id", c.VisionTokenID},
	}
	for i, a := range ids {
		for _, b := range ids[:i] {
			if a.id == b.id {
				return fmt.Errorf("%s: %d is also %s, they must differ", a.key, a.id, b.key)
			}
		}
	}
	return nil
}
