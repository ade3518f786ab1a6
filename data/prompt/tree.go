package prompt

import (
	"fmt"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// The blocks of a template.
const (
	blockSystem = "system"
	blockUser   = "user"
)

// checkTree refuses what a layout may not do: text outside the blocks, which nobody would see, and all that could run for long.
func checkTree(t *template.Template) error {
	all := t.Templates() // in no order
	slices.SortFunc(all, func(a, b *template.Template) int { return strings.Compare(a.Name(), b.Name()) })
	for _, x := range all {
		if x.Tree == nil || x.Root == nil {
			continue
		}
		c := treeChecker{x.Tree}
		switch x.Name() {
		case blockSystem, blockUser:
			if err := c.list(x.Root, 0); err != nil {
				return err
			}
		case t.Name():
			for _, n := range x.Root.Nodes {
				if text, ok := n.(*parse.TextNode); !ok || strings.TrimSpace(string(text.Text)) != "" {
					return c.errorf(n, `%.80q stands outside of the blocks: want {{define "system"}}...{{end}} and {{define "user"}}...{{end}} alone`,
						strings.TrimSpace(n.String()))
				}
			}
		default:
			return c.errorf(x.Root, "the block %q is none of system, user", x.Name())
		}
	}
	return nil
}

type treeChecker struct{ tree *parse.Tree }

// errorf puts the template's name and the line before a message.
func (c treeChecker) errorf(n parse.Node, format string, v ...any) error {
	location, _ := c.tree.ErrorContext(n)
	if i := strings.LastIndexByte(location, ':'); i >= 0 { // the column
		location = location[:i]
	}
	return fmt.Errorf("prompt: %s: %w", location, fmt.Errorf(format, v...))
}

func (c treeChecker) list(l *parse.ListNode, loops int) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := c.node(n, loops); err != nil {
			return err
		}
	}
	return nil
}

// functions are those that a template may call. The other built-in ones write text, of which a few nested calls make any length.
var functions = [...]string{"and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "len", "index", "slice", "letter"}

func (c treeChecker) pipe(p *parse.PipeNode) error {
	if p == nil {
		return nil
	}
	for _, cmd := range p.Cmds {
		for _, arg := range cmd.Args {
			if chain, ok := arg.(*parse.ChainNode); ok {
				arg = chain.Node
			}
			switch arg := arg.(type) {
			case *parse.PipeNode:
				if err := c.pipe(arg); err != nil {
					return err
				}
			case *parse.IdentifierNode:
				if !slices.Contains(functions[:], arg.Ident) {
					return c.errorf(arg, "the function %s: want one of %s", arg.Ident, strings.Join(functions[:], ", "))
				}
			}
		}
	}
	return nil
}

func (c treeChecker) node(n parse.Node, loops int) error {
	switch n := n.(type) {
	case *parse.ActionNode:
		return c.pipe(n.Pipe)
	case *parse.RangeNode:
		if loops > 0 {
			return c.errorf(n, "a range in a range")
		}
		if !overOptions(n.Pipe) {
			return c.errorf(n, "a range over %s: want .Options", n.Pipe)
		}
		return c.both(&n.BranchNode, loops+1)
	case *parse.IfNode:
		return c.both(&n.BranchNode, loops)
	case *parse.WithNode:
		return c.both(&n.BranchNode, loops)
	case *parse.TemplateNode:
		return c.errorf(n, "%s: templates call no others", n)
	}
	return nil
}

func overOptions(p *parse.PipeNode) bool {
	if len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return false
	}
	f, ok := p.Cmds[0].Args[0].(*parse.FieldNode)
	return ok && len(f.Ident) == 1 && f.Ident[0] == "Options"
}

func (c treeChecker) both(b *parse.BranchNode, loops int) error {
	if err := c.pipe(b.Pipe); err != nil {
		return err
	}
	if err := c.list(b.List, loops); err != nil {
		return err
	}
	return c.list(b.ElseList, loops)
}
