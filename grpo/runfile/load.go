package runfile

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/thinker-vl/thinker/data/prompt"
	"github.com/thinker-vl/thinker/grpo"
)

//go:embed presets/*.yaml
var presets embed.FS

// Presets lists the presets of a kind.
func Presets(k Kind) []string {
	files, err := presets.ReadDir("presets")
	if err != nil {
		panic(err) // they are part of the program
	}
	var names []string
	for _, f := range files {
		if name, ok := strings.CutPrefix(strings.TrimSuffix(f.Name(), ".yaml"), string(k)+"-"); ok {
			names = append(names, name)
		}
	}
	return names
}

// preset is a preset's text.
func preset(k Kind, name string) ([]byte, error) {
	if !slices.Contains(Presets(k), name) {
		return nil, fmt.Errorf("%q is none of the presets %s%s", short(name), strings.Join(Presets(k), ", "), didYouMean(name, Presets(k)))
	}
	return presets.ReadFile(path.Join("presets", string(k)+"-"+name+".yaml"))
}

// MaxBytes is the most that a run file may hold.
const MaxBytes = 256 << 10

// Keys of a file that are no part of the run.
const (
	keyPreset  = "preset"  // what the file is laid over
	keyVersion = "thinker" // the version that resolved it
)

// An Error is what is wrong with a run file, or with an override.
type Error struct {
	File string // or the override; "": neither
	Line int    // from 1; 0: not known
	Key  string // as data.files; "": none in particular
	Err  error
}

func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.File == "":
	case e.Line == 0:
		b.WriteString(e.File + ": ")
	default:
		fmt.Fprintf(&b, "%s:%d: ", e.File, e.Line)
	}
	if e.Key != "" {
		b.WriteString(short(e.Key) + ": ")
	}
	return b.String() + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// An entry is a key with its value, and where it stands.
type entry struct {
	key  string
	node *yaml.Node
	file string
	line int
}

func (e *entry) fail(err error) error { return &Error{e.file, e.line, e.key, err} }

// Load reads a run file's text, lays it over a preset ("": the one that the file names, if any) and overrides, of the form KEY=VALUE with
// the value in YAML, over both. name is the file's, for messages; text may be nil.
func Load(k Kind, presetName, name string, text []byte, overrides []string) (*File, error) {
	l := &loader{f: Default(k), kind: k, entries: map[string]*entry{}}
	var own []*entry
	if text != nil {
		var err error
		if own, err = l.parse(name, text); err != nil {
			return nil, err
		}
	}
	at := &entry{key: keyPreset}
	for _, e := range own {
		if e.key == keyPreset && presetName == "" {
			presetName, at = e.node.Value, e
		}
	}
	if presetName != "" {
		text, err := preset(k, presetName)
		if err != nil {
			return nil, at.fail(err)
		}
		entries, err := l.parse("preset "+presetName, text)
		if err != nil {
			return nil, err
		}
		l.lay(entries)
	}
	l.lay(own)
	for _, o := range overrides {
		if err := l.override(o); err != nil {
			return nil, err
		}
	}
	return l.build()
}

type loader struct {
	f       *File
	kind    Kind
	entries map[string]*entry
}

// lay puts entries over those that are there. A null takes one away.
func (l *loader) lay(entries []*entry) {
	for _, e := range entries {
		if e.node.Kind == yaml.ScalarNode && e.node.ShortTag() == "!!null" {
			delete(l.entries, e.key)
			continue
		}
		l.entries[e.key] = e
	}
}

// known are all keys of a kind.
func known(k Kind) map[string]*field {
	all := map[string]*field{}
	for _, x := range (&File{}).fields() {
		if x.kind == "" || x.kind == k {
			all[x.key] = &x
		}
	}
	for _, key := range grpo.Keys() {
		all[string(k)+"."+key] = &field{key: string(k) + "." + key}
	}
	all[keyPreset], all[keyVersion] = &field{key: keyPreset}, &field{key: keyVersion}
	return all
}

// parse reads a text's keys.
func (l *loader) parse(name string, text []byte) ([]*entry, error) {
	fail := func(line int, format string, v ...any) ([]*entry, error) {
		return nil, &Error{File: name, Line: line, Err: fmt.Errorf(format, v...)}
	}
	if len(text) > MaxBytes {
		return fail(0, "%d bytes are no run file: the most is %d", len(text), MaxBytes)
	}
	if !utf8.Valid(text) {
		return fail(0, "not UTF-8")
	}
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	switch err := d.Decode(&doc); {
	case err == io.EOF:
		return nil, nil
	case err != nil:
		line, err := yamlError(err)
		return fail(line, "%w", err)
	}
	if err := d.Decode(&more); err == nil {
		return fail(more.Line, "a second document: want one")
	} else if err != io.EOF {
		line, err := yamlError(err)
		return fail(line, "%w", err)
	}
	if doc.Content[0].Kind != yaml.MappingNode {
		return fail(doc.Line, "want sections with keys, as model:")
	}
	return l.flatten(name, "", doc.Content[0], known(l.kind), nil)
}

// yamlError takes the line out of an error of the YAML reader.
func yamlError(err error) (int, error) {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, message, ok := strings.Cut(rest, ": "); ok {
			if line, e := strconv.Atoi(number); e == nil {
				return line, fmt.Errorf("not YAML: %s", message)
			}
		}
	}
	return 0, fmt.Errorf("not YAML: %s", text)
}

// flatten lists the keys below a map.
func (l *loader) flatten(name, prefix string, m *yaml.Node, all map[string]*field, to []*entry) ([]*entry, error) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := m.Content[i], m.Content[i+1]
		e := &entry{key: prefix + k.Value, node: v, file: name, line: k.Line}
		switch {
		case k.Kind != yaml.ScalarNode || k.Tag == "!!merge":
			return nil, &Error{File: name, Line: k.Line, Err: errors.New("a key must be a plain word")}
		case seen[k.Value]:
			return nil, e.fail(errors.New("the key occurs twice"))
		case hasAlias(v):
			return nil, e.fail(errors.New("anchors and aliases are not read: write the value out"))
		}
		seen[k.Value] = true
		var err error
		switch {
		case all[e.key] != nil:
			to = append(to, e)
		case isSection(e.key, all) && v.Kind == yaml.MappingNode:
			if to, err = l.flatten(name, e.key+".", v, all, to); err != nil {
				return nil, err
			}
		case isSection(e.key, all) && v.Kind == yaml.ScalarNode && v.ShortTag() == "!!null": // a section without keys
		case isSection(e.key, all):
			return nil, e.fail(fmt.Errorf("%s is not a section: want keys below it, as %s", found(v), strings.Join(below(e.key, all)[:1], "")))
		default:
			return nil, e.fail(l.unknown(e.key, all))
		}
	}
	return to, nil
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Anchor != "" || slices.ContainsFunc(n.Content, hasAlias)
}

func isSection(key string, all map[string]*field) bool { return len(below(key, all)) > 0 }

// below are the keys of a section, in order.
func below(section string, all map[string]*field) []string {
	var keys []string
	for key := range all {
		if strings.HasPrefix(key, section+".") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// elsewhere are names that other trainers have for keys of ours.
var elsewhere = map[string]string{
	"model_name_or_path": "model.path", "torch_dtype": "model.dtype", "dataset_name": "data.files", "train_files": "data.files", "reward_weights": "rewards.weights",
	"generation_batch_size": "rollout.prompts", "rollout_batch_size": "rollout.prompts", "train_batch_size": "rollout.update_sequences", "n_samples_per_prompt": "rollout.num_generations",
	"per_device_train_batch_size": "batch.sequences", "logging_steps": "checkpoints.save_steps", "max_steps": "rollout.max_rollouts", "image_folder": "data.roots",
}

// unknown says what was probably meant by a key.
func (l *loader) unknown(key string, all map[string]*field) error {
	last := key[strings.LastIndexByte(key, '.')+1:]
	if to := elsewhere[last]; all[to] != nil {
		return fmt.Errorf("unknown key: did you mean %s?", to)
	}
	for _, k := range append([]string{string(l.kind) + "." + last}, sortedKeys(all)...) {
		if all[k] == nil {
			continue
		}
		if k == last || strings.HasSuffix(k, "."+last) {
			return fmt.Errorf("unknown key: it belongs to another section: %s", k)
		}
	}
	other := map[Kind]Kind{GRPO: SFT, SFT: GRPO}[l.kind]
	others := known(other)
	if others[key] != nil || isSection(key, others) || key == string(other) {
		return fmt.Errorf("unknown key: it belongs to the run files of %s", map[Kind]string{GRPO: "train", SFT: "sft"}[other])
	}
	section := key[:len(key)-len(last)]
	var near []string
	for _, k := range sortedKeys(all) {
		if rest, ok := strings.CutPrefix(k, section); ok {
			rest, _, _ = strings.Cut(rest, ".")
			near = append(near, rest)
		}
	}
	if best := grpo.Nearest(last, near); best != "" {
		return fmt.Errorf("unknown key: did you mean %s%s?", section, best)
	}
	if best := grpo.Nearest(key, sortedKeys(all)); best != "" {
		return fmt.Errorf("unknown key: did you mean %s?", best)
	}
	near = slices.Compact(near)
	return fmt.Errorf("unknown key: want one of %s", strings.Join(near, ", "))
}

func sortedKeys(all map[string]*field) []string {
	keys := make([]string, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// override lays KEY=VALUE over what is there.
func (l *loader) override(o string) error {
	key, value, ok := strings.Cut(o, "=")
	fail := func(err error) error { return &Error{File: "--set " + short(o), Err: err} }
	if !ok || key == "" {
		return fail(errors.New("want KEY=VALUE, as rollout.prompts=8"))
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(value), &doc); err != nil || hasAlias(&doc) {
		return fail(fmt.Errorf("%q is not a value in YAML", short(value)))
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	if len(doc.Content) == 1 {
		n = doc.Content[0]
	}
	all := known(l.kind)
	e := &entry{key: key, node: n, file: "--set " + short(o)}
	if all[key] == nil {
		// A key of a table.
		i := strings.LastIndexByte(key, '.')
		if i < 0 || all[key[:i]] == nil || !all[key[:i]].table {
			if isSection(key, all) {
				return fail(fmt.Errorf("%s is a section: want a key of it, as %s", key, below(key, all)[0]))
			}
			return fail(l.unknown(key, all))
		}
		m := &yaml.Node{Kind: yaml.MappingNode}
		if old := l.entries[key[:i]]; old != nil && old.node.Kind == yaml.MappingNode {
			for j := 0; j+1 < len(old.node.Content); j += 2 {
				if old.node.Content[j].Value != key[i+1:] {
					m.Content = append(m.Content, old.node.Content[j], old.node.Content[j+1])
				}
			}
		}
		if n.ShortTag() != "!!null" {
			m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key[i+1:]}, n)
		}
		e.key, e.node = key[:i], m
	}
	l.lay([]*entry{e})
	return nil
}

// build makes the file of the entries.
func (l *loader) build() (*File, error) {
	f := l.f
	for _, x := range f.fields() {
		if e := l.entries[x.key]; e != nil && (x.kind == "" || x.kind == l.kind) {
			if err := x.set(e.node); err != nil {
				return nil, e.fail(err)
			}
		}
	}
	if err := l.settings(); err != nil {
		return nil, err
	}
	if f.Prompt.Template == "" && f.Prompt.Layout != prompt.PaperName {
		return f, nil // read when it is needed
	}
	if _, err := f.Layout(); err != nil {
		return nil, l.at("prompt.template", "prompt.layout").fail(err)
	}
	return f, nil
}

// at is the first entry there is of some keys.
func (l *loader) at(keys ...string) *entry {
	for _, k := range keys {
		if e := l.entries[k]; e != nil {
			return e
		}
	}
	return &entry{key: keys[0]}
}

// settings reads the section grpo or sft by the reader of `thinker loss`.
func (l *loader) settings() error {
	section := string(l.kind)
	m := &yaml.Node{Kind: yaml.MappingNode}
	add := func(key string, n *yaml.Node) {
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, n)
	}
	defaults := map[string]string{"loss_type": "sft", "learning_rate": "1e-5"}
	if l.kind == GRPO {
		defaults = map[string]string{"max_completion_length": strconv.Itoa(defaultCompletion)}
	}
	for _, key := range grpo.Keys() {
		if e := l.entries[section+"."+key]; e != nil {
			n := *e.node
			n.HeadComment, n.LineComment, n.FootComment = "", "", ""
			add(key, &n)
		} else if v := defaults[key]; v != "" {
			add(key, &yaml.Node{Kind: yaml.ScalarNode, Value: v})
		}
	}
	text, err := yaml.Marshal(m)
	if err != nil {
		return &Error{Key: section, Err: err}
	}
	s, err := grpo.ParseYAML(section, text)
	if bad, ok := errors.AsType[*grpo.SettingsError](err); ok {
		e := l.entries[section+"."+bad.Key]
		if e == nil { // a key that is missing, or none: where the section begins
			e = &entry{key: section + "." + bad.Key}
			for _, x := range l.entries {
				if strings.HasPrefix(x.key, section+".") && (e.file == "" || x.line < e.line) {
					e.file, e.line = x.file, x.line
				}
			}
		}
		return e.fail(bad.Err)
	}
	if err != nil {
		return &Error{Key: section, Err: err}
	}
	switch {
	case l.kind == SFT && s.LossType != grpo.SFT:
		return l.at("sft.loss_type").fail(fmt.Errorf("%s: want sft; thinker train learns by rewards", s.LossType))
	case l.kind == GRPO && s.LossType == grpo.SFT:
		return l.at("grpo.loss_type").fail(errors.New("sft learns from demonstrations: use thinker sft"))
	}
	l.f.Settings = *s
	return nil
}

const defaultCompletion = 512

// Absolute makes paths absolute, so that the file means the same in any folder, and takes the template's text into it. Relative paths
// are relative to the current folder, wherever the run file stands. The arguments of programs (rewards.exec) stay as they are.
func (f *File) Absolute() error {
	m, d, p := &f.Model, &f.Data, &f.Prompt
	all := []*string{&m.Path, &m.Reference, &m.Library, &f.Checkpoints.Dir}
	for _, list := range [][]string{d.Files, d.Roots, d.HeldOut} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	if p.Layout != prompt.PaperName && p.Template == "" {
		l, err := prompt.Load(p.Layout)
		if err != nil {
			return err
		}
		p.Template = l.Text()
		all = append(all, &p.Layout)
	}
	for _, words := range f.Rewards.Exec {
		if len(words) > 0 && strings.ContainsRune(words[0], filepath.Separator) { // else it is looked for in PATH
			all = append(all, &words[0])
		}
	}
	for _, s := range all {
		if *s == "" {
			continue
		}
		abs, err := filepath.Abs(*s)
		if err != nil {
			return err
		}
		*s = abs
	}
	return nil
}
