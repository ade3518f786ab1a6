package data

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// A parser turns the text of a record into the record.
type parser struct {
	*Options
	file  string
	roots roots
}

// fields are the members of a record that have a meaning here, as they stand.
type fields struct {
	id, image, images, question, messages, conversations, gold, kind, options, answer, response, dsAnswer, meta, imageSize, resizedSize, method []byte

	asks  string // the key of the question
	talks string // the key of the messages
}

// parse reads the record that begins in a line. Where it cannot, the record it returns has the place and, if possible, the id.
func (p *parser) parse(raw []byte, line int) (*Record, error) {
	r := &Record{File: p.file, Line: line}
	if err := checkJSON(raw); err != nil {
		r.ID = guessID(raw)
		return r, err
	}
	if raw[0] != '{' {
		return r, bad(badKind, "the record is %s, %s: want a JSON object", kind(raw), short(raw))
	}
	f, err := p.fields(raw, r)
	if err != nil {
		return r, err
	}
	if r.ID == "" {
		r.ID = place(p.file, line)
	}
	switch {
	case f.question != nil && f.talks != "":
		return r, bad(badRecord, "the record has %s and %s: want one of them", f.asks, f.talks)
	case f.messages != nil && f.conversations != nil:
		return r, bad(badRecord, "the record has messages and conversations: want one of them")
	case f.talks != "":
		err = p.talk(r, f)
	case f.question != nil:
		err = p.ask(r, f)
	default:
		err = bad(badRecord, "the record has no question: want the key question, messages or conversations")
	}
	if err != nil {
		return r, err
	}
	if r.ImageSize, err = size("image_size", f.imageSize); err != nil {
		return r, err
	}
	if r.ResizedSize, err = size("resized_size", f.resizedSize); err != nil {
		return r, err
	}
	return r, p.wanted(r, f)
}

// fields sorts the members of a record: those with a meaning here, and the others, which are the record's Extra. A member that is null
// counts as absent.
func (p *parser) fields(raw []byte, r *Record) (*fields, error) {
	f := &fields{}
	err := members(raw, func(key string, v []byte) error {
		if v[0] == 'n' {
			return nil
		}
		into := (*[]byte)(nil)
		switch key {
		case "id":
			into = &f.id
			id, err := name(key, v)
			if err != nil {
				return err
			}
			r.ID = id
		case "image":
			into = &f.image
		case "images":
			into = &f.images
		case "question", "problem":
			if f.asks != "" {
				return bad(badRecord, "the record has %s and %s: want one of them", f.asks, key)
			}
			into, f.asks = &f.question, key
		case "messages", "prompt":
			if key == "prompt" && v[0] != '[' {
				break
			}
			if f.messages != nil {
				return bad(badRecord, "the record has %s and %s: want one of them", f.talks, key)
			}
			into, f.talks = &f.messages, key
		case "conversations":
			into, f.talks = &f.conversations, key
		case "gt":
			into = &f.gold
		case "verifier_type":
			into = &f.kind
		case "options":
			into = &f.options
		case "answer":
			into = &f.answer
		case "response":
			into = &f.response
		case "image_size":
			into = &f.imageSize
		case "resized_size":
			into = &f.resizedSize
		case "ds_answer":
			f.dsAnswer = v
		case "meta":
			f.meta = v
		case "accu_reward_method":
			f.method = v
		}
		if into != nil {
			*into = v
			return nil
		}
		r.extra(key, v)
		return nil
	})
	return f, err
}

func (r *Record) extra(key string, v []byte) {
	if r.Extra == nil {
		r.Extra = map[string]json.RawMessage{}
	}
	if key == "meta" && v[0] == '"' {
		if object, err := object(text(v)); err == nil {
			v = object
		}
	}
	r.Extra[key] = v
}

// object reads an object that stands in a string, in JSON or as Python prints it.
func object(s string) (json.RawMessage, error) {
	if s = strings.TrimSpace(s); strings.HasPrefix(s, "{") && json.Valid([]byte(s)) {
		return json.RawMessage(s), nil
	}
	return pythonDict(s)
}

// ask reads a record with a question: VLAA-Thinking's schema, and MathVision's.
func (p *parser) ask(r *Record, f *fields) error {
	q, err := str(f.asks, f.question)
	if err != nil {
		return err
	}
	images, err := pictures(f)
	if err != nil {
		return err
	}
	var paths []string
	for _, name := range images {
		path, err := p.roots.find(name)
		if err != nil {
			return err
		}
		paths = append(paths, path)
	}
	r.Images = paths
	s := &slots{paths: paths}
	q = s.atEnds(q)
	if strings.TrimSpace(q) == "" {
		return bad(badRecord, "the %s is empty", f.asks)
	}
	r.Question = q
	if strings.Contains(q, placeholder) { // pictures within the text
		m := Message{Role: "user"}
		if m.Parts, err = s.split(q); err != nil {
			return err
		}
		r.Question, r.Messages = "", []Message{m}
		if err := s.done(r.Messages); err != nil {
			return err
		}
	}
	if r.Options, err = options(f.options); err != nil {
		return err
	}
	return p.answers(r, f)
}

// answers reads what a record with a question says of its answer. The key answer is the gold one in some data sets, and in others the
// response to imitate, which has tags.
func (p *parser) answers(r *Record, f *fields) (err error) {
	if err := p.kindOf(r, f); err != nil {
		return err
	}
	if f.response != nil {
		if r.Response, err = str("response", f.response); err != nil {
			return err
		}
		r.Response = strings.TrimSpace(r.Response)
	}
	gold, key := f.gold, "gt"
	if v := f.answer; v != nil {
		tagged := false
		if v[0] == '"' {
			s := text(v)
			tagged = strings.Contains(s, "<answer>") || strings.Contains(s, "<think>")
			if tagged && r.Response == "" {
				r.Response = strings.TrimSpace(s)
			} else if tagged {
				r.extra("answer", v)
			}
		}
		switch {
		case tagged:
		case gold == nil:
			gold, key = v, "answer"
			if r.Type == "" && f.options != nil { // MathVision's schema
				r.Type = "math"
				if len(r.Options) > 0 {
					r.Type = "mcq"
				}
			}
		default:
			r.extra("answer", v)
		}
	}
	if gold != nil {
		if err := r.setGold(key, gold); err != nil {
			return err
		}
	}
	if r.Response == "" {
		r.Response, _ = f.distilled()
	}
	return nil
}

// kindOf reads the verifier_type of a record.
func (p *parser) kindOf(r *Record, f *fields) (err error) {
	if f.kind == nil {
		r.Type = p.Type
		return nil
	}
	if r.Type, err = str("verifier_type", f.kind); err == nil && strings.TrimSpace(r.Type) == "" {
		err = bad(noType, "the verifier_type is empty: %s", p.types())
	}
	return err
}

// setGold takes a gold answer: a string, a number, of a box also an array of numbers.
func (r *Record) setGold(key string, v []byte) error {
	switch v[0] {
	case '"':
		s := text(v)
		r.Gold = strings.TrimSpace(s)
		if r.Type == "math" {
			if gold := withoutOutput(r.Gold); gold != r.Gold {
				r.Gold = gold
				r.extra(key, v)
			}
		}
		return nil
	case '[':
		if r.Type != "iou" {
			break
		}
		n := 0
		if err := elements(v, func(i int, v []byte) error {
			if n++; kind(v) != "a number" {
				return bad(badGoldKind, "%s[%d] is %s: a box is four numbers", key, i, short(v))
			}
			return nil
		}); err != nil {
			return err
		}
		if n != 4 {
			return bad(badGoldKind, "%s has %d numbers: a box is four", key, n)
		}
		r.Gold = string(v)
		return nil
	case '{', 't', 'f':
	default:
		r.Gold = string(v)
		return nil
	}
	return bad(badGoldKind, "%s is %s, %s: want a string or a number", key, kind(v), short(v))
}

// withoutOutput takes off the "Output 4:" that is left of the rewriting of some gold answers in the released data.
func withoutOutput(s string) string {
	rest, ok := strings.CutPrefix(s, "Output")
	if !ok {
		return s
	}
	rest = strings.TrimLeft(rest, " ")
	numbered := strings.TrimLeft(rest, "0123456789")
	if t := strings.TrimLeft(numbered, " "); strings.HasPrefix(t, ":") {
		return strings.TrimSpace(t[1:])
	}
	// Without a colon, where mathematics follows at once.
	if t := strings.TrimSpace(rest); strings.HasPrefix(t, `\[`) || strings.HasPrefix(t, `\(`) || strings.HasPrefix(t, "$") || strings.HasPrefix(t, `\boxed`) {
		return t
	}
	return s
}

// distilled makes a response of what a reasoning model said: thinking between tags, and prose behind them.
func (f *fields) distilled() (string, error) {
	v := f.dsAnswer
	if v == nil && f.meta != nil {
		meta := f.meta
		if meta[0] == '"' {
			object, err := object(text(meta))
			if err != nil {
				return "", bad(badResponse, "meta is a string and cannot be read: %v", err)
			}
			meta = object
		}
		if meta[0] == '{' {
			if err := members(meta, func(key string, m []byte) error {
				if key == "ds_answer" && m[0] != 'n' {
					v = m
				}
				return nil
			}); err != nil {
				return "", err
			}
		}
	}
	if v == nil {
		return "", nil
	}
	if v[0] != '"' {
		return "", bad(badKind, "ds_answer is %s, %s: want a string", kind(v), short(v))
	}
	s := strings.TrimSpace(text(v))
	thinking, prose, ok := strings.Cut(s, "</think>")
	if !ok {
		return "", bad(badResponse, "ds_answer has no </think>, so it is not known where its answer begins")
	}
	prose = strings.TrimSpace(prose)
	if !strings.HasPrefix(thinking, "<think>") {
		thinking = "<think>" + thinking
	}
	switch {
	case prose == "":
		return "", bad(badResponse, "ds_answer has no answer behind its </think>")
	case strings.Contains(prose, "<answer>"):
		return thinking + "</think> " + prose, nil
	}
	return thinking + "</think> <answer>" + prose + "</answer>", nil
}

// wanted returns an error if the record has not what a record must have.
func (p *parser) wanted(r *Record, f *fields) error {
	if r.Type != "" && p.Types != nil && !slices.Contains(p.Types, r.Type) {
		return bad(badType, "the verifier_type %s is unknown: %s", quote(r.Type), p.types())
	}
	if p.Want&WantGold != 0 {
		if r.Type == "" {
			if f.method != nil {
				return bad(noType, "the record has no verifier_type, and its accu_reward_method %s is none: %s, or give one for all records without", short(f.method), p.types())
			}
			return bad(noType, "the record has no verifier_type: %s, or give one for all records without", p.types())
		}
		if r.Gold == "" {
			if f.gold == nil {
				return bad(badGold, "the record has no gold answer: want the key gt")
			}
			return bad(badGold, "the gold answer %s is empty", short(f.gold))
		}
	}
	if p.Want&WantResponse != 0 && r.Response == "" {
		if _, err := f.distilled(); err != nil {
			return err
		}
		if f.talks != "" {
			return bad(badResponse, "the record has no response: its last message is not the assistant's")
		}
		if f.answer != nil {
			return bad(badResponse, "the answer %s has neither <think> nor <answer>: if it is to be imitated as it is, call it response", short(f.answer))
		}
		return bad(badResponse, "the record has no response: want the key response, answer (with <think> and <answer>) or ds_answer")
	}
	return nil
}

func (o *Options) types() string {
	if len(o.Types) == 0 {
		return "want one"
	}
	return "want " + strings.Join(o.Types, ", ")
}

// str reads a string.
func str(key string, v []byte) (string, error) {
	if v[0] != '"' {
		return "", bad(badKind, "%s is %s, %s: want a string", key, kind(v), short(v))
	}
	return text(v), nil
}

// name reads an id: a string, or a number as it stands.
func name(key string, v []byte) (string, error) {
	switch kind(v) {
	case "a string":
		return text(v), nil
	case "a number":
		return string(v), nil
	}
	return "", bad(badKind, "%s is %s, %s: want a string or a number", key, kind(v), short(v))
}

// options reads a list of options, or an object of them by their letters. Letters that they bear themselves, as "B) blue", come off.
func options(v []byte) ([]string, error) {
	if v == nil {
		return nil, nil
	}
	var list []string
	add := func(key string, v []byte) error {
		s, err := name("options"+key, v)
		if err != nil {
			return err
		}
		list = append(list, strings.TrimSpace(s))
		return nil
	}
	switch v[0] {
	case '[':
		if err := elements(v, func(i int, v []byte) error { return add("["+strconv.Itoa(i)+"]", v) }); err != nil {
			return nil, err
		}
	case '{':
		by := map[string][]byte{}
		if err := members(v, func(key string, v []byte) error {
			by[strings.ToUpper(key)] = v
			return nil
		}); err != nil {
			return nil, err
		}
		for i := range len(by) {
			letter := string(rune('A' + i))
			v, ok := by[letter]
			if !ok {
				return nil, bad(badOptions, "the options have no %s: want an object with the keys A, B, C and so on, or an array", letter)
			}
			if err := add("."+letter, v); err != nil {
				return nil, err
			}
		}
	default:
		return nil, bad(badKind, "options is %s, %s: want an array, or an object with the keys A, B, C and so on", kind(v), short(v))
	}
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) > 'Z'-'A'+1 {
		return nil, bad(badOptions, "there are %d options: letters go to Z", len(list))
	}
	bare := make([]string, len(list))
	for i, s := range list {
		t, open := strings.CutPrefix(s, "(")
		if len(t) < 3 || t[0] != byte('A'+i) || t[1] != ')' && (open || t[1] != '.' && t[1] != ':') || strings.TrimSpace(t[2:]) == "" {
			return list, nil
		}
		bare[i] = strings.TrimSpace(t[2:])
	}
	return bare, nil
}

// size reads a picture's [height, width].
func size(key string, v []byte) (hw [2]int, err error) {
	if v == nil {
		return hw, nil
	}
	n := 0
	if v[0] == '[' {
		err = elements(v, func(i int, v []byte) error {
			x, err := strconv.ParseInt(string(v), 10, 32)
			if err != nil || x < 1 || i > 1 {
				n = -1
			} else if n == i {
				hw[i] = int(x)
				n++
			}
			return nil
		})
	}
	if err == nil && n != 2 {
		err = bad(badKind, "%s is %s: want [height, width] in pixels", key, short(v))
	}
	return hw, err
}

// pictures lists the pictures that a record names beside its messages.
func pictures(f *fields) ([]string, error) {
	one, err := paths("image", f.image)
	if err != nil {
		return nil, err
	}
	many, err := paths("images", f.images)
	if len(one) > 0 && len(many) > 0 {
		return nil, bad(badKind, "the record has image and images: want one of them")
	}
	return append(one, many...), err
}

func paths(key string, v []byte) (list []string, err error) {
	switch {
	case v == nil:
	case v[0] == '"':
		list = append(list, text(v))
	case v[0] == '[':
		err = elements(v, func(i int, v []byte) error {
			s, err := str(key+"["+strconv.Itoa(i)+"]", v)
			list = append(list, s)
			return err
		})
	default:
		err = bad(badKind, "%s is %s, %s: want the path of a picture, or an array of paths", key, kind(v), short(v))
	}
	return list, err
}

// guessID returns the id of a record that is not JSON as a whole, if it stands before what is wrong.
func guessID(raw []byte) string {
	d := json.NewDecoder(strings.NewReader(string(raw[:min(len(raw), 4<<10)])))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for {
		key, err := d.Token()
		if err != nil || key == json.Delim('}') {
			return ""
		}
		var v any
		if d.Decode(&v) != nil {
			return ""
		}
		if key == "id" {
			switch v := v.(type) {
			case string:
				return v
			case json.Number:
				return v.String()
			}
			return ""
		}
	}
}
