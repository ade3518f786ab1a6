package binding

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unsafe"
)

const header = "../csrc/include/thinker.h"

// TestABIGenerated holds abi.go against what tools/abigen makes of the header now.
func TestABIGenerated(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command to run tools/abigen with:", err)
	}
	out := filepath.Join(t.TempDir(), "abi.go")
	if msg, err := exec.Command("go", "run", "../tools/abigen", header, out).CombinedOutput(); err != nil {
		t.Fatalf("abigen: %v\n%s", err, msg)
	}
	want, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("abi.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("abi.go is not what the header gives: run go generate ./binding")
	}
}

// argsTypes are the Go structs, by the C struct's name.
func argsTypes() map[string]reflect.Type {
	types := map[string]reflect.Type{}
	for _, v := range []any{OpenArgs{}, InfoArgs{}, AllocArgs{}, CopyArgs{}, NoneArgs{}, ProbeArgs{}, FillArgs{}, CastArgs{}, AddArgs{}, RowsArgs{}, PackArgs{}, MatMulArgs{},
		EmbedArgs{}, PatchEmbedArgs{}, RMSNormArgs{}, SwiGLUArgs{}, GELUArgs{}, RopeTableArgs{}, RopeArgs{}, KVWriteArgs{}, AttentionPagedArgs{}, AttentionArgs{},
		AttentionWorkspaceArgs{}, LogProbArgs{}, LogProbWorkspaceArgs{}, SampleRow{}, SampleArgs{}, SampleWorkspaceArgs{},
		MatMulDxArgs{}, MatMulDwArgs{}, MatMulBackwardWorkspaceArgs{}, RMSNormBackwardArgs{}, SwiGLUBackwardArgs{}, GELUBackwardArgs{}, RowsAddArgs{},
		AttentionBackwardArgs{}, AttentionBackwardWorkspaceArgs{}, LogProbBackwardArgs{}, LogProbBackwardWorkspaceArgs{}, GroupAdvantageArgs{}, PolicyLossArgs{},
		AdamWArgs{}, SquareSumArgs{}} {
		t := reflect.TypeOf(v)
		types[strings.ToLower(t.Name())] = t
	}
	return types
}

// TestLayout holds every field of every struct against the C compiler's offsets and sizes.
func TestLayout(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("there is no C compiler:", err)
	}
	text, err := os.ReadFile(header)
	if err != nil {
		t.Fatal(err)
	}
	var program strings.Builder
	fmt.Fprintf(&program, "#include %q\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n", filepath.Base(header))
	structs := 0
	comment := regexp.MustCompile(`//.*`)
	for _, m := range regexp.MustCompile(`(?s)typedef struct (tk_\w+) \{(.*?)\n\}`).FindAllStringSubmatch(string(text), -1) {
		if m[1] == "tk_error" || m[1] == "tk_api" {
			continue
		}
		structs++
		fmt.Fprintf(&program, "printf(\"%s %%zu\\n\", sizeof(%s));\n", m[1], m[1])
		for _, line := range strings.Split(m[2], "\n") {
			for _, declaration := range strings.Split(comment.ReplaceAllString(line, ""), ";") {
				_, names, _ := strings.Cut(strings.TrimSpace(declaration), " ")
				for _, name := range strings.FieldsFunc(names, func(c rune) bool { return c == ',' || c == ' ' }) {
					name, _, _ = strings.Cut(name, "[")
					fmt.Fprintf(&program, "printf(\" %s %%zu %%zu\\n\", offsetof(%s, %s), sizeof(((%s *)0)->%s));\n", name, m[1], name, m[1], name)
				}
			}
		}
	}
	program.WriteString("return 0; }\n")
	dir := t.TempDir()
	source, exe := filepath.Join(dir, "layout.c"), filepath.Join(dir, "layout")
	if err := os.WriteFile(source, []byte(program.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command(cc, "-std=c17", "-I", filepath.Dir(header), "-o", exe, source).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	out, err := exec.Command(exe).Output()
	if err != nil {
		t.Fatal(err)
	}
	types := argsTypes()
	if structs != len(types) {
		t.Errorf("the header has %d structs, this test %d", structs, len(types))
	}
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
	var typ reflect.Type
	field := 0
	for _, line := range strings.Split(strings.TrimRight(string(out), "\n"), "\n") {
		var name string
		var offset, size uintptr
		if !strings.HasPrefix(line, " ") {
			if typ != nil && field != typ.NumField() {
				t.Errorf("%v has %d fields, the header %d", typ, typ.NumField(), field)
			}
			fmt.Sscanf(line, "%s %d", &name, &size)
			if typ = types[plain(strings.TrimPrefix(name, "tk_"))]; typ == nil {
				t.Fatalf("there is no Go struct for %s", name)
			}
			if field = 0; typ.Size() != size {
				t.Errorf("%v has %d bytes, %s %d", typ, typ.Size(), name, size)
			}
			continue
		}
		fmt.Sscanf(line, "%s %d %d", &name, &offset, &size)
		if field >= typ.NumField() {
			t.Errorf("%v has no field for %s", typ, name)
			continue
		}
		f := typ.Field(field)
		field++
		if f.Offset != offset || f.Type.Size() != size || f.Name != "_" && plain(f.Name) != plain(name) {
			t.Errorf("%v.%s: offset %d, %d bytes; in the header %s: offset %d, %d bytes", typ, f.Name, f.Offset, f.Type.Size(), name, offset, size)
		}
	}
}

// TestNewAPI: a library that speaks another version, or whose structs differ, is refused.
func TestNewAPI(t *testing.T) {
	type table struct {
		size, abi uint32
		backend   [16]byte
		functions [numFunctions]uintptr
	}
	good := table{size: uint32(unsafe.Sizeof(table{})), abi: ABIVersion}
	copy(good.backend[:], "test")
	layout := func(i uint32) uint32 { return argSizes[i] }
	for _, tc := range []struct {
		name   string
		p      func(t *table) unsafe.Pointer
		layout func(uint32) uint32
		want   string // "" for none
	}{
		{"good", func(t *table) unsafe.Pointer { return unsafe.Pointer(t) }, layout, ""},
		{"longer", func(t *table) unsafe.Pointer { t.size += 64; return unsafe.Pointer(t) }, layout, ""},
		{"null", func(*table) unsafe.Pointer { return nil }, layout, "does not speak version 1"},
		{"version", func(t *table) unsafe.Pointer { t.abi = 2; return unsafe.Pointer(t) }, layout, "has version 2"},
		{"short", func(t *table) unsafe.Pointer { t.size -= 8; return unsafe.Pointer(t) }, layout, "bytes"},
		{"struct", func(t *table) unsafe.Pointer { return unsafe.Pointer(t) }, func(i uint32) uint32 {
			if i == fnMatMul {
				return 8
			}
			return argSizes[i]
		}, "matmul takes 8 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := good
			a, err := newAPI(tc.p(&b), tc.layout)
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want == "" && a.backend != "test":
				t.Errorf("the back-end is %q", a.backend)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

// TestArgsSize: every function refuses args that are shorter than its struct, or absent, and takes longer ones.
func TestArgsSize(t *testing.T) {
	d := openTest(t, Options{Threads: 1})
	for f, size := range argSizes {
		args := make([]uint64, size/8+4) // zeros
		head := (*uint32)(unsafe.Pointer(&args[0]))
		for _, short := range []uint32{0, size / 2, size - 1} {
			*head = short
			err := d.call(f, unsafe.Pointer(&args[0]))
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), functionNames[f]+": args.size") {
				t.Errorf("%s with args.size %d of %d: got %v", functionNames[f], short, size, err)
			}
		}
		if err := d.call(f, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s with no args: got %v", functionNames[f], err)
		}
	}
	var long struct {
		InfoArgs
		more [4]uint64
	}
	long.size = uint32(unsafe.Sizeof(long))
	if err := d.call(fnInfo, unsafe.Pointer(&long)); err != nil || long.Threads != 1 {
		t.Errorf("info with longer args: %v, threads %d", err, long.Threads)
	}
}

// TestZeroArgs: every op returns from args that are all zero, but for their size.
func TestZeroArgs(t *testing.T) {
	d := openTest(t, Options{Threads: 1})
	for f, size := range argSizes {
		if f == fnOpen || f == fnClose {
			continue
		}
		args := make([]uint64, size/8)
		*(*uint32)(unsafe.Pointer(&args[0])) = size
		err := d.call(f, unsafe.Pointer(&args[0]))
		if e := (*Error)(nil); err != nil && (!errors.As(err, &e) || e.Code != 1 || e.Op != functionNames[f] || !strings.HasPrefix(e.Message, e.Op+": ")) {
			t.Errorf("%s: %v", functionNames[f], err)
		}
	}
}

// TestContext: a handle that is none is refused.
func TestContext(t *testing.T) {
	d := openTest(t, Options{Threads: 1})
	b, err := d.Alloc(4096)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for name, ctx := range map[string]uint64{"null": 0, "zeros": b.Addr()} {
		fake := &Device{api: d.api, ctx: ctx}
		var a InfoArgs
		a.size = uint32(unsafe.Sizeof(a))
		if err := fake.invoke(fnInfo, unsafe.Pointer(&a)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "context") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
