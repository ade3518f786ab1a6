package data

import (
	"strconv"
	"strings"
)

// talk reads a record with messages or conversations.
func (p *parser) talk(r *Record, f *fields) error {
	names, err := pictures(f)
	if err != nil {
		return err
	}
	s := &slots{}
	for _, name := range names {
		path, err := p.roots.find(name)
		if err != nil {
			return err
		}
		s.paths = append(s.paths, path)
	}
	v := f.messages
	if v == nil {
		v = f.conversations
	}
	if v[0] != '[' {
		return bad(badMessages, "%s is %s, %s: want an array of messages", f.talks, kind(v), short(v))
	}
	if err := elements(v, func(i int, v []byte) error {
		m, err := p.message(f.talks+"["+strconv.Itoa(i)+"]", v, s)
		if err != nil {
			return err
		}
		if m.Role == "system" && i > 0 {
			return bad(badMessages, "%s[%d] is the system's: it must be the first", f.talks, i)
		}
		r.Messages = append(r.Messages, m)
		return nil
	}); err != nil {
		return err
	}
	n := len(r.Messages)
	if n > 0 && r.Messages[n-1].Role == "assistant" {
		for _, part := range r.Messages[n-1].Parts {
			r.Response += part.Text
		}
		r.Response = strings.TrimSpace(r.Response)
		n--
		r.Messages = r.Messages[:n:n]
	}
	if n == 0 || r.Messages[n-1].Role != "user" {
		return bad(badMessages, "%s has no message of the user before the response", f.talks)
	}
	if err := s.done(r.Messages); err != nil {
		return err
	}
	for _, m := range r.Messages {
		for _, part := range m.Parts {
			if part.Image != "" {
				r.Images = append(r.Images, part.Image)
			}
		}
	}
	if r.Options, err = options(f.options); err != nil {
		return err
	}
	// What VLM-R1 calls the method of its reward is the type here, where it is one.
	if f.method != nil && f.kind == nil {
		switch string(f.method) {
		case `"mcq"`, `"math"`, `"iou"`:
			f.kind = f.method
		}
	}
	response := r.Response
	if err := p.answers(r, f); err != nil {
		return err
	}
	if r.Response == "" || f.response == nil {
		r.Response = response
	}
	// Of conversations the last message is the gold answer where there is no other: whole, or what stands in its tags.
	if f.conversations != nil && r.Gold == "" && f.gold == nil {
		r.Gold = response
		if _, rest, ok := strings.Cut(response, "<answer>"); ok {
			if answer, _, ok := strings.Cut(rest, "</answer>"); ok {
				r.Gold = answer
			}
		}
		r.Gold = strings.TrimSpace(r.Gold)
	}
	return nil
}

// message reads one message, in the form of messages or of conversations.
func (p *parser) message(at string, v []byte, s *slots) (m Message, err error) {
	if v[0] != '{' {
		return m, bad(badMessages, "%s is %s, %s: want an object with role and content", at, kind(v), short(v))
	}
	var role, content []byte
	if err := members(v, func(key string, v []byte) error {
		if v[0] == 'n' {
			return nil
		}
		switch key {
		case "role", "from":
			if role != nil {
				return bad(badMessages, "%s has role and from: want one of them", at)
			}
			role = v
		case "content", "value":
			if content != nil {
				return bad(badMessages, "%s has content and value: want one of them", at)
			}
			content = v
		case "tool_calls":
			if string(v) != "[]" {
				return bad(badMessages, "%s calls tools: that is not supported", at)
			}
		}
		return nil
	}); err != nil {
		return m, err
	}
	if role == nil || role[0] != '"' {
		return m, bad(badMessages, "%s has no role: want system, user or assistant", at)
	}
	switch name := text(role); name {
	case "system", "user", "assistant":
		m.Role = name
	case "human":
		m.Role = "user"
	case "gpt":
		m.Role = "assistant"
	default:
		return m, bad(badMessages, "%s has the role %s: want system, user or assistant", at, quote(name))
	}
	switch {
	case content == nil:
		return m, bad(badMessages, "%s has no content", at)
	case content[0] == '"':
		t := text(content)
		if m.Role != "user" {
			m.Parts = []Part{{Text: t}}
		} else if m.Parts, err = s.split(t); err != nil {
			return m, err
		}
	case content[0] == '[':
		if err := elements(content, func(i int, v []byte) error {
			part, err := p.part(at+".content["+strconv.Itoa(i)+"]", v, s)
			if err == nil {
				if part.Image != "" && m.Role != "user" {
					return bad(badMessages, "%s has a picture and is the %s's: pictures stand in the messages of the user", at, m.Role)
				}
				if part != (Part{}) {
					m.Parts = append(m.Parts, part)
				}
			}
			return err
		}); err != nil {
			return m, err
		}
	default:
		return m, bad(badMessages, "%s has %s as content: want a string or an array of parts", at, kind(content))
	}
	for _, part := range m.Parts {
		if part.Image != "" || strings.TrimSpace(part.Text) != "" {
			return m, nil
		}
	}
	return m, bad(badMessages, "%s is empty", at)
}

// part reads a part of a message: text, or a picture by its path or, without one, the next that the record names.
func (p *parser) part(at string, v []byte, s *slots) (part Part, err error) {
	if v[0] == '"' {
		return Part{Text: text(v)}, nil
	}
	if v[0] != '{' {
		return part, bad(badMessages, "%s is %s, %s: want an object with type, and text or image", at, kind(v), short(v))
	}
	var typ string
	var words, image []byte
	if err := members(v, func(key string, v []byte) error {
		if v[0] == 'n' {
			return nil
		}
		switch key {
		case "type":
			typ, err = str(at+".type", v)
			return err
		case "text":
			words = v
		case "image", "path":
			image = v
		case "image_url":
			if image = v; v[0] == '{' {
				image = nil
				return members(v, func(key string, v []byte) error {
					if key == "url" {
						image = v
					}
					return nil
				})
			}
		}
		return nil
	}); err != nil {
		return part, err
	}
	switch {
	case typ == "text", typ == "" && words != nil && image == nil:
		if words == nil {
			return part, bad(badMessages, "%s has no text", at)
		}
		part.Text, err = str(at+".text", words)
		return part, err
	case typ == "image", typ == "image_url", typ == "" && image != nil:
		if image == nil {
			path, err := s.next()
			return Part{Image: path}, err
		}
		name, err := str(at+".image", image)
		if err != nil {
			return part, err
		}
		path, err := p.roots.find(name)
		return Part{Image: path}, err
	}
	return part, bad(badMessages, "%s has the type %s: want text, image or image_url", at, quote(typ))
}

// placeholder is where a picture belongs in a text of a data set. A record of this package has parts in its place.
const placeholder = "<image>"

// slots gives the pictures that a record names to the places in its text.
type slots struct {
	paths []string
	used  int
}

func (s *slots) next() (string, error) {
	s.used++
	if len(s.paths) == 0 {
		return "", bad(badMessages, "the record has a place for a picture and names none: name it in image or images; an %s that is no more than text belongs into messages, in a part of type text", placeholder)
	}
	if s.used > len(s.paths) {
		return "", bad(badMessages, "the record has a place for picture %d and names %d: want as many names, in image or images, as places", s.used, len(s.paths))
	}
	return s.paths[s.used-1], nil
}

// split puts a text and the pictures in it into parts.
func (s *slots) split(t string) (parts []Part, err error) {
	for {
		before, after, ok := strings.Cut(t, placeholder)
		if ok {
			before = strings.TrimSuffix(before, "\n")
		}
		if before != "" {
			parts = append(parts, Part{Text: before})
		}
		if !ok {
			return parts, nil
		}
		path, err := s.next()
		if err != nil {
			return nil, err
		}
		parts = append(parts, Part{Image: path})
		t = strings.TrimPrefix(after, "\n")
	}
}

// done sees to it that every picture has a place. If none has, they stand before the first words of the user.
func (s *slots) done(m []Message) error {
	if s.used == len(s.paths) {
		return nil
	}
	if s.used > 0 {
		return bad(badMessages, "the record names %d pictures and has places for %d: want as many places as pictures, or none", len(s.paths), s.used)
	}
	for i := range m {
		if m[i].Role != "user" {
			continue
		}
		var parts []Part
		for _, path := range s.paths {
			parts = append(parts, Part{Image: path})
		}
		m[i].Parts = append(parts, m[i].Parts...)
		break
	}
	return nil
}

// atEnds takes the places of pictures off the ends of a question where they say no more than that there are pictures: <image> for each
// picture before the question or for the one behind it, and MathVision's <image1> on lines of their own or behind a sentence. Within a
// sentence that is the name of a part of the picture, and stays.
func (s *slots) atEnds(q string) string {
	if len(s.paths) == 0 {
		return q
	}
	if n := strings.Count(q, placeholder); n > 0 {
		if n != len(s.paths) {
			return q
		}
		t := strings.TrimSpace(q)
		for range n {
			t = strings.TrimSpace(strings.TrimPrefix(t, placeholder))
		}
		if n == 1 {
			t = strings.TrimSpace(strings.TrimSuffix(t, placeholder))
		}
		if !strings.Contains(t, placeholder) {
			return t
		}
		return q
	}
	for {
		t := strings.TrimSpace(q)
		if first, rest, ok := strings.Cut(t, "\n"); ok && isPlaceholder(strings.TrimSpace(first)) {
			q = rest
			continue
		}
		i := strings.LastIndexByte(t, '<')
		if i < 0 || !isPlaceholder(t[i:]) {
			return t
		}
		head := strings.TrimRight(t[:i], " \t\r")
		if h, ok := strings.CutSuffix(head, `\n`); ok { // two characters: so do some of MathVision's lines end
			head = h + "\n"
		}
		if head != "" && strings.IndexByte("\n.?!:", head[len(head)-1]) < 0 {
			return t
		}
		q = head
	}
}

// isPlaceholder reports whether s is <image1> or the like.
func isPlaceholder(s string) bool {
	s, ok := strings.CutPrefix(s, "<image")
	return ok && len(s) > 1 && strings.TrimLeft(s, "0123456789") == ">"
}
