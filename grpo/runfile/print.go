package runfile

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// values are the keys of the file with their values, in order.
func (f *File) values() []value {
	var all []value
	settings := func() {
		for _, s := range f.Settings.List() {
			all = append(all, value{key: string(f.Kind) + "." + s.Key, v: s.Value})
		}
	}
	done := false
	for _, x := range f.fields() {
		if x.kind != "" && x.kind != f.Kind {
			continue
		}
		if !done && (strings.HasPrefix(x.key, "rollout.") || strings.HasPrefix(x.key, "batch.")) {
			settings()
			done = true
		}
		if v := x.get(); v != nil {
			all = append(all, value{x.key, v, x.free})
		}
	}
	return all
}

type value struct {
	key  string
	v    any
	free bool
}

// YAML is the resolved file: all keys, with their values. Loading it gives f again. version is the program's.
func (f *File) YAML(version string) []byte {
	root := &yaml.Node{Kind: yaml.MappingNode}
	put(root, []string{keyVersion}, node(version))
	for _, x := range f.values() {
		put(root, strings.Split(x.key, "."), node(x.v))
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		panic(err) // of plain values
	}
	return b.Bytes()
}

// put sets a value below a path.
func put(m *yaml.Node, path []string, v *yaml.Node) {
	if len(path) > 1 {
		for i := 0; i+1 < len(m.Content); i += 2 {
			if m.Content[i].Value == path[0] {
				put(m.Content[i+1], path[1:], v)
				return
			}
		}
		below := &yaml.Node{Kind: yaml.MappingNode}
		put(below, path[1:], v)
		v = below
	}
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: path[0]}, v)
}

func node(v any) *yaml.Node {
	plain := func(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }
	switch v := v.(type) {
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: v}
		if strings.Contains(v, "\n") {
			n.Style = yaml.LiteralStyle
		}
		return n
	case float64:
		return plain(strconv.FormatFloat(v, 'g', -1, 64))
	case []string:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, s := range v {
			n.Content = append(n.Content, node(s))
		}
		return n
	case map[string]float64:
		return mapping(v)
	case map[string]string:
		return mapping(v)
	case map[string][]string:
		return mapping(v)
	default: // int, int64, uint64, bool
		return plain(fmt.Sprint(v))
	}
}

func mapping[T any](m map[string]T) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		n.Content = append(n.Content, node(k), node(m[k]))
	}
	return n
}

// A Difference is a key whose value is another in two files.
type Difference struct{ Key, Old, New string }

func (d Difference) String() string { return fmt.Sprintf("%s: %s, now %s", d.Key, d.Old, d.New) }

// Compare lists the keys that make two files different runs. Those that change no number, as threads and caches, make none.
func Compare(before, now *File) []Difference {
	show := func(v any, ok bool) string {
		if !ok {
			return "not set"
		}
		return short(strings.TrimSpace(strings.ReplaceAll(fmt.Sprint(v), "\n", " ")))
	}
	old, fresh := map[string]any{}, map[string]any{}
	var keys []string
	for _, side := range []struct {
		f *File
		m map[string]any
	}{{before, old}, {now, fresh}} {
		for _, x := range side.f.values() {
			if x.free {
				continue
			}
			side.m[x.key] = x.v
			if !slices.Contains(keys, x.key) {
				keys = append(keys, x.key)
			}
		}
	}
	var all []Difference
	for _, k := range keys {
		a, inOld := old[k]
		b, inNew := fresh[k]
		if inOld != inNew || !reflect.DeepEqual(a, b) {
			all = append(all, Difference{k, show(a, inOld), show(b, inNew)})
		}
	}
	return all
}

// A Key is a key of run files with what it says, for documentation.
type Key struct {
	Name, Usage string
	Default     string // "" where there is none
}

// Keys lists the keys of a kind, without the settings of the loss, in the order of a file.
func Keys(k Kind) []Key {
	f := Default(k)
	var all []Key
	for _, x := range f.fields() {
		if x.kind != "" && x.kind != k {
			continue
		}
		d := ""
		if v := x.get(); v != nil {
			d = fmt.Sprint(v)
		}
		all = append(all, Key{x.key, x.usage, d})
	}
	return all
}
