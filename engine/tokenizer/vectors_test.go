package tokenizer

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vectors are published: the first three in Hugging Face transformers
// (test_tokenization_qwen2.py), the rest in llama.cpp (ggml-vocab-qwen2.gguf.inp
// and .out).
var vectors = []struct {
	text string
	ids  []int32
}{
	{"Transformers (formerly known as pytorch-transformers and pytorch-pretrained-bert) provides general-purpose architectures (BERT, GPT-2, RoBERTa, XLM, DistilBert, XLNet...) for Natural Language Understanding (NLU) and Natural Language Generation (NLG) with over 32+ pretrained models in 100+ languages and deep interoperability between Jax, PyTorch and TensorFlow.", []int32{
		8963, 388, 320, 69514, 3881, 438, 4510, 27414, 32852, 388, 323, 4510, 27414, 21334, 35722, 1455, 529, 8,
		5707, 4586, 58238, 77235, 320, 61437, 11, 479, 2828, 12, 17, 11, 11830, 61437, 64, 11, 1599, 10994,
		11, 27604, 321, 33, 529, 11, 29881, 6954, 32574, 369, 18448, 11434, 45451, 320, 45, 23236, 8, 323,
		18448, 11434, 23470, 320, 30042, 38, 8, 448, 916, 220, 18, 17, 10, 80669, 4119, 304, 220, 16,
		15, 15, 10, 15459, 323, 5538, 94130, 2897, 1948, 619, 706, 11, 5355, 51, 21584, 323, 94986, 13,
	}},
	{"🤗 Transformers 提供了可以轻松地下载并且训练先进的预训练模型的 API 和工具。使用预训练模型可以减少计算消耗和碳排放，并且节省从头训练所需要的时间和资源。", []int32{
		144834, 80532, 93685, 83744, 34187, 73670, 104261, 29490, 62189, 103937, 104034, 102830, 98841, 104034, 104949, 9370, 5333, 58143,
		102011, 1773, 37029, 98841, 104034, 104949, 73670, 101940, 100768, 104997, 33108, 100912, 105054, 90395, 100136, 106831, 45181, 64355,
		104034, 113521, 101975, 33108, 85329, 1773,
	}},
	{"```python\ntokenizer = AutoTokenizer.from_pretrained(\"Qwen/Qwen-tokenizer\")\ntokenizer(\"世界，你好！\")```", []int32{
		73594, 12669, 198, 85593, 284, 8979, 37434, 6387, 10442, 35722, 445, 48, 16948, 45274, 16948, 34841, 3135, 1138,
		85593, 445, 99489, 3837, 108386, 6313, 899, 73594,
	}},
	{"ied 4 ½ months", []int32{1122, 220, 19, 220, 26062, 3951}},
	{"Führer", []int32{37, 50753, 261}},
	{" ", []int32{220}},
	{"  ", []int32{256}},
	{"   ", []int32{262}},
	{"\t", []int32{197}},
	{"\n", []int32{198}},
	{"\n\n", []int32{271}},
	{"\n\n\n", []int32{1406}},
	{"\t\n", []int32{1572}},
	{"Hello world", []int32{9707, 1879}},
	{" Hello world", []int32{21927, 1879}},
	{" this is 🦙.cpp", []int32{419, 374, 11162, 99, 247, 13, 10821}},
	{"w048 7tuijk dsdfhu", []int32{86, 15, 19, 23, 220, 22, 83, 1963, 41808, 11472, 2940, 16739}},
	{"нещо на Български", []int32{78762, 14144, 1456, 13073, 63471, 33594, 3038, 133178, 79012}},
	{"    Hello\n    Hello", []int32{262, 21927, 198, 262, 21927}},
	{"\n =", []int32{198, 284}},
	{"' era", []int32{6, 11385}},
	{"Hello, y'all! How are you 😁 ?我想在apple工作1314151天～", []int32{
		9707, 11, 379, 64848, 0, 2585, 525, 498, 26525, 223, 937, 104100, 18493, 22377, 99257, 16, 18, 16,
		19, 16, 20, 16, 35727, 21216,
	}},
	{"333333333", []int32{18, 18, 18, 18, 18, 18, 18, 18, 18}},
	{"\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n🚀 (normal)", []int32{198, 4710, 14731, 65497, 7847, 1572, 2303, 78672, 10947, 145836, 320, 8252, 8}},
}

// fragments are what prompts and answers of a reasoning model are made of.
var fragments = []struct {
	name string
	text string
	ids  []int32
}{
	{"picture label", "Picture 1: ", []int32{24669, 220, 16, 25, 220}},
	{"boxed answer", `\boxed{12}`, []int32{59, 79075, 90, 16, 17, 92}},
	{"think tags", "<think>\n</think>\n<answer>", []int32{13708, 766, 397, 522, 26865, 397, 27, 9217, 29}},
	{"NFC", "e\u0301 vs é", []int32{963, 6165, 3958}},
	{"line end and tab", "100%\r\n\t x", []int32{16, 15, 15, 46556, 197, 856}},
	{"no-break space", "a\u00A0b", []int32{64, 4102, 65}},
	{"merges that begin with #", "#include <stdio.h>\n#define X 1\n## Title", []int32{1067, 366, 10345, 860, 397, 1441, 1599, 220, 16, 198, 565, 10869}},
	{"digits one by one", "333333333", []int32{18, 18, 18, 18, 18, 18, 18, 18, 18}},
	{"spaces", "   ", []int32{262}},
	{"newlines", "\n\n\n", []int32{1406}},
	{"leading space", " Hello world", []int32{21927, 1879}},
	{"system prompt of VLAA-Thinker", "You are VL-Thinking🤔, a helpful assistant with excellent reasoning ability. A user asks you a question, and you should try to solve it. You should first think about the reasoning process in the mind and then provides the user with the answer. The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>", []int32{
		2610, 525, 60222, 70526, 15736, 144927, 11, 264, 10950, 17847, 448, 9073, 32711, 5726, 13, 362, 1196, 17064,
		498, 264, 3405, 11, 323, 498, 1265, 1430, 311, 11625, 432, 13, 1446, 1265, 1156, 1744, 911, 279,
		32711, 1882, 304, 279, 3971, 323, 1221, 5707, 279, 1196, 448, 279, 4226, 13, 576, 32711, 1882, 323,
		4226, 525, 43810, 2878, 366, 26865, 29, 690, 26865, 29, 323, 366, 9217, 29, 690, 9217, 29, 9492,
		11, 15576, 11, 600, 1734, 2572, 366, 26865, 29, 32711, 1882, 1588, 690, 26865, 29, 366, 9217, 29,
		4226, 1588, 690, 9217, 29,
	}},
}

func TestVectors(t *testing.T) {
	tok := released(t)
	for _, test := range vectors {
		check(t, tok, test.text, test.ids)
	}
	for _, test := range fragments {
		t.Run(test.name, func(t *testing.T) { check(t, tok, test.text, test.ids) })
	}
}

// check compares the ids of a text without added tokens, and the way back.
func check(t *testing.T, tok *Tokenizer, text string, want []int32) {
	t.Helper()
	if diff := cmp.Diff(want, tok.Encode(text)); diff != "" {
		t.Errorf("Encode(%q): (-want +got)\n%s", text, diff)
	}
	if diff := cmp.Diff(want, tok.EncodeOrdinary(text)); diff != "" {
		t.Errorf("EncodeOrdinary(%q): (-want +got)\n%s", text, diff)
	}
	if got, want := tok.Decode(want, true), tok.normalizer.string(text); got != want {
		t.Errorf("Decode(%v) = %q, want %q", want, got, want)
	}
}
