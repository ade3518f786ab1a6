package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/thinker-vl/thinker/engine/chat"
	"github.com/thinker-vl/thinker/grpo/reward"
	"github.com/thinker-vl/thinker/tools/thinker/internal/jsonl"
)

// A rewardReader reads lines of reward and of its dry run.
type rewardReader struct {
	rewards  *reward.Registry
	response bool   // lines hold responses
	images   bool   // pictures are looked at
	extra    bool   // further keys are
	root     string // folder of pictures, "" for dir
	dir      string // of the input
}

// rewardKeys are the keys that the reader knows. Others go to custom rewards alone.
var rewardKeys = []string{"id", "verifier_type", "question", "options", "gt", "response", "image", "images", "image_size", "resized_size"}

func (d *rewardReader) parse(line []byte) (r *reward.Record, response string, err error) {
	except := ""
	if d.response {
		except = "response" // whatever is wrong with it scores 0
	}
	o, err := jsonl.ParseExcept(line, except)
	if err != nil {
		return nil, "", err
	}
	r = &reward.Record{}
	if !o.Has("verifier_type") {
		return nil, "", fmt.Errorf("the line has no verifier_type, but %s: want %s", o.Keys(), strings.Join(d.rewards.Types(), ", "))
	}
	if r.Type, err = o.String("verifier_type"); err != nil {
		return nil, "", err
	}
	if _, err := d.rewards.Verifier(r.Type); err != nil {
		return nil, "", err
	}
	if r.Gold, err = text(o, "gt"); err != nil {
		return nil, "", err
	}
	if o.Has("id") {
		if r.ID, err = text(o, "id"); err != nil {
			return nil, "", err
		}
	}
	if o.Has("question") {
		if r.Question, err = o.String("question"); err != nil {
			return nil, "", err
		}
	}
	if r.Options, err = options(o); err != nil {
		return nil, "", err
	}
	for key, size := range map[string]*[2]int{"image_size": &r.ImageSize, "resized_size": &r.ResizedSize} {
		if o.Has(key) {
			v, err := o.IDs(key)
			if err != nil || len(v) != 2 || v[0] < 1 || v[1] < 1 {
				return nil, "", fmt.Errorf("%s is %s, want [height, width] in pixels", key, jsonl.Short(o.Raw(key)))
			}
			*size = [2]int{int(v[0]), int(v[1])}
		}
	}
	if d.images {
		if r.Images, err = d.pictures(o); err != nil {
			return nil, "", err
		}
	}
	if d.extra {
		for _, key := range o.Names() {
			if !slices.Contains(rewardKeys, key) {
				if r.Extra == nil {
					r.Extra = map[string]json.RawMessage{}
				}
				r.Extra[key] = o.Raw(key)
			}
		}
	}
	if d.response {
		response, err = o.String("response")
	}
	return r, response, err
}

// text returns the value at key that is a string or a number, as text.
func text(o *jsonl.Object, key string) (string, error) {
	switch v := o.Raw(key); {
	case !o.Has(key):
		return "", fmt.Errorf("the line has no %s, but %s", key, o.Keys())
	case v[0] == '"':
		return o.String(key)
	case v[0] == '-' || v[0] >= '0' && v[0] <= '9':
		return string(v), nil
	default:
		return "", fmt.Errorf("%s is %s, want a string or a number", key, jsonl.Short(v))
	}
}

// options returns the options of a multiple choice: an array of strings and numbers, or an object from the letters A, B, ... to them.
func options(o *jsonl.Object) ([]string, error) {
	if !o.Has("options") {
		return nil, nil
	}
	raw := o.Raw("options")
	var all []json.RawMessage
	if raw[0] == '{' {
		m, err := jsonl.Parse(raw)
		if err != nil {
			return nil, err
		}
		for i := range len(m.Names()) {
			letter := string(rune('A' + i))
			if !m.Has(letter) {
				return nil, fmt.Errorf("options has %s, want the letters from A on without a gap", m.Keys())
			}
			all = append(all, m.Raw(letter))
		}
	} else {
		var err error
		if all, err = o.Array("options"); err != nil {
			return nil, err
		}
	}
	options := make([]string, len(all))
	for i, v := range all {
		if v[0] != '"' {
			if v[0] != '-' && (v[0] < '0' || v[0] > '9') {
				return nil, fmt.Errorf("options[%d] is %s, want a string or a number", i, jsonl.Short(v))
			}
			options[i] = string(v)
		} else if err := json.Unmarshal(v, &options[i]); err != nil {
			return nil, err
		}
	}
	return options, nil
}

// pictures returns the paths of a record's pictures: image is one or several, and so is images.
func (d *rewardReader) pictures(o *jsonl.Object) ([]string, error) {
	var paths []string
	for _, key := range []string{"image", "images"} {
		if !o.Has(key) {
			continue
		}
		var some []string
		var err error
		if o.Raw(key)[0] == '"' {
			some = make([]string, 1)
			some[0], err = o.String(key)
		} else {
			some, err = o.Strings(key)
		}
		if err != nil {
			return nil, err
		}
		paths = append(paths, some...)
	}
	for i, p := range paths {
		if d.root == "" {
			path, err := chat.ResolveImage(d.dir, p)
			if err != nil {
				return nil, err
			}
			paths[i] = path
			continue
		}
		local := filepath.FromSlash(strings.TrimLeft(p, "/")) // some of the released records begin with a slash
		if !filepath.IsLocal(local) {
			return nil, fmt.Errorf("the picture %s lies outside --images", jsonl.Quote(p))
		}
		paths[i] = filepath.Join(d.root, local)
	}
	return paths, nil
}
