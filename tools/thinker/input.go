package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/thinker-vl/thinker/tools/thinker/internal/jsonl"
)

// stdinPath is the path that stands for standard input.
const stdinPath = "-"

// An input is what --in names.
type input struct {
	path  string
	name  string // for messages
	dir   string // that relative picture paths start from; "" is the working directory
	again bool   // it is a file, and can be read more than once
	stdin io.Reader
}

// openInput looks at what --in names; given says whether the command line has it.
func (a *app) openInput(path string, given bool) (*input, error) {
	in := &input{path: path, name: path, stdin: a.stdin}
	if path == stdinPath {
		in.name = "standard input"
		if !given && isTerminal(a.stdin) {
			return nil, usagef("no input: name a file by --in, or pass lines to standard input")
		}
		return in, nil
	}
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if fi.IsDir() {
		return nil, fmt.Errorf("%s is a folder: --in must name a file of one JSON object a line", path)
	}
	if fi.Mode().IsRegular() {
		in.again = true
		if !strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/proc/") { // a file that goes by the name of a stream
			in.dir = filepath.Dir(path)
		}
	}
	return in, nil
}

// each calls f with every line, and with what puts file and line before an error. It stops at the first error.
func (in *input) each(f func(r *jsonl.Reader, line []byte) error) error {
	src := in.stdin
	if in.path != stdinPath {
		file, err := os.Open(in.path)
		if err != nil {
			return err
		}
		defer file.Close()
		src = file
	}
	r := jsonl.NewReader(src, in.name)
	for {
		line, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(r, line); err != nil {
			return err
		}
	}
}
