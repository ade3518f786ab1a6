package checkpoint

import "strings"

// A Layout is a way of naming a checkpoint's tensors.
type Layout uint8

const (
	Released Layout = iota // model.layers.0..., visual.blocks.0...
	Nested                 // model.language_model.layers.0..., model.visual.blocks.0...
	Mixed                  // both occur; only read, never written
)

// String returns the layout's name in lower case.
func (l Layout) String() string {
	switch l {
	case Released:
		return "released"
	case Nested:
		return "nested"
	}
	return "mixed"
}

// canonical returns the released name for the name of a tensor in a file. ok is
// false for a name that belongs to neither layout, or to both, as lm_head does.
func canonical(name string) (released string, layout Layout, ok bool) {
	if rest, found := strings.CutPrefix(name, "model.language_model."); found {
		return "model." + rest, Nested, true
	}
	if rest, found := strings.CutPrefix(name, "model.visual."); found {
		return "visual." + rest, Nested, true
	}
	if strings.HasPrefix(name, "model.") || strings.HasPrefix(name, "visual.") {
		return name, Released, true
	}
	return name, Released, false
}

// spell returns the name that a tensor has in a file of this layout.
func (l Layout) spell(released string) string {
	if l == Nested {
		if rest, found := strings.CutPrefix(released, "model."); found {
			return "model.language_model." + rest
		}
		if strings.HasPrefix(released, "visual.") {
			return "model." + released
		}
	}
	return released
}

// isBuffer reports whether a tensor is no parameter but a table that can be
// computed, which old versions of transformers saved too.
func isBuffer(released string) bool {
	return strings.HasSuffix(released, ".rotary_emb.inv_freq") || strings.HasSuffix(released, ".rotary_pos_emb.inv_freq")
}
