package report

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ending says how far the run came. updates is -1 where it is not known.
func (p *page) ending(m *manifest, updates int64) {
	switch {
	case p.Kind == "Evaluation":
		p.State, p.Class = "evaluated", "good"
	case m == nil:
		p.State, p.Class = "no checkpoint", "none"
	case m.State.Ended != "":
		p.State, p.Class, p.Reason = "ended early", "fair", line(m.State.Ended, 300)
	case m.State.Total > 0 && m.State.Step >= m.State.Total:
		p.State, p.Class = "finished", "good"
	case m.State.Total > 0:
		p.State, p.Class, p.Reason = "not finished", "fair", fmt.Sprintf("Step %d of %d.", m.State.Step, m.State.Total)
	default:
		p.State, p.Class = "saved", "none"
	}
	if m != nil && m.Policy >= 0 && updates > m.Policy {
		p.Reason += fmt.Sprintf(" The newest checkpoint is of update %d: when the run goes on, it makes the %s after it again.", m.Policy, count(updates-m.Policy, "update"))
	}
}

// setting is a value of the run file, "" where it is not there. Lists are joined; aliases are not followed.
func setting(root *yaml.Node, path ...string) string {
	for _, key := range path {
		if root == nil || root.Kind != yaml.MappingNode {
			return ""
		}
		var next *yaml.Node
		for i := 0; i+1 < len(root.Content); i += 2 {
			if root.Content[i].Value == key {
				next = root.Content[i+1]
			}
		}
		root = next
	}
	switch {
	case root == nil:
	case root.Kind == yaml.ScalarNode && root.Tag != "!!null":
		return root.Value
	case root.Kind == yaml.SequenceNode:
		var all []string
		for i, item := range root.Content {
			if i == 4 {
				all = append(all, fmt.Sprintf("%d more", len(root.Content)-i))
				break
			}
			all = append(all, line(item.Value, 100))
		}
		return strings.Join(all, ", ")
	}
	return ""
}

// settings tells the header of the run file what it does not know from elsewhere.
func (p *page) settings() {
	if !p.HasRunFile || p.RunFile.Cut > 0 {
		return
	}
	var document yaml.Node
	if yaml.Unmarshal([]byte(p.RunFile.Text), &document) != nil || document.Kind != yaml.DocumentNode || len(document.Content) == 0 {
		return
	}
	root := document.Content[0]
	p.fact("Start", setting(root, "model", "path"))
	p.fact("Data", setting(root, "data", "files"))
	p.fact("Held out", setting(root, "data", "held_out"))
	p.fact("Seed", setting(root, "seed"))
}
