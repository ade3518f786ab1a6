package tokenizer_test

import (
	"fmt"
	"log"
	"os"
	"slices"

	"github.com/thinker-vl/thinker/engine/tokenizer"
)

func Example() {
	dir, err := smallTokenizer()
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	tok, err := tokenizer.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	ids := tok.Encode("hello<|im_end|>")
	fmt.Println(ids)
	fmt.Println(tok.Decode(ids, false))
	fmt.Println(tok.Decode(ids, true))
	// Output:
	// [259 261]
	// hello<|im_end|>
	// hello
}

func ExampleDecoder() {
	dir, err := smallTokenizer()
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	tok, err := tokenizer.Load(dir)
	if err != nil {
		log.Fatal(err)
	}
	decoder := tok.NewDecoder(true)
	for _, id := range tok.Encode("hé!") {
		fmt.Printf("%q ", decoder.Next(id))
	}
	fmt.Printf("%q\n", decoder.Flush())
	// Output: "h" "" "é" "!" ""
}

func ExampleTrain() {
	texts := []string{"hello world", "hello there", "a whole world"}
	tok, err := tokenizer.Train(slices.Values(texts), tokenizer.TrainOptions{VocabSize: 264})
	if err != nil {
		log.Fatal(err)
	}
	for id := int32(256); id < 265; id++ {
		token, _ := tok.Token(id)
		fmt.Print(token, " ")
	}
	fmt.Println(tok.Encode("hello<|im_end|>"))
	// Output: he Ġw ld ll or hell Ġwor hello <|endoftext|> [263 266]
}

// smallTokenizer writes a folder with the 256 bytes, four merges and one added
// token.
func smallTokenizer() (string, error) {
	dir, err := os.MkdirTemp("", "tokenizer")
	if err != nil {
		return "", err
	}
	vocab := ""
	id, other := 0, rune(0x100)
	for b := rune(0); b < 256; b++ {
		r := b
		if b <= ' ' || b >= 0x7F && b <= 0xA0 || b == 0xAD {
			r = other
			other++
		}
		vocab += fmt.Sprintf("%q: %d, ", string(r), id)
		id++
	}
	files := map[string]string{
		"vocab.json":            "{" + vocab + `"he": 256, "ll": 257, "llo": 258, "hello": 259, "wor": 260}`,
		"merges.txt":            "h e\nl l\nll o\nhe llo\n",
		"tokenizer_config.json": `{"added_tokens_decoder": {"261": {"content": "<|im_end|>", "special": true}}}`,
	}
	for name, content := range files {
		if err := os.WriteFile(dir+"/"+name, []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}
