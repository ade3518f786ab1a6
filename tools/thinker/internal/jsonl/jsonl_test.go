package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestReader(t *testing.T) {
	long := strings.Repeat("x", 5<<20)
	tests := []struct {
		name, in string
		want     []string
		lines    []int
	}{
		{"empty", "", nil, nil},
		{"one", "{}\n", []string{"{}"}, []int{1}},
		{"no newline at the end", "a\nb", []string{"a", "b"}, []int{1, 2}},
		{"blank lines", "\n \t\na\n\n\r\nb\n\n", []string{"a", "b"}, []int{3, 6}},
		{"carriage returns", "a\r\nb\r\n", []string{"a", "b"}, []int{1, 2}},
		{"byte order mark", "\xef\xbb\xbfa\n\xef\xbb\xbfb\n", []string{"a", "\xef\xbb\xbfb"}, []int{1, 2}},
		{"five megabytes", long + "\n" + long + "y", []string{long, long + "y"}, []int{1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// One byte at a time at the edges of the buffer is what pipes do.
			r := NewReader(io.MultiReader(strings.NewReader(tt.in[:len(tt.in)/3]), strings.NewReader(tt.in[len(tt.in)/3:])), "f")
			for i, want := range tt.want {
				got, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != want {
					t.Errorf("line %d has %d bytes, want %d", i, len(got), len(want))
				}
				if r.Line() != tt.lines[i] {
					t.Errorf("line %d is number %d, want %d", i, r.Line(), tt.lines[i])
				}
			}
			if _, err := r.Next(); err != io.EOF {
				t.Errorf("after the last line: %v", err)
			}
		})
	}
}

type zeros struct{ read int }

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.read += len(p)
	return len(p), nil
}

func TestReaderEndless(t *testing.T) {
	z := &zeros{}
	_, err := NewReader(z, "zero").Next()
	var e *Error
	if !errors.As(err, &e) || e.Line != 1 || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("an endless line: %v", err)
	}
	if z.read > 2*MaxLine {
		t.Errorf("%d bytes were read", z.read)
	}
}

func TestReaderError(t *testing.T) {
	broken := errors.New("broken pipe")
	r := NewReader(io.MultiReader(strings.NewReader("a\nb"), &failing{broken}), "f")
	r.Next()
	if _, err := r.Next(); !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "f:2: ") {
		t.Errorf("error of the reader below: %v", err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// TestSurrogates has escapes that are whole, or none.
func TestSurrogates(t *testing.T) {
	for _, in := range []string{`{"a": "\ud83d\ude00"}`, `{"a": "\\ud83d"}`, `{"a": "\u00e9\uD83D\uDE00\ud83d\ude00"}`, `{"a": "\ufffd"}`} {
		if _, err := Parse([]byte(in)); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestParseErrors(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"cut short", `{"a": [1, 2`, "at byte 11"},
		{"no JSON", `hello`, "hello"},
		{"two values", `{} {}`, "not JSON"},
		{"an array", `[1]`, "want a JSON object"},
		{"a number", `7`, "want a JSON object"},
		{"twice", `{"a": 1, "b": 2, "a": 3}`, `"a" occurs twice`},
		{"not UTF-8", "{\"a\": \"\xff\"}", "not UTF-8 at byte 7"},
		{"not a number", `{"a": NaN}`, "at byte 7"},
		{"high surrogate", `{"a": ["x", "\\\ud83dx"]}`, `\ud83d`},
		{"low surrogate", `{"a": "\udE00"}`, `\udE00`},
		{"two high surrogates", `{"a": "\ud83d\ud83d\ude00"}`, `\ud83d`},
		{"long", `{"` + strings.Repeat("é", 1000), "..."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse([]byte(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestObject(t *testing.T) {
	o, err := Parse([]byte(` {"s": "a\u00e9\n", "b": true, "ids": [ 1, 0 ,2147483647], "strings": ["x", ""], "none": null, "n": 1, "S": 2, "e": [], "nested": {"s": 1}} `))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := o.String("s"); s != "aé\n" || err != nil {
		t.Errorf("String: %q, %v", s, err)
	}
	if b, err := o.Bool("b"); !b || err != nil {
		t.Errorf("Bool: %v, %v", b, err)
	}
	if ids, err := o.IDs("ids"); !slices.Equal(ids, []int32{1, 0, math.MaxInt32}) || err != nil {
		t.Errorf("IDs: %v, %v", ids, err)
	}
	if ids, err := o.IDs("e"); ids == nil || len(ids) != 0 || err != nil {
		t.Errorf("IDs of nothing: %v, %v", ids, err)
	}
	if s, err := o.Strings("strings"); !slices.Equal(s, []string{"x", ""}) || err != nil {
		t.Errorf("Strings: %q, %v", s, err)
	}
	if o.Has("none") || o.Has("absent") || !o.Has("S") || !o.Has("s") {
		t.Error("Has: null and absent keys are not there, and keys are told apart by case")
	}
	errs := []struct {
		name string
		err  error
		want string
	}{
		{"string", second(o.String("n")), "n is 1, want a string"},
		{"string absent", second(o.String("absent")), "absent is missing"},
		{"bool", second(o.Bool("s")), `want true or false`},
		{"ids of a number", second(o.IDs("n")), "n is 1, want an array"},
		{"ids of strings", second(o.IDs("strings")), `strings[0] is "x"`},
		{"strings of numbers", second(o.Strings("ids")), "ids[0] is 1, want a string"},
		{"array of an object", second(o.Array("nested")), `nested is {"s": 1}, want an array`},
	}
	for _, e := range errs {
		if e.err == nil || !strings.Contains(e.err.Error(), e.want) {
			t.Errorf("%s: error %q, want %q in it", e.name, e.err, e.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestIDsErrors(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{`[1, 2.5]`, "ids[1] is 2.5"},
		{`[1e2]`, "ids[0] is 1e2"},
		{`[-1]`, "ids[0] is -1"},
		{`[2147483648]`, "ids[0] is 2147483648"},
		{`[99999999999999999999]`, "ids[0] is 99999999999999999999"},
		{`[1, true]`, "ids[1] is true"},
		{`[1, null]`, "ids[1] is null"},
		{`[1, [2]]`, "ids[1] is [2]"},
		{`[1, {"a": 2}]`, `ids[1] is {"a": 2}`},
		{`["5"]`, `ids[0] is "5"`},
		{`{}`, "ids is {}"},
		{`"1 2 3"`, `ids is "1 2 3"`},
	} {
		o, err := Parse([]byte(`{"ids": ` + tt.in + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.IDs("ids"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q in it", tt.in, err, tt.want)
		}
	}
}

func TestFloats(t *testing.T) {
	o, err := Parse([]byte(`{"x": [ 1, -0.5 ,1e-300,0 ], "e": [], "n": 2.5, "b": [1, 1e999], "s": ["1, 2"], "l": [1, [2]], "o": [{"a": 1}], "t": [true], "z": [null]}`))
	if err != nil {
		t.Fatal(err)
	}
	if x, err := o.Floats("x"); !slices.Equal(x, []float64{1, -0.5, 1e-300, 0}) || err != nil {
		t.Errorf("Floats: %v, %v", x, err)
	}
	if x, err := o.Floats("e"); x == nil || len(x) != 0 || err != nil {
		t.Errorf("Floats of nothing: %v, %v", x, err)
	}
	if x, err := o.Float("n"); x != 2.5 || err != nil {
		t.Errorf("Float: %v, %v", x, err)
	}
	for key, want := range map[string]string{"b": "b[1] is 1e999, want a finite number", "s": `s[0] is "1, 2", want a number`, "l": "l[1] is [2], want", "o": `o[0] is {"a": 1}, want`,
		"t": "t[0] is true", "z": "z[0] is null", "n": "n is 2.5, want an array of numbers", "absent": "absent is missing"} {
		if _, err := o.Floats(key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", key, err, want)
		}
	}
	if _, err := o.Float("x"); err == nil {
		t.Error("an array is a number")
	}
}

func TestAppendFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 20_000 {
		x := math.Float64frombits(r.Uint64())
		if i < 100 {
			x = float64(i - 50)
		}
		if math.IsNaN(x) || math.IsInf(x, 0) {
			continue
		}
		s := string(AppendFloat64(nil, x))
		back, err := strconv.ParseFloat(s, 64)
		if !json.Valid([]byte(s)) || !strings.ContainsAny(s, ".e") || err != nil || math.Float64bits(back) != math.Float64bits(x) {
			t.Fatalf("%v is written %q, which is %v, %v", x, s, back, err)
		}
	}
	if got := string(AppendFloat64s([]byte("x"), []float64{1, math.Copysign(0, -1)})) + string(AppendFloat64s(nil, nil)); got != "x[1.0, -0.0][]" {
		t.Error(got)
	}
}

func TestAppendFloat32(t *testing.T) {
	check := func(x float32) {
		t.Helper()
		s := string(AppendFloat32(nil, x))
		if !json.Valid([]byte(s)) || !strings.ContainsAny(s, ".e") {
			t.Fatalf("%x is written %q", math.Float32bits(x), s)
		}
		narrow, err := strconv.ParseFloat(s, 32)
		if err != nil || math.Float32bits(float32(narrow)) != math.Float32bits(x) {
			t.Fatalf("%x is written %q, which as 32 bits is %x", math.Float32bits(x), s, math.Float32bits(float32(narrow)))
		}
		wide, err := strconv.ParseFloat(s, 64)
		if err != nil || math.Float32bits(float32(wide)) != math.Float32bits(x) {
			t.Fatalf("%x is written %q, which as 64 bits and rounded is %x", math.Float32bits(x), s, math.Float32bits(float32(wide)))
		}
	}
	for _, x := range []float32{0, float32(math.Copysign(0, -1)), -1, 1, -12.317578, 16777216, 1e21, math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32,
		0x1p-126, 0x1.fffffep-127, -0x1p-149, 0.1, 1.0 / 3} {
		check(x)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		if x := math.Float32frombits(r.Uint32()); x == x && !math.IsInf(float64(x), 0) {
			check(x)
		}
		check(-30 * r.Float32()) // what log-probs are like
	}
}

func TestAppend(t *testing.T) {
	if got := string(AppendInt32s(nil, []int32{1, -2, 3})); got != "[1, -2, 3]" {
		t.Error(got)
	}
	if got := string(AppendFloat32s([]byte("x"), []float32{1, -0.5})); got != "x[1.0, -0.5]" {
		t.Error(got)
	}
	if got := string(AppendInt32s(nil, nil)) + string(AppendFloat32s(nil, nil)); got != "[][]" {
		t.Error(got)
	}
	for _, s := range []string{"", "a<b>&c", "\"\\\n\x00\u2028", "日本", "\U0001f44d"} {
		var back string
		b := AppendString(nil, s)
		if err := json.Unmarshal(b, &back); err != nil || back != s {
			t.Errorf("%q is written %s, which is %q, %v", s, b, back, err)
		}
		if bytes.Contains(b, []byte("\n")) || bytes.Contains(b, []byte(`\u003c`)) {
			t.Errorf("%q is written %s", s, b)
		}
	}
}

// FuzzParse holds Parse and the readers of values against encoding/json: what is accepted says the same there.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"messages": [{"role": "user", "content": "Hi"}], "completion_ids": [1, 2, 3]}`,
		`{"prompt_ids": [1,2 , 3], "images": ["a.png"], "x": null}`,
		`{"a": 1, "a": 2}`, `{"ids": [1e2, -0, 0.0, 2147483648, [1], "x"]}`, `{"`, ``, `[]`, `{"ids":[`, "{\"a\":\"\xff\"}", `{"ids": [00]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		o, err := Parse(line)
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatalf("accepted %q, which encoding/json refuses: %v", line, err)
		}
		if len(want) != len(o.keys) {
			t.Fatalf("%q has %d keys, want %d", line, len(o.keys), len(want))
		}
		o.Keys()
		for key, raw := range want {
			if ids, err := o.IDs(key); err == nil {
				var want []int32
				if err := json.Unmarshal(raw, &want); err != nil || !slices.Equal(ids, want) {
					t.Errorf("ids %v of %s, want %v, %v", ids, raw, want, err)
				}
			}
			if x, err := o.Floats(key); err == nil {
				var want []float64
				if err := json.Unmarshal(raw, &want); err != nil || !slices.Equal(x, want) {
					t.Errorf("floats %v of %s, want %v, %v", x, raw, want, err)
				}
			}
			if s, err := o.Strings(key); err == nil {
				var want []string
				if err := json.Unmarshal(raw, &want); err != nil || !slices.Equal(s, want) {
					t.Errorf("strings %q of %s, want %q, %v", s, raw, want, err)
				}
			}
			if s, err := o.String(key); err == nil {
				var want string
				if err := json.Unmarshal(raw, &want); err != nil || s != want {
					t.Errorf("string %q of %s, want %q, %v", s, raw, want, err)
				}
			}
			if b, err := o.Bool(key); err == nil && strconv.FormatBool(b) != string(raw) {
				t.Errorf("boolean %v of %s", b, raw)
			}
		}
	})
}

// FuzzReader checks that lines come out as they stand in the file, whatever is in them.
func FuzzReader(f *testing.F) {
	f.Add([]byte("a\n\nb\r\n\xef\xbb\xbfc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var want [][]byte
		for _, l := range bytes.Split(bytes.TrimPrefix(data, byteOrderMark), []byte("\n")) {
			if l = bytes.TrimSpace(l); len(l) > 0 {
				want = append(want, l)
			}
		}
		r := NewReader(bytes.NewReader(data), "f")
		for i := 0; ; i++ {
			got, err := r.Next()
			if err == io.EOF {
				if i != len(want) {
					t.Errorf("%d lines, want %d", i, len(want))
				}
				return
			}
			if err != nil || i == len(want) || !bytes.Equal(got, want[i]) {
				t.Fatalf("line %d is %q, %v", i, got, err)
			}
		}
	})
}

// TestParseExcept: bytes that are not UTF-8 are taken in one value and refused elsewhere.
func TestParseExcept(t *testing.T) {
	for line, want := range map[string]string{
		"{\"a\": \"x\xff\", \"b\": 1}":                  "x\uFFFD",
		"{\"a\": \"x\", \"b\": 1}":                      "x",
		"{\"a\": \"x\xff\", \"b\": \"\xff\"}":           "",
		"{\"a\": \"x\", \"b\": \"\xff\"}":               "",
		"{\"a\": \"x\xff\", \"b\xff\": 1}":              "",
		"{\"a\": \"x\xff\", \"a\": 1}":                  "",
		"{\"a\": \"x\xff\"":                             "",
		"{\"c\": \"x\", \"a\": \"\xe2\x82\", \"d\": 1}": "\uFFFD\uFFFD",
	} {
		o, err := ParseExcept([]byte(line), "a")
		if (err != nil) != (want == "") {
			t.Errorf("%q: %v", line, err)
		}
		if err != nil {
			continue
		}
		if got, err := o.String("a"); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", line, got, err, want)
		}
	}
}
