package data

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a good line becomes.
func TestRecords(t *testing.T) {
	d := newFolder(t)
	a, b, c := d.path("images/a.png"), d.path("images/sub/b.png"), d.path("c.png")
	user := func(parts ...Part) []Message { return []Message{{"user", parts}} }
	tests := []struct {
		name string
		o    Options
		line string
		want Record
	}{
		{"the schema", Options{Want: WantGold, Types: types}, `{"id":"x","image":"a.png","question":"Q","gt":"B","verifier_type":"mcq","options":["p","q"],"image_size":[3,4],"resized_size":[28,56]}`,
			Record{ID: "x", Images: []string{a}, Question: "Q", Gold: "B", Type: "mcq", Options: []string{"p", "q"}, ImageSize: [2]int{3, 4}, ResizedSize: [2]int{28, 56}}},
		{"a leading slash", Options{}, `{"id":"x","image":"/sub/b.png","question":"Q"}`, Record{ID: "x", Images: []string{b}, Question: "Q"}},
		{"two leading slashes", Options{}, `{"id":"x","image":"//sub//b.png","question":"Q"}`, Record{ID: "x", Images: []string{b}, Question: "Q"}},
		{"beside the file", Options{}, `{"id":"x","image":"./c.png","question":"Q"}`, Record{ID: "x", Images: []string{c}, Question: "Q"}},
		{"an absolute path in a root", Options{}, `{"id":"x","image":` + fmt.Sprintf("%q", b) + `,"question":"Q"}`, Record{ID: "x", Images: []string{b}, Question: "Q"}},
		{"no picture", Options{}, `{"id":"x","image":null,"images":[],"question":"Q"}`, Record{ID: "x", Question: "Q"}},
		{"a list as image", Options{}, `{"id":"x","image":["a.png","c.png"],"question":"Q"}`, Record{ID: "x", Images: []string{a, c}, Question: "Q"}},
		{"no id", Options{}, `{"question":"Q"}`, Record{ID: "d.jsonl:1", Question: "Q"}},
		{"a number as id", Options{}, `{"id":17,"question":"Q"}`, Record{ID: "17", Question: "Q"}},
		{"gt as a number", Options{}, `{"id":"x","question":"Q","gt":3,"verifier_type":"digit"}`, Record{ID: "x", Question: "Q", Gold: "3", Type: "digit"}},
		{"gt as it stands", Options{}, `{"id":"x","question":"Q","gt":-1.50e1}`, Record{ID: "x", Question: "Q", Gold: "-1.50e1"}},
		{"gt with space", Options{}, `{"id":"x","question":"Q","gt":" (a) \n"}`, Record{ID: "x", Question: "Q", Gold: "(a)"}},
		{"a box", Options{}, `{"id":"x","question":"Q","gt":"[0.1,0.2,0.3,0.4]","verifier_type":"iou"}`, Record{ID: "x", Question: "Q", Gold: "[0.1,0.2,0.3,0.4]", Type: "iou"}},
		{"a box as an array", Options{}, `{"id":"x","question":"Q","gt":[0.1, 0.2,3,4],"verifier_type":"iou"}`, Record{ID: "x", Question: "Q", Gold: "[0.1, 0.2,3,4]", Type: "iou"}},
		{"type of those without", Options{Type: "math", Types: types, Want: WantGold}, `{"id":"x","question":"Q","gt":"1"}`, Record{ID: "x", Question: "Q", Gold: "1", Type: "math"}},
		{"its own type", Options{Type: "math"}, `{"id":"x","question":"Q","gt":"1","verifier_type":"digit"}`, Record{ID: "x", Question: "Q", Gold: "1", Type: "digit"}},
		{"options by letter", Options{}, `{"id":"x","question":"Q","options":{"b":"q","A":1}}`, Record{ID: "x", Question: "Q", Options: []string{"1", "q"}}},
		{"options with letters", Options{}, `{"id":"x","question":"Q","options":["(A) p","B. q ","C: r"]}`, Record{ID: "x", Question: "Q", Options: []string{"p", "q", "r"}}},
		{"options that begin like letters", Options{}, `{"id":"x","question":"Q","options":["A. p","C. q"]}`, Record{ID: "x", Question: "Q", Options: []string{"A. p", "C. q"}}},
		{"no options", Options{}, `{"id":"x","question":"Q","options":[]}`, Record{ID: "x", Question: "Q"}},
		{"MathVision, multiple choice", Options{Want: WantGold, Types: types}, `{"id":"1","question":"How?\n<image1>","options":["p","q"],"answer":"B","image":"images/a.png"}`,
			Record{ID: "1", Question: "How?", Options: []string{"p", "q"}, Gold: "B", Type: "mcq", Images: []string{a}}},
		{"MathVision, free form", Options{Want: WantGold, Types: types}, `{"id":"1","question":"How?","options":[],"answer":"7"}`, Record{ID: "1", Question: "How?", Gold: "7", Type: "math"}},
		{"MathVision, with a type given", Options{Type: "digit"}, `{"id":"1","question":"How?","options":[],"answer":"7"}`, Record{ID: "1", Question: "How?", Gold: "7", Type: "digit"}},
		{"problem and answer", Options{Type: "math"}, `{"id":"1","problem":"<image>How?","answer":7,"images":["a.png"]}`, Record{ID: "1", Question: "How?", Gold: "7", Type: "math", Images: []string{a}}},
		{"a response", Options{Want: WantResponse}, `{"id":"x","question":"Q","response":" plain \n"}`, Record{ID: "x", Question: "Q", Response: "plain"}},
		{"the released SFT", Options{Want: WantResponse}, `{"id":"x","question":"Q","answer":"\n<think>t</think>\n<answer>3</answer>\n"}`, Record{ID: "x", Question: "Q", Response: "<think>t</think>\n<answer>3</answer>"}},
		{"a gold answer and a response", Options{Want: WantResponse | WantGold}, `{"id":"x","question":"Q","gt":3,"verifier_type":"digit","answer":"<think>t</think> <answer>3</answer>"}`,
			Record{ID: "x", Question: "Q", Gold: "3", Type: "digit", Response: "<think>t</think> <answer>3</answer>"}},
		{"the pipeline's", Options{Want: WantResponse}, `{"id":"x","question":"Q","gt":3,"ds_answer":"<think>\nt </think>  \n\n It is **3**. "}`,
			Record{ID: "x", Question: "Q", Gold: "3", Response: "<think>\nt </think> <answer>It is **3**.</answer>", Extra: extra(`{"ds_answer":"<think>\nt </think>  \n\n It is **3**. "}`)}},
		{"without the opening tag", Options{Want: WantResponse}, `{"id":"x","question":"Q","ds_answer":"t</think><answer>3</answer>"}`,
			Record{ID: "x", Question: "Q", Response: "<think>t</think> <answer>3</answer>", Extra: extra(`{"ds_answer":"t</think><answer>3</answer>"}`)}},
		{"in an object meta", Options{Want: WantResponse}, `{"id":"x","question":"Q","meta":{"url":1,"ds_answer":"t</think>3"}}`,
			Record{ID: "x", Question: "Q", Response: "<think>t</think> <answer>3</answer>", Extra: extra(`{"meta":{"url":1,"ds_answer":"t</think>3"}}`)}},
		{"in Python's", Options{Want: WantResponse}, `{"id":"x","question":"Q","meta":"{'n': None, 'ds_answer': \"<think>it's</think>\\n3\"}"}`,
			Record{ID: "x", Question: "Q", Response: "<think>it's</think> <answer>3</answer>", Extra: extra(`{"meta":{"n":null,"ds_answer":"\u003cthink\u003eit's\u003c/think\u003e\n3"}}`)}},
		{"in a string of JSON", Options{Want: WantResponse}, `{"id":"x","question":"Q","meta":" {\"n\":null,\"ds_answer\":\"t</think>3\"}"}`,
			Record{ID: "x", Question: "Q", Response: "<think>t</think> <answer>3</answer>", Extra: extra(`{"meta":{"n":null,"ds_answer":"t</think>3"}}`)}},
		{"a meta that is neither", Options{}, `{"id":"x","question":"Q","meta":"{'a'"}`, Record{ID: "x", Question: "Q", Extra: extra(`{"meta":"{'a'"}`)}},
		{"the first of several", Options{Want: WantResponse}, `{"id":"x","question":"Q","response":"r","answer":"<answer>a</answer>","ds_answer":"t</think>d"}`,
			Record{ID: "x", Question: "Q", Response: "r", Extra: extra(`{"answer":"<answer>a</answer>","ds_answer":"t</think>d"}`)}},
		{"gt and a bare answer", Options{}, `{"id":"x","question":"Q","gt":"B","answer":"B"}`, Record{ID: "x", Question: "Q", Gold: "B", Extra: extra(`{"answer":"B"}`)}},
		{"Output 4:", Options{}, `{"id":"x","question":"Q","gt":"Output 4: \\[y\\]","verifier_type":"math"}`, Record{ID: "x", Question: "Q", Gold: `\[y\]`, Type: "math", Extra: extra(`{"gt":"Output 4: \\[y\\]"}`)}},
		{"Output", Options{}, `{"id":"x","question":"Q","gt":"Output\n\\[y\\]","verifier_type":"math"}`, Record{ID: "x", Question: "Q", Gold: `\[y\]`, Type: "math", Extra: extra(`{"gt":"Output\n\\[y\\]"}`)}},
		{"Output in words", Options{}, `{"id":"x","question":"Q","gt":"Output is low","verifier_type":"math"}`, Record{ID: "x", Question: "Q", Gold: "Output is low", Type: "math"}},
		{"Output in prose", Options{}, `{"id":"x","question":"Q","gt":"Output: low","verifier_type":"open_ended"}`, Record{ID: "x", Question: "Q", Gold: "Output: low", Type: "open_ended"}},
		{"escapes", Options{}, `{"id":"\u0078","question":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud83d"}`, Record{ID: "x", Question: "\"\\/\b\f\n\r\t\u00e9\U0001F600\uFFFD"}},
		{"more", Options{}, `{"id":"x","question":"Q","caption":"C","level":1,"solution":null}`, Record{ID: "x", Question: "Q", Extra: extra(`{"caption":"C","level":1}`)}},
		{"space", Options{}, " \t{ \"id\" : \"x\" , \"question\" : \"Q\" , \"image\" : [ \"a.png\" , \"c.png\" ] } \r", Record{ID: "x", Question: "Q", Images: []string{a, c}}},

		{"a picture in a question", Options{}, `{"id":"x","question":"Is <image> like\n<image>\nthis?","images":["a.png","c.png"]}`,
			Record{ID: "x", Images: []string{a, c}, Messages: user(Part{Text: "Is "}, Part{Image: a}, Part{Text: " like"}, Part{Image: c}, Part{Text: "this?"})}},
		{"pictures before a question", Options{}, `{"id":"x","question":"<image>\n<image>\nQ","images":["a.png","c.png"]}`, Record{ID: "x", Images: []string{a, c}, Question: "Q"}},
		{"a picture behind it", Options{}, `{"id":"x","question":"Q <image>","images":["a.png"]}`, Record{ID: "x", Images: []string{a}, Question: "Q"}},

		{"messages", Options{Want: WantResponse}, `{"id":"x","images":["a.png"],"messages":[{"role":"system","content":"S"},{"role":"user","content":"<image>\nQ"},{"role":"assistant","content":" R "}]}`,
			Record{ID: "x", Images: []string{a}, Messages: []Message{{"system", []Part{{Text: "S"}}}, {"user", []Part{{Image: a}, {Text: "Q"}}}}, Response: "R"}},
		{"several turns", Options{}, `{"id":"x","messages":[{"role":"user","content":"1"},{"role":"assistant","content":"2"},{"role":"user","content":"3"}]}`,
			Record{ID: "x", Messages: []Message{{"user", []Part{{Text: "1"}}}, {"assistant", []Part{{Text: "2"}}}, {"user", []Part{{Text: "3"}}}}}},
		{"parts", Options{Want: WantGold}, `{"id":"x","gt":1,"verifier_type":"digit","options":["1","2"],"messages":[{"role":"user","content":[{"type":"text","text":"Q","image":null},{"type":"image","image":"a.png"},{"image":"c.png"},{"type":"image_url","image_url":{"url":"/sub/b.png","detail":"low"}},{"type":"image_url","image_url":"a.png"},"end",{"text":""}]}]}`,
			Record{ID: "x", Images: []string{a, c, b, a}, Gold: "1", Type: "digit", Options: []string{"1", "2"},
				Messages: user(Part{Text: "Q"}, Part{Image: a}, Part{Image: c}, Part{Image: b}, Part{Image: a}, Part{Text: "end"})}},
		{"places for pictures", Options{}, `{"id":"x","prompt":[{"role":"user","content":[{"type":"image"},{"type":"text","text":"Q"},{"type":"image"}]}],"images":["a.png","c.png"]}`,
			Record{ID: "x", Images: []string{a, c}, Messages: user(Part{Image: a}, Part{Text: "Q"}, Part{Image: c})}},
		{"a placeholder that is text", Options{}, `{"id":"x","messages":[{"role":"user","content":[{"type":"text","text":"What does <image> mean?"}]}]}`,
			Record{ID: "x", Messages: user(Part{Text: "What does <image> mean?"})}},
		{"a placeholder that is text, and a picture", Options{}, `{"id":"x","image":"a.png","messages":[{"role":"user","content":["What does <image> mean?"]}]}`,
			Record{ID: "x", Images: []string{a}, Messages: user(Part{Image: a}, Part{Text: "What does <image> mean?"})}},
		{"no places", Options{}, `{"id":"x","messages":[{"role":"system","content":"S"},{"role":"user","content":"Q"}],"image":"a.png"}`,
			Record{ID: "x", Images: []string{a}, Messages: []Message{{"system", []Part{{Text: "S"}}}, {"user", []Part{{Image: a}, {Text: "Q"}}}}}},
		{"a prompt in words", Options{}, `{"id":"x","prompt":"p","question":"Q"}`, Record{ID: "x", Question: "Q", Extra: extra(`{"prompt":"p"}`)}},
		{"a response beside", Options{}, `{"id":"x","messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"R"}],"response":"other"}`,
			Record{ID: "x", Messages: user(Part{Text: "Q"}), Response: "other"}},

		{"conversations", Options{Want: WantGold | WantResponse}, `{"id":1,"image":"a.png","accu_reward_method":"mcq","conversations":[{"from":"human","value":"<image>Q"},{"from":"gpt","value":"B"}]}`,
			Record{ID: "1", Images: []string{a}, Messages: user(Part{Image: a}, Part{Text: "Q"}), Gold: "B", Response: "B", Type: "mcq", Extra: extra(`{"accu_reward_method":"mcq"}`)}},
		{"conversations with tags", Options{Type: "math"}, `{"id":1,"accu_reward_method":"default","conversations":[{"from":"human","value":"Q"},{"from":"gpt","value":"<think>t</think><answer> 4 </answer>"}]}`,
			Record{ID: "1", Messages: user(Part{Text: "Q"}), Gold: "4", Response: "<think>t</think><answer> 4 </answer>", Type: "math", Extra: extra(`{"accu_reward_method":"default"}`)}},
		{"conversations with gt", Options{}, `{"id":1,"gt":"5","conversations":[{"from":"human","value":"Q"},{"from":"gpt","value":"R"}]}`,
			Record{ID: "1", Messages: user(Part{Text: "Q"}), Gold: "5", Response: "R"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := d.one(t, tt.o, tt.line+"\n")
			tt.want.File, tt.want.Line = d.path("d.jsonl"), 1
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tt.line, diff)
			}
			array := d.one(t, tt.o, "[\n"+tt.line+"\n]")
			tt.want.Line = 2
			if tt.want.ID == "d.jsonl:1" {
				tt.want.ID = "d.jsonl:2"
			}
			if diff := cmp.Diff(&tt.want, array); diff != "" {
				t.Errorf("in an array (-want +got):\n%s", diff)
			}
		})
	}
}

func extra(s string) map[string]json.RawMessage {
	m := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		panic(err)
	}
	return m
}

// Bad lines: what is said of each, and under which reason it is counted.
func TestProblems(t *testing.T) {
	d := newFolder(t)
	gold, sft := Options{Want: WantGold, Types: types}, Options{Want: WantResponse}
	user := func(content string) string {
		return `{"id":"x","messages":[{"role":"user","content":` + content + `}]}`
	}
	tests := []struct {
		name   string
		o      Options
		line   string
		reason string
		want   string // in the error
	}{
		{"cut off", gold, `{"id":"x","question":"Q`, badJSON, `record "x": the record ends in its middle, near`},
		{"no JSON", gold, `hello`, badJSON, "not JSON at byte 1"},
		{"a comma missing", gold, `{"id":"x","question":"Q" "gt":1}`, badJSON, `record "x": not JSON at byte 26 of the record, near "`},
		{"single quotes", gold, `{'id':'x'}`, badJSON, "JSON has double quotes only"},
		{"NaN", gold, `{"id":"x","meta":{"ppl":NaN}}`, badJSON, "JSON has neither NaN nor Infinity: write null"},
		{"-Infinity", gold, `{"id":"x","meta":{"ppl":-Infinity}}`, badJSON, "JSON has neither NaN nor Infinity: write null"},
		{"a LaTeX backslash", gold, `{"id":"x","question":"\sqrt"}`, badJSON, `a backslash is written \\`},
		{"a tab in a string", gold, "{\"id\":\"x\",\"question\":\"a\tb\"}", badJSON, "not JSON at byte 24"},
		{"a comma behind", gold, `{"id":"x","question":"Q"},`, badJSON, "no comma stands behind a record"},
		{"two on a line", gold, `{"id":"x","question":"Q"} {"id":"y","question":"Q"}`, badJSON, "want one JSON object a record"},
		{"deeply nested", gold, `{"id":"x","question":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, badJSON, "max depth"},
		{"not UTF-8", gold, "{\"id\":\"x\",\"question\":\"caf\xe9\"}", badUTF8, `record "x": byte 26 of the record is not UTF-8, near "`},
		{"a number", gold, `17`, badKind, "the record is a number, 17: want a JSON object"},
		{"a string", gold, `"x"`, badKind, `the record is a string, "x": want a JSON object`},
		{"a key twice", gold, `{"id":"x","gt":"A","gt":"B"}`, badKey, `record "x": the key "gt" occurs twice`},
		{"a key twice, escaped", gold, `{"id":"x","gt":"A","g\u0074":"B"}`, badKey, `the key "gt" occurs twice`},
		{"a key twice, of many", gold, `{"id":"x",` + manyKeys(40) + `"k3":1}`, badKey, `the key "k3" occurs twice`},
		{"a long value", gold, `{"id":"x","question":[ "` + strings.Repeat("é", 60) + `" ]}`, badKind, `question is an array, [ "` + strings.Repeat("é", 38) + "...: want a string"},
		{"a long name", gold, `{"id":"` + strings.Repeat("x", 200) + `","gt":1}`, badRecord, `record "` + strings.Repeat("x", 80) + `"...: the record has no question`},
		{"a long line in another script", gold, `{"id":"x","question":"` + strings.Repeat("é", 60) + "\x01" + strings.Repeat("日", 60) + `"}`, badJSON, `near "éééééééééé\x01日日日日日日日": invalid`},
		{"an id behind what is wrong", gold, `{"question":"Q",,"id":"x"}`, badJSON, `:3: not JSON at byte 17`},
		{"a long id before it", gold, `{"id":["` + strings.Repeat("x", 5000) + `"],,}`, badJSON, `:3: not JSON at byte`},
		{"a number before it", gold, `{"id":12,,}`, badJSON, `record "12": not JSON`},
		{"id", gold, `{"id":{},"question":"Q"}`, badKind, "id is an object, {}: want a string or a number"},
		{"no question", gold, `{"id":"x","gt":1}`, badRecord, "the record has no question: want the key question, messages or conversations"},
		{"an empty question", gold, `{"id":"x","question":" \n"}`, badRecord, "the question is empty"},
		{"only a placeholder", gold, `{"id":"x","question":"<image>","image":"a.png"}`, badRecord, "the question is empty"},
		{"question of the wrong type", gold, `{"id":"x","question":["Q"]}`, badKind, `question is an array, ["Q"]: want a string`},
		{"question and problem", gold, `{"id":"x","question":"Q","problem":"P"}`, badRecord, "the record has question and problem: want one of them"},
		{"question and messages", gold, `{"id":"x","question":"Q","messages":[]}`, badRecord, "the record has question and messages: want one of them"},
		{"messages and conversations", gold, `{"id":"x","messages":[],"conversations":[]}`, badRecord, "messages and conversations"},
		{"messages and prompt", gold, `{"id":"x","messages":[],"prompt":[]}`, badRecord, "messages and prompt"},

		{"no gt", gold, `{"id":"x","question":"Q","verifier_type":"mcq"}`, badGold, "no gold answer: want the key gt"},
		{"gt null", gold, `{"id":"x","question":"Q","verifier_type":"mcq","gt":null}`, badGold, "no gold answer"},
		{"gt empty", gold, `{"id":"x","question":"Q","verifier_type":"mcq","gt":" "}`, badGold, `the gold answer " " is empty`},
		{"gt only Output", gold, `{"id":"x","question":"Q","verifier_type":"math","gt":"Output 1:"}`, badGold, "is empty"},
		{"gt an object", gold, `{"id":"x","question":"Q","verifier_type":"mcq","gt":{"a":1}}`, badGoldKind, `gt is an object, {"a":1}: want a string or a number`},
		{"gt a boolean", gold, `{"id":"x","question":"Q","verifier_type":"mcq","gt":true}`, badGoldKind, "gt is a boolean, true: want a string or a number"},
		{"gt an array", gold, `{"id":"x","question":"Q","verifier_type":"mcq","gt":["A"]}`, badGoldKind, `gt is an array, ["A"]`},
		{"answer an array", gold, `{"id":"x","question":"Q","verifier_type":"mcq","answer":["A"]}`, badGoldKind, `answer is an array, ["A"]`},
		{"a box of three", gold, `{"id":"x","question":"Q","verifier_type":"iou","gt":[1,2,3]}`, badGoldKind, "gt has 3 numbers: a box is four"},
		{"a box of words", gold, `{"id":"x","question":"Q","verifier_type":"iou","gt":[1,2,"3",4]}`, badGoldKind, `gt[2] is "3": a box is four numbers`},
		{"no type", gold, `{"id":"x","question":"Q","gt":1}`, noType, "no verifier_type: want digit, iou, math, mcq, open_ended, or give one"},
		{"an empty type", gold, `{"id":"x","question":"Q","gt":1,"verifier_type":""}`, noType, "the verifier_type is empty"},
		{"a type that is none", gold, `{"id":"x","question":"Q","gt":1,"verifier_type":"mqc"}`, badType, `the verifier_type "mqc" is unknown: want digit, iou, math, mcq, open_ended`},
		{"a type of the wrong type", gold, `{"id":"x","question":"Q","gt":1,"verifier_type":3}`, badKind, "verifier_type is a number, 3: want a string"},
		{"a method that is no type", gold, `{"id":"x","conversations":[{"from":"human","value":"Q"},{"from":"gpt","value":"R"}],"accu_reward_method":"od_ap"}`, noType, `its accu_reward_method "od_ap" is none`},
		{"a tagged answer is no gold", gold, `{"id":"x","question":"Q","verifier_type":"mcq","answer":"<answer>B</answer>"}`, badGold, "no gold answer"},

		{"a type without a list", Options{Want: WantGold}, `{"id":"x","question":"Q","gt":1}`, noType, "no verifier_type: want one, or give one for all records without"},
		{"no response", sft, `{"id":"x","question":"Q","gt":1}`, badResponse, "no response: want the key response, answer (with <think> and <answer>) or ds_answer"},
		{"a bare answer", sft, `{"id":"x","question":"Q","answer":"B"}`, badResponse, `the answer "B" has neither <think> nor <answer>`},
		{"response of the wrong type", sft, `{"id":"x","question":"Q","response":3}`, badKind, "response is a number, 3: want a string"},
		{"ds_answer without thinking", sft, `{"id":"x","question":"Q","ds_answer":"It is 3."}`, badResponse, "ds_answer has no </think>"},
		{"ds_answer without answer", sft, `{"id":"x","question":"Q","ds_answer":"<think>t</think> "}`, badResponse, "ds_answer has no answer behind its </think>"},
		{"ds_answer of the wrong type", sft, `{"id":"x","question":"Q","ds_answer":1}`, badKind, "ds_answer is a number, 1: want a string"},
		{"a meta that cannot be read", sft, `{"id":"x","question":"Q","meta":"{'a': f()}"}`, badResponse, `meta is a string and cannot be read: not a Python dict at byte 7: "f(" is no value`},
		{"a key of meta twice", sft, `{"id":"x","question":"Q","meta":{"ds_answer":"a","ds_answer":"b"}}`, badKey, `the key "ds_answer" occurs twice`},
		{"no last message", sft, user(`"Q"`), badResponse, "its last message is not the assistant's"},

		{"options", gold, `{"id":"x","question":"Q","options":"A B"}`, badKind, `options is a string, "A B": want an array, or an object`},
		{"an option", gold, `{"id":"x","question":"Q","options":["A",null]}`, badKind, "options[1] is null, null: want a string or a number"},
		{"an option of an object", gold, `{"id":"x","question":"Q","options":{"A":[]}}`, badKind, "options.A is an array, []: want a string or a number"},
		{"an option twice", gold, `{"id":"x","question":"Q","options":{"A":"1","A":"2"}}`, badKey, `the key "A" occurs twice`},
		{"a letter twice", gold, `{"id":"x","question":"Q","options":{"A":"1","a":"2"}}`, badKey, `the option "a" occurs twice`},
		{"letters missing", gold, `{"id":"x","question":"Q","options":{"A":"1","C":"2"}}`, badOptions, "the options have no B"},
		{"too many options", gold, `{"id":"x","question":"Q","options":[` + strings.Repeat("1,", 26) + `1]}`, badOptions, "27 options"},
		{"image_size", Options{}, `{"id":"x","question":"Q","image_size":[3]}`, badKind, "image_size is [3]: want [height, width] in pixels"},
		{"image_size of 3", Options{}, `{"id":"x","question":"Q","image_size":[3,4,3]}`, badKind, "image_size is [3,4,3]"},
		{"resized_size of 0", Options{}, `{"id":"x","question":"Q","resized_size":[0,4]}`, badKind, "resized_size is [0,4]"},
		{"resized_size in words", Options{}, `{"id":"x","question":"Q","resized_size":"3x4"}`, badKind, `resized_size is "3x4"`},

		{"image of the wrong type", gold, `{"id":"x","question":"Q","image":3}`, badKind, "image is a number, 3: want the path of a picture, or an array of paths"},
		{"images of the wrong type", gold, `{"id":"x","question":"Q","images":[{"bytes":"x"}]}`, badKind, "images[0] is an object"},
		{"image and images", gold, `{"id":"x","question":"Q","image":"a.png","images":["a.png"]}`, badKind, "image and images"},
		{"an empty name", gold, `{"id":"x","question":"Q","image":""}`, badKind, "the name of the picture is empty"},
		{"missing", gold, `{"id":"x","question":"Q","image":"b.png"}`, badImage, `record "x": the picture "b.png" is missing: it is not in ` + string(d) + " or " + d.path("images")},
		{"missing, absolute", gold, `{"id":"x","question":"Q","image":"/etc/passwd"}`, badImage, `the picture "/etc/passwd" is missing`},
		{"below a file", gold, `{"id":"x","question":"Q","image":"a.png/b"}`, badImage, "is missing"},
		{"upwards", gold, `{"id":"x","question":"Q","image":"../c.png"}`, badPath, `the picture "../c.png" goes upwards with ..`},
		{"upwards within", gold, `{"id":"x","question":"Q","image":"sub/../a.png"}`, badPath, "goes upwards"},
		{"the folder", gold, `{"id":"x","question":"Q","image":"/"}`, badPath, "is outside of"},
		{"a folder", gold, `{"id":"x","question":"Q","image":"sub"}`, badRegular, "is a folder: name a picture's file"},
		{"a zero byte", gold, `{"id":"x","question":"Q","image":"a.png\u0000"}`, badPath, "zero byte"},
		{"http", gold, `{"id":"x","question":"Q","image":"https://example.com/a.png"}`, badURL, `the picture "https://example.com/a.png" is a URL`},
		{"data", gold, user(`[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]`), badURL, "is a URL, and pictures are read from folders only"},
		{"file", gold, user(`[{"type":"image","image":"file:///etc/passwd"}]`), badURL, "is a URL"},

		{"messages of the wrong type", gold, `{"id":"x","messages":"Q"}`, badMessages, `messages is a string, "Q": want an array of messages`},
		{"a message", gold, `{"id":"x","messages":["Q"]}`, badMessages, `messages[0] is a string, "Q": want an object with role and content`},
		{"no messages", gold, `{"id":"x","messages":[]}`, badMessages, "no message of the user"},
		{"only the system", gold, `{"id":"x","messages":[{"role":"system","content":"S"}]}`, badMessages, "no message of the user"},
		{"only the assistant", gold, `{"id":"x","conversations":[{"from":"gpt","value":"S"}]}`, badMessages, "no message of the user"},
		{"two responses", gold, `{"id":"x","messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"1"},{"role":"assistant","content":"2"}]}`, badMessages, "no message of the user before"},
		{"the system second", gold, `{"id":"x","messages":[{"role":"user","content":"Q"},{"role":"system","content":"S"}]}`, badMessages, "messages[1] is the system's: it must be the first"},
		{"no role", gold, `{"id":"x","messages":[{"content":"Q"}]}`, badMessages, "messages[0] has no role"},
		{"a role", gold, `{"id":"x","messages":[{"role":"tool","content":"Q"}]}`, badMessages, `messages[0] has the role "tool": want system, user or assistant`},
		{"role and from", gold, `{"id":"x","messages":[{"role":"user","from":"user","content":"Q"}]}`, badMessages, "role and from"},
		{"content and value", gold, `{"id":"x","messages":[{"role":"user","value":"Q","content":"Q"}]}`, badMessages, "content and value"},
		{"a key of a message twice", gold, `{"id":"x","messages":[{"role":"user","content":"Q","content":"R"}]}`, badKey, `the key "content" occurs twice`},
		{"a tool call", gold, `{"id":"x","messages":[{"role":"assistant","tool_calls":[{}],"content":"Q"}]}`, badMessages, "calls tools"},
		{"no content", gold, `{"id":"x","messages":[{"role":"user","content":null}]}`, badMessages, "messages[0] has no content"},
		{"content of the wrong type", gold, user(`3`), badMessages, "has a number as content"},
		{"empty content", gold, user(`" "`), badMessages, "messages[0] is empty"},
		{"no parts", gold, user(`[]`), badMessages, "messages[0] is empty"},
		{"a part", gold, user(`[3]`), badMessages, "messages[0].content[0] is a number, 3: want an object"},
		{"a part's type", gold, user(`[{"type":"video","video":"v"}]`), badMessages, `has the type "video": want text, image or image_url`},
		{"no part's type", gold, user(`[{}]`), badMessages, `has the type ""`},
		{"a part's type of the wrong type", gold, user(`[{"type":1}]`), badKind, "messages[0].content[0].type is a number"},
		{"text without text", gold, user(`[{"type":"text"}]`), badMessages, "messages[0].content[0] has no text"},
		{"text of the wrong type", gold, user(`[{"type":"text","text":1}]`), badKind, "messages[0].content[0].text is a number"},
		{"a picture of the wrong type", gold, user(`[{"type":"image","image":1}]`), badKind, "messages[0].content[0].image is a number"},
		{"a picture without a name", gold, user(`[{"type":"image"}]`), badMessages, "a place for a picture and names none: name it in image or images"},
		{"a place without a picture", gold, user(`"<image>Q"`), badMessages, "the record has a place for a picture and names none"},
		{"a question's place without a picture", gold, `{"id":"x","question":"What does <image> mean?"}`, badMessages, `record "x": the record has a place for a picture and names none`},
		{"a question's place and no pictures", gold, `{"id":"x","question":"<image>Q","images":[]}`, badMessages, "an <image> that is no more than text belongs into messages, in a part of type text"},
		{"a picture without a place", gold, `{"id":"x","images":["a.png","c.png"],"messages":[{"role":"user","content":"<image>Q"}]}`, badMessages, "names 2 pictures and has places for 1"},
		{"more places than pictures", gold, `{"id":"x","images":["a.png"],"question":"<image> or <image>?"}`, badMessages, "a place for picture 2 and names 1"},
		{"a picture of the assistant", gold, `{"id":"x","messages":[{"role":"user","content":"Q"},{"role":"assistant","content":[{"type":"image","image":"a.png"}]}]}`, badMessages, "pictures stand in the messages of the user"},
	}
	good := `{"id":"good","question":"Q","gt":1,"verifier_type":"digit","response":"R"}`
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := d.open(t, tt.o, good+"\n\n"+tt.line+"\n")
			p, ok := err.(*Problem)
			if !ok || p.Line != 3 || p.File != d.path("d.jsonl") || p.Reason != tt.reason || !strings.Contains(p.Error(), tt.want) {
				t.Fatalf("error %v, reason %q; want line 3, reason %q, and %q", err, p.Reason, tt.reason, tt.want)
			}
			if !strings.HasPrefix(p.Error(), "data: "+p.File+":3: ") || len(p.Error()) > 700 {
				t.Errorf("the error is %q", p.Error())
			}
			tt.o.Skip = true
			s, report, err := d.open(t, tt.o, good+"\n"+tt.line+"\n"+strings.Replace(good, "good", "better", 1))
			if err != nil {
				t.Fatal(err)
			}
			if got := ids(t, s); got != "good better" || report.Records != 3 || report.Kept != 2 || report.Reasons[tt.reason] != 1 || report.Left() != 1 || report.Skipped[0].Line != 2 {
				t.Errorf("skipped: %q, %+v", got, report)
			}
		})
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"k%d":1,`, i)
	}
	return b.String()
}

func TestPlaceholders(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"How?\n<image1>", "How?"},
		{"How?\n<image1>\n<image2>", "How?"},
		{"How? <image1>", "How?"},
		{`How?\n<image1>`, "How?"},
		{"<image1>\nHow?", "How?"},
		{"Which is equal to <image1>", "Which is equal to <image1>"},
		{"Is 4 <image2>. Which?\n<image3>", "Is 4 <image2>. Which?"},
		{"<image1> and <image2> touch.", "<image1> and <image2> touch."},
		{"a < b", "a < b"},
		{"a <imagery>", "a <imagery>"},
		{"<image1>", ""},
		{"<image>How", "How"},
		{"How <image>", "How"},
		{"Is <image> it", "Is <image> it"},
	} {
		s := &slots{paths: []string{"p"}}
		if got := s.atEnds(tt.in); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
		if got := (&slots{}).atEnds(tt.in); got != tt.in {
			t.Errorf("without pictures %q becomes %q", tt.in, got)
		}
	}
}

func TestText(t *testing.T) {
	if got := (&Record{Question: "Q", Messages: []Message{}}).Text(); got != "Q" {
		t.Errorf("without messages: %q", got)
	}
	r := &Record{Messages: []Message{{"user", []Part{{Text: "1"}}}, {"assistant", []Part{{Text: "2"}}}, {"user", []Part{{Text: "3"}, {Image: "i"}, {Text: "4"}}}}}
	if got := r.Text(); got != "3\n4" {
		t.Errorf("%q", got)
	}
}

func TestPythonDict(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`{}`, `{}`},
		{` { } `, `{}`},
		{`{'a': 1, "b": -2.5e-05, 'c': True, 'd': False, 'e': None}`, `{"a":1,"b":-2.5e-05,"c":true,"d":false,"e":null}`},
		{`{'a': [1, (2, 3), {}, (), (1,)],}`, `{"a":[1,[2,3],{},[],[1]]}`},
		{`{'a': nan, 'b': inf, 'c': -inf}`, `{"a":null,"b":null,"c":null}`},
		{`{1: 'x', None: 'y', -2.5: 'z'}`, `{"1":"x","null":"y","-2.5":"z"}`},
		{`{'q': 'it\'s', 'r': "it's", 's': '"'}`, `{"q":"it's","r":"it's","s":"\""}`},
		{`{'e': '\\frac\n\t\r\x41\u00e9\U0001f600\101\0\a\b\f\v'}`, `{"e":"\\frac\n\t\rA\u00e9\ud83d\ude00A\u0000\u0007\b\f\u000b"}`},
		{`{'e': '\q\d'}`, `{"e":"\\q\\d"}`},
		{"{'e': 'a\\\nb'}", `{"e":"ab"}`},
		{"{'e': 'two\nlines'}", `{"e":"two\nlines"}`},
		{`{'é': '日本'}`, `{"é":"日本"}`},
	} {
		got, err := pythonDict(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		var x, want any
		if err := json.Unmarshal(got, &x); err != nil {
			t.Errorf("%s: %s: %v", tt.in, got, err)
		}
		if err := json.Unmarshal([]byte(tt.want), &want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, x); diff != "" {
			t.Errorf("%s: %s", tt.in, diff)
		}
	}
	for _, tt := range []struct{ in, want string }{
		{``, "not a Python dict"},
		{`[1]`, "not a Python dict"},
		{`{'a': 1`, "a comma or a bracket is missing"},
		{`{'a' 1}`, "a colon is missing"},
		{`{'a': 1 'b': 2}`, "a comma or a bracket is missing"},
		{`{'a': }`, `"" is no value`},
		{`{'a': __import__('os')}`, "is no value"},
		{`{'a': 1e}`, "is no value"},
		{`{'a': 'b}`, "a string has no end"},
		{`{'a': '\`, "a string has no end"},
		{`{'a': '\x4'}`, "is no escape"},
		{`{'a': '\U00110000'}`, "is no escape"},
		{`{'a': '\u12`, "a string ends in an escape"},
		{`{'a': 1, 'a': 2}`, `the key "a" occurs twice`},
		{`{'a': 1} x`, "text behind the dict"},
		{`{[]: 1}`, "a key is no string"},
		{`{[1]: 1}`, "nested deeper"},
		{`{'a': ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "nested deeper than 64"},
	} {
		if got, err := pythonDict(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %s, error %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

// Whatever the bytes, a record is read or refused with a fault that fits a line, and what is read is what stands there.
func FuzzRecord(f *testing.F) {
	for _, line := range []string{
		`{"id":"x","image":"a.png","question":"Q <image>","gt":3,"verifier_type":"digit","options":{"A":"1","B":"2"},"image_size":[1,2]}`,
		`{"id":"x","question":"Q","meta":"{'ds_answer': '<think>t</think> a', 'x': (1, None)}","gt":"Output 4: \\[y\\]"}`,
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"a.png"}},{"type":"text","text":"\ud83d\ude00"}]},{"role":"assistant","content":"R"}]}`,
		`{"id":7,"image":["/a.png"],"conversations":[{"from":"human","value":"<image>Q"},{"from":"gpt","value":"<answer>B</answer>"}],"accu_reward_method":"mcq"}`,
		`{"a":1,"a":2}`, "{\"a\":\"\xff\"}", `{"question":"\u00`, `[1,2]`, `"x`, `{"gt":NaN}`,
	} {
		f.Add([]byte(line), uint8(3))
	}
	d := newFolder(f)
	r, err := openRoot(d.path("images"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { r.Close() })
	f.Fuzz(func(t *testing.T, line []byte, want uint8) {
		if line = []byte(strings.TrimSpace(string(line))); len(line) == 0 {
			return
		}
		p := &parser{Options: &Options{Want: Want(want & 3), Types: types}, file: "d.jsonl", roots: roots{r}}
		got, err := p.parse(slices.Clone(line), 5)
		if err != nil {
			if x, ok := asFault(err); !ok || x.reason == "" || len(err.Error()) > 1000 {
				t.Fatalf("%q: error %v", line, err)
			}
			return
		}
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%q is read, and is not JSON: %v", line, err)
		}
		if id, ok := m["id"].(string); ok && id != "" && got.ID != id {
			t.Errorf("%q has the id %q", line, got.ID)
		}
		for _, path := range got.Images {
			if path != d.path("images/a.png") && path != d.path("images/sub/b.png") {
				t.Errorf("%q has the picture %s", line, path)
			}
		}
		if got.Text() == "" && len(got.Images) == 0 || p.Want&WantResponse != 0 && got.Response == "" || p.Want&WantGold != 0 && (got.Gold == "" || !slices.Contains(types, got.Type)) {
			t.Errorf("%q gives %+v", line, got)
		}
		for k, v := range got.Extra {
			if !json.Valid(v) {
				t.Errorf("%q has %s: %s", line, k, v)
			}
		}
	})
}

// Strings say what encoding/json says of them.
func FuzzText(f *testing.F) {
	for _, s := range []string{`""`, `"a\"b\\"`, `"\u0041\ud83d\ude00\ud83d\ud83d\ude00\udE00x\ud800\u0041"`, `"\/\b\f\n\r\t"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		if len(v) == 0 || v[0] != '"' || checkJSON(v) != nil || v[len(v)-1] != '"' {
			return
		}
		var want string
		if err := json.Unmarshal(v, &want); err != nil {
			t.Fatal(err)
		}
		if got := text(v); got != want {
			t.Errorf("%s: %q, want %q", v, got, want)
		}
		if end := valueEnd(v, 0); end != len(v) {
			t.Errorf("%s ends at %d", v, end)
		}
	})
}

func FuzzPythonDict(f *testing.F) {
	f.Add(`{'a': [1, (2, None)], "b": '\x41\'\u00e9', 3: {True: -1.5e3}}`)
	f.Add(`{'a': '\`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := pythonDict(s)
		if err == nil && !json.Valid(got) {
			t.Errorf("%q gives %s", s, got)
		}
	})
}
