package rawjson

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// walk turns a value into what encoding/json would make of it.
func walk(v Value) (any, error) {
	switch v.Kind() {
	case Null:
		return nil, nil
	case Bool:
		return v.Bool()
	case Number:
		return json.Number(v), nil
	case String:
		return v.Text()
	case Array:
		out := []any{}
		err := v.Elements(func(i int, e Value) error {
			if i != len(out) {
				return fmt.Errorf("element %d came as number %d", len(out), i)
			}
			x, err := walk(e)
			out = append(out, x)
			return err
		})
		return out, err
	case Object:
		out := map[string]any{}
		err := v.Members(func(key string, e Value) error {
			x, err := walk(e)
			out[key] = x
			return err
		})
		return out, err
	}
	return nil, fmt.Errorf("kind %v", v.Kind())
}

var documents = []string{
	`{}`, `[]`, `null`, `true`, `-1.5e3`, `""`, ` { } `, "\n[\t1 , 2]\r\n",
	`{"a":1,"b":[true,false,null],"c":{"d":"e"}}`,
	`{ "a" : { "b" : [ { } , [ ] , "]}\"\\" ] } , "c\u0041\n" : "\ud83d\ude00" }`,
	`{"0":0,"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"8":8,"9":9,"10":10}`,
	`[[[[[1],2],3],4],5]`,
}

func TestWalkEqualsEncodingJSON(t *testing.T) {
	for _, doc := range documents {
		v, err := Parse([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", doc, err)
			continue
		}
		got, err := walk(v)
		if err != nil {
			t.Errorf("%s: %v", doc, err)
		}
		var want any
		d := json.NewDecoder(strings.NewReader(doc))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %#v, want %#v", doc, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"empty", ``, "not valid JSON"},
		{"cut off", `{"a":1`, "not valid JSON at byte 6"},
		{"trailing", `{} {}`, "not valid JSON at byte 4"},
		{"NaN", `{"a":NaN}`, "not valid JSON at byte 6"},
		{"bad UTF-8", "{\"a\xff\":1}", "not valid UTF-8"},
		{"too deep", strings.Repeat("[", 20000) + strings.Repeat("]", 20000), "not valid JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse([]byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestDuplicateKeys(t *testing.T) {
	many := func(last string) string {
		var b strings.Builder
		b.WriteByte('{')
		for i := range 100 {
			fmt.Fprintf(&b, `"k%d":0,`, i)
		}
		return b.String() + `"` + last + `":1}`
	}
	for _, doc := range []string{`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, many("k3"), many("k99")} {
		v, err := Parse([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Map(); err == nil || !strings.Contains(err.Error(), "occurs twice") {
			t.Errorf("%.40s: %v", doc, err)
		}
	}
	v, _ := Parse([]byte(many("k100")))
	if m, err := v.Map(); err != nil || len(m) != 101 {
		t.Errorf("101 different keys: %d, %v", len(m), err)
	}
}

func TestTypes(t *testing.T) {
	tests := []struct{ in, method, want string }{
		{`1.0`, "int", "want an integer"},
		{`1e3`, "int", "want an integer"},
		{`9223372036854775808`, "int", "want an integer"},
		{strings.Repeat("9", 400), "int", "..."},
		{`"1"`, "int", `want a number, got "1"`},
		{`{"a":1}`, "int", "want a number, got an object"},
		{`1e999`, "float", "out of range"},
		{`null`, "float", "want a number, got null"},
		{`1`, "text", "want a string, got 1"},
		{`0`, "bool", "want a boolean, got 0"},
		{`[]`, "map", "want an object, got an array"},
		{`{}`, "array", "want an array, got an object"},
	}
	for _, tt := range tests {
		v, err := Parse([]byte(tt.in))
		if err != nil {
			t.Fatal(err)
		}
		switch tt.method {
		case "int":
			_, err = v.Int64()
		case "float":
			_, err = v.Float64()
		case "text":
			_, err = v.Text()
		case "bool":
			_, err = v.Bool()
		case "map":
			_, err = v.Map()
		case "array":
			err = v.Elements(func(int, Value) error { return nil })
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 200 {
			t.Errorf("%.40s as %s: %v, want %q", tt.in, tt.method, err, tt.want)
		}
	}
	if n, err := Value(`-9223372036854775808`).Int64(); err != nil || n != -1<<63 {
		t.Errorf("smallest integer: %d, %v", n, err)
	}
}

func TestOffset(t *testing.T) {
	doc := ` {"a": [1, {"b": "here"}]} `
	root, err := Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	var found Value
	err = root.Members(func(_ string, v Value) error {
		return v.Elements(func(_ int, v Value) error {
			if v.Kind() != Object {
				return nil
			}
			return v.Members(func(_ string, v Value) error {
				found = v
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if i, want := root.Offset(found), strings.Index(doc[1:], `"here"`); i != want {
		t.Errorf("Offset %d, want %d", i, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, doc := range documents {
		f.Add([]byte(doc))
	}
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Parse(data)
		if err != nil {
			return
		}
		got, err := walk(v)
		if err != nil {
			if !strings.Contains(err.Error(), "occurs twice") {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		var want any
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.UseNumber()
		if err := d.Decode(&want); err != nil {
			t.Fatalf("%q: encoding/json: %v", data, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %#v, want %#v", data, got, want)
		}
	})
}
