package data

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// row is a good line with an id.
func row(id string) string { return `{"id":"` + id + `","question":"Q"}` }

// Files as they come, and the ids of the records in them.
func TestFiles(t *testing.T) {
	d := newFolder(t)
	long := `{"id":"long","question":"` + strings.Repeat("x", 5<<20) + `"}`
	tests := []struct{ name, text, want, lines string }{
		{"lines", row("a") + "\n" + row("b") + "\n", "a b", "1 2"},
		{"no last line break", row("a") + "\n" + row("b"), "a b", "1 2"},
		{"blank lines", "\n \n" + row("a") + "\n\t\r\n\n" + row("b") + "\n\n \n", "a b", "3 6"},
		{"CRLF", row("a") + "\r\n" + row("b") + "\r\n", "a b", "1 2"},
		{"byte order mark", "\ufeff" + row("a") + "\n" + row("b"), "a b", "1 2"},
		{"indented lines", "  " + row("a") + "  \n\t" + row("b"), "a b", "1 2"},
		{"a long line", row("a") + "\n" + long + "\n" + row("b"), "a long b", "1 2 3"},
		{"array", "[" + row("a") + "," + row("b") + "]", "a b", "1 1"},
		{"array over lines", "\n[\n" + row("a") + "\n,\n\n" + row("b") + "\n]\n\n", "a b", "3 6"},
		{"printed array", "[\r\n  {\r\n    \"id\": \"a\",\r\n    \"question\": \"[\\\"]}{\\\\\"\r\n  },\r\n  {\"id\": \"b\",\n\n\"question\": \"Q\"}\r\n]", "a b", "2 6"},
		{"array behind a mark", "\ufeff [" + row("a") + "]", "a", "1"},
		{"a long element", "[" + row("a") + ",\n" + long + ",\n" + row("b") + "]", "a long b", "1 2 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, report, err := d.open(t, Options{}, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := ids(t, s); got != tt.want {
				t.Errorf("ids %q, want %q", got, tt.want)
			}
			var lines []string
			for i := range s.Len() {
				r, _ := s.Record(i)
				lines = append(lines, fmt.Sprint(r.Line))
			}
			if got := strings.Join(lines, " "); got != tt.lines {
				t.Errorf("lines %q, want %q", got, tt.lines)
			}
			format := "JSON Lines"
			if strings.Contains(tt.name, "array") || strings.Contains(tt.name, "element") {
				format = "JSON array"
			}
			if f := report.Files[0]; f.Format != format || f.Bytes != int64(len(tt.text)) || f.Kept != s.Len() || f.Records != s.Len() {
				t.Errorf("%+v", f)
			}
		})
	}
}

// Files that are not what they should be: the error, and what is kept of those that go on where bad records are skipped.
func TestBadFiles(t *testing.T) {
	d := newFolder(t)
	const testRecord = 1 << 20 // in the place of MaxRecord
	a, b := row("a"), row("b")
	tests := []struct {
		name, text string
		line       int
		want       string
		kept       string // "" where the file is refused in any case
	}{
		{"empty", "", -1, "no records in ", ""},
		{"blank", " \n\r\n", -1, "no records in ", ""},
		{"an empty array", "[ ]", -1, "no records in ", ""},
		{"gzip", "\x1f\x8b\x08", 0, "it is compressed (gzip): unpack it", ""},
		{"zstd", "\x28\xb5\x2f\xfd", 0, "it is compressed (zstd)", ""},
		{"zip", "PK\x03\x04", 0, "ZIP", ""},
		{"parquet", "PAR1\x15\x04", 0, "Parquet file: write it as JSON Lines", ""},
		{"UTF-16", "\xff\xfe{\x00", 0, "it is UTF-16: write it as UTF-8", ""},
		{"LFS", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n", 0, "git lfs pull", ""},
		{"a line cut off", a + "\n" + `{"id":"b","quest`, 2, `record "b": the record ends in its middle`, "a"},
		{"a record over lines", a + "\n{\n\"id\":\"b\"}", 2, "goes over several lines, which only a JSON array may have", "a"},
		{"a long line", a + "\n" + strings.Repeat("x", testRecord+1) + "\n" + b, 2, "more than 1 MiB", "a b"},
		{"zeros", a + "\n" + strings.Repeat("\x00", 100), 2, "not JSON at byte 1", "a"},
		{"a trailing comma", "[" + a + ",\n" + b + ",\n]", 3, "a comma stands behind the last element of the array: take it out", "a b"},
		{"a leading comma", "[\n," + a + "]", 2, "a comma stands where element 1 of the array should be", "a"},
		{"two commas", "[" + a + ",,\n" + b + "]", 1, "a comma stands where element 2 of the array should be", "a b"},
		{"only a comma", "[,]", 1, "a comma stands where element 1", ""},
		{"a comma missing", "[" + a + "\n" + b + "]", 2, `want a comma or the end of the array behind its element 1, got "{\"id\":`, ""},
		{"a bracket too many", "[" + a + "},\n" + b + "]", 1, `want a comma or the end of the array behind its element 1, got "},\n`, ""},
		{"a bracket in the place of an element", "[" + a + ",\n}]", 2, "want element 2 of the array, got \"}]\"", ""},
		{"an element cut off", "[" + a + ",\n" + `{"id":"b","quest`, 2, "the file ends within element 2 of the array", "a"},
		{"an array cut off", "[" + a + ",\n" + b, 2, "the array is not closed: the file is cut off behind element 2", "a b"},
		{"an array cut off behind a comma", "[" + a + ",\n" + b + ",\n", 3, "the array is not closed", "a b"},
		{"a quotation mark missing", "[" + a + ",\n{\"id\":\"b,\n\"question\":\"Q\"}\n]", 2, "a string has a line break in line 2, so a quotation mark may be missing there", "a"},
		{"a bad element", "[" + a + ",\n{\"id\" \"b\"},\n" + b + "]", 2, "not JSON at byte 7", "a b"},
		{"a number as element", "[" + a + ",\n1 2 ,\"x,]\",{}\n," + b + "]", 2, "not JSON", "a b"},
		{"more behind the array", "[" + a + "]\n" + b, 2, `there is more behind the array's end, from "{\"id\":`, ""},
		{"two arrays", "[" + a + "] [" + b + "]", 1, "there is more behind the array's end", ""},
		{"a long element", "[" + a + ",\n{\"id\":\"" + strings.Repeat("x", testRecord+1) + "\"}]", 2, "more than 1 MiB", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check := func(err error) {
				t.Helper()
				if err == nil || !strings.HasPrefix(err.Error(), "data: ") || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), d.path("d.jsonl")) {
					t.Fatalf("error %v, want %q", err, tt.want)
				}
				if p, ok := err.(*Problem); ok != (tt.line >= 0) || ok && p.Line != tt.line {
					t.Errorf("error %#v, want line %d", err, tt.line)
				}
				if tt.line < 0 && !errors.Is(err, ErrEmpty) {
					t.Errorf("error %v is not ErrEmpty", err)
				}
			}
			_, _, err := d.open(t, Options{maxRecord: testRecord}, tt.text)
			check(err)
			s, report, err := d.open(t, Options{Skip: true, maxRecord: testRecord}, tt.text)
			switch {
			case tt.kept != "":
				if err != nil {
					t.Fatal(err)
				}
				if got := ids(t, s); got != tt.kept || report.Left() == 0 || report.Skipped[0].Line != tt.line {
					t.Errorf("kept %q, want %q; %s", got, tt.kept, report)
				}
			case tt.name == "only a comma":
				if !errors.Is(err, ErrEmpty) {
					t.Errorf("error %v, want ErrEmpty", err)
				}
			default:
				check(err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	d := newFolder(t)
	good := d.write(t, "good.jsonl", row("a"))
	ctx := context.Background()
	for _, tt := range []struct {
		name  string
		o     Options
		files []string
		want  string
	}{
		{"no files", Options{}, nil, "data: no files to read"},
		{"no such file", Options{}, []string{good, d.path("none")}, "none: no such file or directory"},
		{"a folder", Options{Skip: true}, []string{string(d)}, "it is no regular file: want a file of JSON Lines, or of one JSON array"},
		{"no such folder of pictures", Options{Roots: []string{d.path("none")}}, []string{good}, "the folder of pictures " + d.path("none") + ": no such file"},
		{"a file as folder of pictures", Options{Roots: []string{good}}, []string{good}, "the folder of pictures " + good + ": not a directory"},
	} {
		s, report, err := Open(ctx, tt.o, tt.files...)
		if s != nil || report == nil || err == nil || !strings.HasPrefix(err.Error(), "data: ") || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	all := d.write(t, "bad.jsonl", `{"id":"a"}`+"\n"+`{"id":"b"}`)
	_, report, err := Open(ctx, Options{Skip: true}, good+"", all)
	if err != nil || report.Kept != 1 || report.Left() != 2 || report.Files[1].Kept != 0 || report.Files[1].Records != 2 {
		t.Errorf("%v, %+v", err, report)
	}
	_, report, err = Open(ctx, Options{Skip: true}, all)
	if !errors.Is(err, ErrEmpty) || report.Left() != 2 || !strings.Contains(err.Error(), "2  no question") {
		t.Errorf("all skipped: %v", err)
	}
	cause := errors.New("enough")
	done, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	if _, _, err := Open(done, Options{}, good); !errors.Is(err, cause) {
		t.Errorf("cancelled: %v", err)
	}
}

// The first bad record of the file is the error, however many goroutines look.
func TestFirstProblem(t *testing.T) {
	d := newFolder(t)
	var b strings.Builder
	for i := range 5000 {
		if i > 300 && i%7 == 0 {
			fmt.Fprintf(&b, `{"id":"%d","question":"Q","image":"none.png"}`+"\n", i)
		} else {
			fmt.Fprintf(&b, `{"id":"%d","question":"Q","image":"a.png"}`+"\n", i)
		}
	}
	for range 5 {
		_, _, err := d.open(t, Options{}, b.String())
		if p, ok := err.(*Problem); !ok || p.Line != 302 || p.ID != "301" {
			t.Fatalf("error %v, want line 302", err)
		}
	}
	var calls []int64
	s, report, err := d.open(t, Options{Skip: true, Progress: func(done, total int64) {
		if total != int64(b.Len()) {
			t.Errorf("%d of %d bytes, want of %d", done, total, b.Len())
		}
		calls = append(calls, done)
	}}, b.String())
	if err != nil {
		t.Fatal(err)
	}
	if n := report.Reasons[badImage]; n != 672 || report.Left() != n || s.Len() != 5000-n || len(report.Skipped) != MaxProblems || report.Skipped[99].ID != "994" {
		t.Errorf("%d left out: %s", n, report)
	}
	if !slices.IsSorted(calls) || len(calls) < 5 || calls[len(calls)-1] != int64(b.Len()) {
		t.Errorf("progress %v", calls)
	}
}

func TestReport(t *testing.T) {
	d := newFolder(t)
	_, report, err := d.open(t, Options{Skip: true, Types: types}, row("a")+"\n"+`{"id":"b","question":"Q","gt":1,"verifier_type":"digit"}`+"\n"+
		strings.Repeat(`{"id":"c","question":"Q","image":"no.png"}`+"\n", 6)+`{"id":"d","question":"Q","verifier_type":"mqc"}`)
	if err != nil {
		t.Fatal(err)
	}
	path := d.path("d.jsonl")
	missing := `: record "c": the picture "no.png" is missing: it is not in ` + string(d) + " or " + d.path("images") + ": put it there, or name the folder that it is in\n"
	want := "2 records kept of 9 in 1 file (without type 1, digit 1); 7 problems:\n       6  missing picture\n       1  unknown verifier_type\n"
	for line := 3; line < 8; line++ {
		want += fmt.Sprintf("  %s:%d%s", path, line, missing)
	}
	want += "  and 2 more"
	if got := report.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := group(1234567) + " " + group(123) + " " + group(1234); got != "1,234,567 123 1,234" {
		t.Error(got)
	}
}

// Links: followed within the roots and from one to another, never out.
func TestLinks(t *testing.T) {
	d := newFolder(t)
	outside := newFolder(t)
	link := func(target, name string) {
		if err := os.Symlink(target, d.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	link("sub/b.png", "images/in.png")
	link(d.path("c.png"), "images/across.png")
	link(outside.path("c.png"), "images/out.png")
	link("../../../../../../../etc/hostname", "images/up.png")
	link(string(outside), "images/folder")
	link("loop.png", "images/loop.png")
	link("none.png", "images/dangling.png")
	path := d.write(t, "x/d.jsonl", "")
	try := func(image string, dirs ...string) (string, error) {
		d.write(t, "x/d.jsonl", fmt.Sprintf(`{"id":"x","question":"Q","image":%q}`, image))
		for i := range dirs {
			dirs[i] = d.path(dirs[i])
		}
		s, _, err := Open(context.Background(), Options{Roots: dirs}, path)
		if err != nil {
			return "", err
		}
		defer s.Close()
		r, err := s.Record(0)
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.OpenImage(r.Images[0])
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		return r.Images[0], nil
	}
	for _, tt := range []struct{ image, want string }{
		{"in.png", "images/in.png"},
		{"a.png", "images/a.png"},
		{d.path("images/a.png"), "images/a.png"},
	} {
		if got, err := try(tt.image, "images"); err != nil || got != d.path(tt.want) {
			t.Errorf("%s is %s, %v; want %s", tt.image, got, err, d.path(tt.want))
		}
	}
	for _, tt := range []struct{ image, reason, want string }{
		{"across.png", badPath, "a link in it leads out"},
		{"out.png", badPath, "a link in it leads out"},
		{"up.png", badPath, "a link in it leads out"},
		{"folder/c.png", badPath, "a link in it leads out"},
		{"loop.png", badImage, "cannot be read: too many levels"},
		{"dangling.png", badImage, "is missing"},
	} {
		_, err := try(tt.image, "images")
		if p, ok := err.(*Problem); !ok || p.Reason != tt.reason || !strings.Contains(p.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.image, err, tt.want)
		}
	}
	// With the folder that it leads to as a further root.
	if got, err := try("across.png", "images", ""); err != nil || got != d.path("c.png") {
		t.Errorf("across.png is %s, %v; want %s", got, err, d.path("c.png"))
	}
	// A root that is a link itself.
	link("images", "linked")
	for _, image := range []string{"sub/b.png", d.path("linked/sub/b.png"), d.path("images/sub/b.png")} {
		if got, err := try(image, "linked"); err != nil || got != d.path("linked/sub/b.png") {
			t.Errorf("%s under a linked root is %s, %v", image, got, err)
		}
	}

	s, _, err := d.open(t, Options{}, row("a"))
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{outside.path("c.png"), d.path("images/out.png"), d.path("images"), "/etc/passwd", "c.png"} {
		if f, err := s.OpenImage(image); err == nil || !strings.HasPrefix(err.Error(), "data: picture ") {
			t.Errorf("%s is opened: %v, %v", image, f, err)
		}
	}
}

func TestManyRoots(t *testing.T) {
	d := newFolder(t)
	o := Options{Roots: []string{d.path("images"), d.path("images/sub"), string(d), d.path("images"), d.path("x"), d.path("y"), d.path("z")}}
	for _, dir := range o.Roots[4:] {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	r := d.one(t, o, `{"id":"x","question":"Q","images":["b.png","a.png","c.png"]}`)
	if want := []string{d.path("images/sub/b.png"), d.path("images/a.png"), d.path("c.png")}; !slices.Equal(r.Images, want) {
		t.Errorf("%v, want %v", r.Images, want)
	}
	_, _, err := d.open(t, o, `{"id":"x","question":"Q","image":"none.png"}`)
	if err == nil || !strings.Contains(err.Error(), "it is not in "+d.path("images")+" or "+d.path("images/sub")+" or "+string(d)+" or "+d.path("x")+" and 2 more: put it there") {
		t.Error(err)
	}
}

// What becomes of a set whose files change: an error that says so, and never another record.
func TestChanged(t *testing.T) {
	d := newFolder(t)
	lines := row("a") + "\n" + row("b") + "\n"
	for _, tt := range []struct {
		name   string
		change func(path string) error
		want   string // of record 1; "" where it is still there
	}{
		{"cut", func(path string) error { return os.Truncate(path, 40) }, "the file has changed since it was opened: it had 52 bytes and has 40: open it again"},
		{"longer", func(path string) error { return appendTo(path, row("c")) }, ""},
		{"overwritten", func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(row("c")+"\n"+row("d")+"\n"), 0o666), os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)))
		}, "the file has changed since it was opened, at "},
		{"replaced", func(path string) error {
			return errors.Join(os.WriteFile(path+"2", []byte(row("c")), 0o666), os.Rename(path+"2", path))
		}, ""},
	} {
		s, _, err := d.open(t, Options{}, lines)
		if err != nil {
			t.Fatal(err)
		}
		if err := tt.change(d.path("d.jsonl")); err != nil {
			t.Fatal(err)
		}
		r, err := s.Record(1)
		if tt.want == "" {
			if err != nil || r.ID != "b" {
				t.Errorf("%s: %+v, %v", tt.name, r, err)
			}
			continue
		}
		if p, ok := errors.AsType[*Problem](err); !ok || p.Line != 2 || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.want)
		}
	}
	s, _, err := d.open(t, Options{}, `{"id":"x","question":"Q","image":"a.png"}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(d.path("images/a.png")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Record(0); err == nil || !strings.Contains(err.Error(), `d.jsonl:1: record "x": the picture "a.png" is missing`) {
		t.Errorf("a picture that is gone: %v", err)
	}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func TestSet(t *testing.T) {
	d := newFolder(t)
	empty := d.write(t, "empty.jsonl", "\n")
	one := d.write(t, "one.jsonl", row("a")+"\n"+row("b"))
	two := d.write(t, "two.json", "["+row("c")+",\n"+row("d")+"]")
	s, report, err := Open(context.Background(), Options{}, empty, one, empty, two, empty)
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(t, s); got != "a b c d" || len(report.Files) != 5 || report.Files[3].Format != "JSON array" {
		t.Errorf("ids %q, %+v", got, report)
	}
	picked := s.Pick([]int{3, 0, 0, 2})
	again := picked.Pick([]int{3, 1})
	if got := ids(t, picked) + " | " + ids(t, again); got != "d a a c | c a" {
		t.Errorf("picked %q", got)
	}
	if _, err := s.Record(4); err == nil || err.Error() != "data: record 4 of a set of 4" {
		t.Error(err)
	}
	if _, err := picked.Record(-1); err == nil {
		t.Error("record -1 is read")
	}
	func() {
		defer func() {
			if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "record 4 is picked of a set of 4") {
				t.Errorf("panic %v", r)
			}
		}()
		s.Pick([]int{4})
	}()

	// The same text elsewhere has the same digest; another order, another.
	copied := d.write(t, "elsewhere/x.jsonl", row("a")+"\n\n"+row("b")+"\n"+row("c")+"\n"+row("d"))
	c, _, err := Open(context.Background(), Options{}, copied)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if s.Digest() != c.Digest() || len(s.Digest()) != 32 || s.Digest() == picked.Digest() || s.Pick([]int{1, 0, 2, 3}).Digest() == s.Digest() {
		t.Errorf("digests %s, %s, %s", s.Digest(), c.Digest(), picked.Digest())
	}

	// Closed by the last.
	t2 := s.Pick([]int{0})
	for _, x := range []*Set{s, s, t2, picked} {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
		if _, err := again.Record(0); err != nil {
			t.Error(err)
		}
	}
}

func TestClose(t *testing.T) {
	d := newFolder(t)
	s, _, err := d.open(t, Options{}, row("a"))
	if err != nil {
		t.Fatal(err)
	}
	p := s.Pick([]int{0})
	if err := errors.Join(s.Close(), p.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Record(0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("of a closed set: %v", err)
	}
}

func TestConcurrentRecords(t *testing.T) {
	d := newFolder(t)
	var b strings.Builder
	const n = 200
	for i := range n {
		fmt.Fprintf(&b, `{"id":"%d","question":"%s","image":"a.png"}`+"\n", i, strings.Repeat("q", 1+i*50))
	}
	s, _, err := d.open(t, Options{}, b.String())
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for g := range 8 {
		wait.Go(func() {
			for k := range n {
				i := (k*7 + g*31) % n
				r, err := s.Record(i)
				if err != nil || r.ID != fmt.Sprint(i) || len(r.Question) != 1+i*50 {
					t.Errorf("record %d: %v, %v", i, r, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

func TestSplit(t *testing.T) {
	d := newFolder(t)
	var b strings.Builder
	const n = 60
	for i := range n { // pictures of one, two and three records; the ids of two records are one
		image := []string{"", `,"image":"p` + fmt.Sprint(i/2) + `.png"`, `,"image":["q` + fmt.Sprint(i/6) + `.png","a.png"]`}[i/20]
		if strings.Contains(image, "q") {
			image = strings.Replace(image, `,"a.png"`, "", 1)
		}
		id := i
		if i == 5 {
			id = 45
		}
		fmt.Fprintf(&b, `{"id":"%d","question":"Q"%s}`+"\n", id, image)
		for _, p := range []string{fmt.Sprintf("images/p%d.png", i/2), fmt.Sprintf("images/q%d.png", i/6)} {
			d.write(t, p, "")
		}
	}
	s, _, err := d.open(t, Options{}, b.String())
	if err != nil {
		t.Fatal(err)
	}
	groupOf := func(id int) string {
		if id == 45 || id >= 42 && id < 48 { // the id 45 stands twice, and binds its first record to a picture
			return "q7"
		}
		switch id / 20 {
		case 0:
			return fmt.Sprint(id)
		case 1:
			return fmt.Sprint("p", id/2)
		}
		return fmt.Sprint("q", id/6)
	}
	seen := map[string]bool{}
	for seed := range uint64(20) {
		for _, held := range []int{1, 7, 30, 59} {
			train, out, err := Split(s, held, seed)
			if err != nil {
				t.Fatal(err)
			}
			if out.Len() > held || held == 30 && out.Len() < 28 || train.Len()+out.Len() != n {
				t.Errorf("seed %d: %d and %d records, want %d held out", seed, train.Len(), out.Len(), held)
			}
			side := map[string]string{}
			all := 0
			for name, set := range map[string]*Set{"train": train, "out": out} {
				last := 0
				for i := range set.Len() {
					r, err := set.Record(i)
					if err != nil {
						t.Fatal(err)
					}
					if r.Line <= last {
						t.Fatalf("line %d stands behind line %d", r.Line, last)
					}
					last = r.Line
					all += r.Line
					var id int
					fmt.Sscan(r.ID, &id)
					g := groupOf(id)
					if side[g] != "" && side[g] != name {
						t.Fatalf("seed %d: the group %s is on both sides", seed, g)
					}
					side[g] = name
				}
			}
			if all != n*(n+1)/2 {
				t.Fatal("a record is lost")
			}
			if held == 30 {
				seen[ids(t, out)] = true
				_, other, _ := Split(s, held, seed)
				if ids(t, out) != ids(t, other) {
					t.Error("a seed has two splits")
				}
			}
		}
	}
	if len(seen) < 20 {
		t.Errorf("20 seeds have %d splits", len(seen))
	}
	for _, held := range []int{-1, 0, n, n + 1} {
		if _, _, err := Split(s, held, 0); err == nil || !strings.Contains(err.Error(), "want from 1 to 59") {
			t.Errorf("%d held out: %v", held, err)
		}
	}
	one, _, err := d.open(t, Options{}, strings.Repeat(`{"question":"Q","image":"a.png"}`+"\n", 5))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Split(one.Pick([]int{3}), 1, 0); err == nil || !strings.Contains(err.Error(), "1 record cannot be parted") {
		t.Errorf("a set of one: %v", err)
	}
	if _, _, err := Split(one, 2, 0); err == nil || !strings.Contains(err.Error(), "no 2 records can be held out") {
		t.Errorf("one picture for all: %v", err)
	}
}

// naive is what a scanner should find in a file of lines.
func naive(text []byte) (found []string) {
	for _, line := range bytes.Split(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\n")) {
		if line = bytes.Trim(line, " \t\r"); len(line) > 0 {
			found = append(found, string(line))
		}
	}
	return found
}

// scanAll is what it finds, with windows and reads of a size.
func scanAll(t *testing.T, text []byte, r io.Reader, window int) (found []string, bad int, err error) {
	s := newScanner(r, MaxRecord)
	s.window = s.window[:window]
	for {
		got, at, err := s.next(nil)
		if err == io.EOF {
			return found, bad, nil
		}
		if _, ok := asFault(err); ok {
			if bad++; bad > len(text)+1 {
				t.Fatalf("%q: the scanner does not move", text)
			}
			continue
		}
		if err != nil {
			return found, bad, err
		}
		if !bytes.HasPrefix(text[at.off:], got) || at.line != 1+bytes.Count(text[:at.off], []byte("\n")) || len(got) == 0 {
			t.Fatalf("%q: found %q at %+v", text, got, at)
		}
		found = append(found, string(got))
	}
}

// A scanner finds the lines of any file and the elements of any array, whatever the sizes in which it is read.
func FuzzScan(f *testing.F) {
	for _, s := range []string{
		"{}\n\n {\"a\":1} \r\n\ufeff{}", "\ufeff[{},\n{\"a\":\"]\\\"\"},[1],2 ,\"x\"]\n", "[{},]", "[,]", "[{}{}]", "[}", "[{},{\"a", "[1,2", "[\"a\nb", "[] []", "[\"\\\\\",\"\\",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		found, bad, err := scanAll(t, text, bytes.NewReader(text), 256<<10)
		for _, window := range []int{64, 1 << 10} {
			again, bad2, err2 := scanAll(t, text, iotest.OneByteReader(bytes.NewReader(text)), window)
			if !slices.Equal(found, again) || bad != bad2 || fmt.Sprint(err) != fmt.Sprint(err2) && len(text) < window {
				t.Fatalf("%q: %q, %d, %v; in small reads %q, %d, %v", text, found, bad, err, again, bad2, err2)
			}
		}
		if err != nil {
			return
		}
		var array []json.RawMessage
		trimmed := bytes.Trim(bytes.TrimPrefix(text, []byte("\ufeff")), " \t\r\n")
		if len(trimmed) == 0 || trimmed[0] != '[' {
			if want := naive(text); !slices.Equal(found, want) {
				t.Errorf("%q: %q, want %q", text, found, want)
			}
		} else if json.Unmarshal(trimmed, &array) == nil {
			if bad != 0 || len(array) != len(found) {
				t.Fatalf("%q: %q, %d bad, want %d", text, found, bad, len(array))
			}
			for i := range array {
				if string(array[i]) != found[i] {
					t.Errorf("%q: %q, want %q", text, found[i], array[i])
				}
			}
		}
	})
}

func TestReadError(t *testing.T) {
	broken := errors.New("the disk is gone")
	for _, text := range []string{"", row("a") + "\n", row("a") + "\n{", "[" + row("a") + ",", "[" + row("a") + ",{"} {
		_, _, err := scanAll(t, []byte(text), io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), 64)
		if !errors.Is(err, broken) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A set keeps some thirty bytes a record, whatever the records hold, and reading it takes no more than a few batches.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 32 MB")
	}
	d := newFolder(t)
	const n = 8000
	path := d.path("big.jsonl")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	filler := strings.Repeat("thinking about it, \\n", 200)
	for i := range n {
		fmt.Fprintf(f, `{"id":"%d","image":"a.png","question":"Q","gt":1,"verifier_type":"digit","ds_answer":"<think>%s</think>a"}`+"\n", i, filler)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, peak := heap(), int64(0)
	next := int64(0)
	s, _, err := Open(context.Background(), Options{Want: WantGold | WantResponse, Progress: func(done, _ int64) {
		if done >= next {
			next = done + 8<<20
			peak = max(peak, heap())
		}
	}}, path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if kept := float64(heap()-before) / n; kept > 64 {
		t.Errorf("the set keeps %.0f bytes a record", kept)
	}
	if most := peak - before; most > 24<<20 { // less than the file
		t.Errorf("reading takes %d bytes", most)
	}
	runtime.KeepAlive(s)
}

func BenchmarkOpen(b *testing.B) {
	d := newFolder(b)
	var text strings.Builder
	filler := strings.Repeat("Let me think about \\\"this\\\".\\n", 100)
	for i := range 5000 {
		fmt.Fprintf(&text, `{"id":"%d","image":"a.png","question":"How many?","gt":1,"verifier_type":"digit","ds_answer":"<think>%s</think>a"}`+"\n", i, filler)
	}
	lines := text.String()
	array := "[" + strings.ReplaceAll(strings.TrimSpace(lines), "\n", ",\n") + "]"
	for _, tt := range []struct{ name, text string }{{"lines", lines}, {"array", array}} {
		path := d.write(b, tt.name+".json", tt.text)
		b.Run(tt.name, func(b *testing.B) {
			b.SetBytes(int64(len(tt.text)))
			for b.Loop() {
				s, _, err := Open(context.Background(), Options{Want: WantGold | WantResponse}, path)
				if err != nil {
					b.Fatal(err)
				}
				s.Close()
			}
			b.ReportMetric(5000*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
	s, _, err := Open(context.Background(), Options{}, filepath.Join(string(d), "lines.json"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.Run("record", func(b *testing.B) {
		b.SetBytes(int64(len(lines) / 5000))
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := s.Record(i % s.Len()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
