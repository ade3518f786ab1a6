package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/thinker-vl/thinker/engine"
	"github.com/thinker-vl/thinker/engine/chat"
	"github.com/thinker-vl/thinker/engine/imageproc"
	"github.com/thinker-vl/thinker/tools/thinker/internal/jsonl"
)

// A source turns an input's lines into prompts and completions for an engine.
//
// A file is read three times: for the form of its lines, before the weights load; for their prompts and pictures, before anything is
// computed; and for the work. So an error in the last line costs seconds and not the hours that the lines before it take. Standard
// input is read once, line by line.
type source struct {
	*input
	completion bool // lines hold completions
	e          *engine.Engine
	check      func(engine.Completion) error // what the work would refuse

	lines []int               // of the records handed out
	kept  []engine.Completion // made while checking, by record; zero where not kept
	room  int                 // bytes that may still be kept
}

// keepBytes is how much memory prompts made while checking may take, so that most pictures are decoded only once.
const keepBytes = 256 << 20

// checkForm reads an input that is a file for the form of its lines and for its pictures' paths. It returns the number of records, -1
// for an input that can be read only once.
func (s *source) checkForm(ctx context.Context) (int, error) {
	if !s.again {
		return -1, nil
	}
	n := 0
	return n, s.each(func(r *jsonl.Reader, line []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		n++
		rec, err := parseRecord(line, s.completion)
		if err == nil {
			err = s.checkPaths(rec)
		}
		if err != nil {
			return r.Wrap(err)
		}
		return nil
	})
}

func (s *source) checkPaths(rec *record) error {
	for _, image := range rec.images {
		path, err := chat.ResolveImage(s.dir, image)
		if err != nil {
			return err
		}
		fi, err := os.Stat(path)
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			return fmt.Errorf("picture %s: %w", path, e.Err)
		}
		if err != nil {
			return err
		}
		if !fi.Mode().IsRegular() {
			return fmt.Errorf("picture %s is a folder or a device: want a regular file", path)
		}
	}
	return nil
}

// checkPrompts makes every record's prompt and loads its pictures, and keeps as many as there is room for.
func (s *source) checkPrompts(ctx context.Context, bar *progress) error {
	if !s.again {
		return nil
	}
	s.room = keepBytes
	return s.each(func(r *jsonl.Reader, line []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := s.parse(line)
		if err == nil {
			err = s.check(c)
		}
		if err != nil {
			return r.Wrap(err)
		}
		size := 64 + 4*(len(c.Prompt.IDs)+len(c.IDs))
		for _, m := range c.Prompt.Images {
			size += 3 * m.ResizedW * m.ResizedH
		}
		if s.room -= size; s.room < 0 {
			c = engine.Completion{}
		}
		s.kept = append(s.kept, c)
		bar.add(1)
		return nil
	})
}

// errStop ends the reading of an input whose reader has had enough.
var errStop = errors.New("stop")

// completions is the sequence of records; the completions are empty where lines hold only prompts. Errors name file and line.
func (s *source) completions(yield func(engine.Completion, error) bool) {
	err := s.each(func(r *jsonl.Reader, line []byte) error {
		c, err := s.take(len(s.lines), line)
		if err != nil {
			return r.Wrap(err)
		}
		s.lines = append(s.lines, r.Line())
		if !yield(c, nil) {
			return errStop
		}
		return nil
	})
	if err != nil && err != errStop {
		yield(engine.Completion{}, err)
	}
}

// prompts is the sequence of records' prompts.
func (s *source) prompts(yield func(*engine.Prompt, error) bool) {
	s.completions(func(c engine.Completion, err error) bool { return yield(c.Prompt, err) })
}

// locate puts file and line before an engine's error about a prompt.
func (s *source) locate(err error) error {
	e, ok := errors.AsType[*engine.PromptError](err)
	if !ok {
		return err
	}
	if e.Prompt >= 0 && e.Prompt < len(s.lines) {
		return &jsonl.Error{File: s.name, Line: s.lines[e.Prompt], Err: e.Err}
	}
	return e.Err
}

// take is record i's prompt and completion: that which was kept while checking, or else made again from its line.
func (s *source) take(i int, line []byte) (c engine.Completion, err error) {
	if i < len(s.kept) && s.kept[i].Prompt != nil {
		c, s.kept[i] = s.kept[i], c
		return c, nil
	}
	return s.parse(line)
}

// parse makes the prompt, and the completion, of a line.
func (s *source) parse(line []byte) (c engine.Completion, err error) {
	rec, err := parseRecord(line, s.completion)
	if err != nil {
		return c, err
	}
	if c.Prompt, err = s.prompt(rec); err != nil {
		return c, err
	}
	c.IDs = rec.completionIDs
	if rec.completion != nil {
		ids := s.e.Tokenizer().Encode(*rec.completion)
		if c.IDs != nil && !slices.Equal(ids, c.IDs) {
			return c, fmt.Errorf("completion and completion_ids disagree: %s: want one of the two", difference(ids, c.IDs))
		}
		c.IDs = ids
	}
	return c, nil
}

func (s *source) prompt(rec *record) (*engine.Prompt, error) {
	if rec.messages != nil {
		p, err := s.e.Prompt(rec.messages, s.dir)
		if err == nil && rec.ids != nil && !slices.Equal(p.IDs, rec.ids) {
			err = fmt.Errorf("messages and prompt_ids disagree: %s: want one of the two", difference(p.IDs, rec.ids))
		}
		return p, err
	}
	images := make([]*imageproc.Image, len(rec.images))
	for i, image := range rec.images {
		path, err := chat.ResolveImage(s.dir, image)
		if err != nil {
			return nil, err
		}
		if images[i], err = s.e.Images().Load(path); err != nil {
			return nil, err
		}
	}
	return s.e.PromptFromIDs(rec.ids, images)
}

// difference says where the ids that a text gives differ from those given.
func difference(text, given []int32) string {
	for i, id := range text {
		if i == len(given) {
			break
		}
		if id != given[i] {
			return fmt.Sprintf("at position %d the text has id %d, the ids have %d", i, id, given[i])
		}
	}
	return fmt.Sprintf("the text has %d ids, the ids are %d", len(text), len(given))
}
