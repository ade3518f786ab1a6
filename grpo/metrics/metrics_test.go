package metrics

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func mustOpen(t *testing.T, dir string, after int64, opts Options) *Log {
	t.Helper()
	if opts.Now == nil {
		opts.Now = func() time.Time { return time.Unix(1700000000, 500000000) }
	}
	l, err := Open(dir, after, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// record writes what a run writes at a step.
func record(t *testing.T, l *Log, step int64) {
	t.Helper()
	x := 1 / float64(3*step+7)
	if err := l.Step(step, map[string]float64{"reward": x, "completions/mean_length": float64(1000 * step), "kl": -x * 1e-9},
		map[string]float64{"step_time": x * 10}); err != nil {
		t.Fatal(err)
	}
	var samples []Completion
	for i := range 3 {
		samples = append(samples, Completion{Prompt: i / 2, Sample: i % 2, Text: fmt.Sprintf("step %d\n<think>", step), Rewards: map[string]float64{"iou": x},
			Advantage: -x, Length: i, FinishReason: "stop"})
	}
	if err := l.Completions(step, samples); err != nil {
		t.Fatal(err)
	}
	for range step % 3 { // none, one or two
		if err := l.Warning(step, fmt.Sprint("look at ", x)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLines(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, -1, Options{NoTensorBoard: true})
	if err := l.Step(0, nil, nil); err != nil {
		t.Fatal(err)
	}
	answer := "<5>"
	if err := l.Step(3, map[string]float64{"b": 1e21, "a": 0.1, "c<": -1e-7, "n": math.NaN(), "p": math.Inf(1), "m": math.Inf(-1), "i": 1234567890, "A": 1. / 3},
		map[string]float64{"step_time": 2.5}); err != nil {
		t.Fatal(err)
	}
	if err := l.Completions(3, []Completion{
		{Prompt: 1, Sample: 2, Text: "a \"b\"\n<ü>\x00", Rewards: map[string]float64{"z": 1, "format": math.NaN()}, Advantage: math.NaN(), Length: 5, FinishReason: "length"},
		{Advantage: 0.5, FinishReason: "stop"},
		{ID: "x", Type: "iou", Question: "<where>?", Gold: "[1, 2]", Images: []string{"/a.png", "b\"c"}, Extracted: &answer, Judged: true, Why: "no box"},
		{Type: "iou", Judged: true}}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Warning(3, "a \"b\""), l.Warning(3, "c"), l.Warning(4, "")); err != nil {
		t.Fatal(err)
	}
	if err := l.Warning(3, "late"); err == nil {
		t.Error("a warning of update 3 was taken after one of update 4")
	}
	if err := errors.Join(l.Sync(), l.Close()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"metrics.jsonl": `{"step":0}
{"step":3,"A":0.3333333333333333,"a":0.1,"b":1e+21,"c<":-1e-7,"i":1234567890,"m":"-Infinity","n":null,"p":"Infinity"}
`,
		"timing.jsonl": `{"step":0,"time":1700000000.5}
{"step":3,"time":1700000000.5,"step_time":2.5}
`,
		"completions.jsonl": `{"step":3,"prompt":1,"sample":2,"text":"a \"b\"\n<ü>\u0000","rewards":{"format":null,"z":1},"advantage":null,"length":5,"finish_reason":"length"}
{"step":3,"prompt":0,"sample":0,"text":"","rewards":{},"advantage":0.5,"length":0,"finish_reason":"stop"}
{"step":3,"prompt":0,"sample":0,"id":"x","type":"iou","question":"<where>?","gt":"[1, 2]","images":["/a.png","b\"c"],"text":"","rewards":{},"advantage":0,"length":0,"finish_reason":"","extracted":"<5>","why":"no box"}
{"step":3,"prompt":0,"sample":0,"type":"iou","text":"","rewards":{},"advantage":0,"length":0,"finish_reason":"","extracted":null}
`,
		"warnings.jsonl": `{"update":3,"text":"a \"b\""}
{"update":3,"text":"c"}
{"update":4,"text":""}
`,
	} {
		got := read(t, dir, name)
		if got != want {
			t.Errorf("%s:\n%swant\n%s", name, got, want)
		}
		for line := range strings.Lines(got) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: not JSON: %s", name, line)
			}
		}
	}
}

// A run that is killed after any byte of what it wrote since a checkpoint, and
// resumed from there, leaves the same bytes as one that is not killed.
func TestResume(t *testing.T) {
	const steps, checkpoint = 7, 3
	whole := t.TempDir()
	l := mustOpen(t, whole, -1, Options{NoTensorBoard: true})
	for s := range int64(steps) {
		record(t, l, s)
	}
	l.Close()
	names := []string{"metrics.jsonl", "completions.jsonl", "timing.jsonl", "warnings.jsonl"}
	durable := make(map[string]int) // bytes at the checkpoint
	for _, name := range names {
		text := read(t, whole, name)
		key := "step"
		if name == "warnings.jsonl" {
			key = "update"
		}
		durable[name] = strings.Index(text, fmt.Sprintf(`{"%s":%d,`, key, checkpoint+1))
	}
	for cut := 0; cut < 600; cut += 7 {
		for _, garbage := range []string{"", "\x00\x00\x00", "\x00\n{\"step\":5}\n"} { // blocks that a power loss did not keep
			dir := t.TempDir()
			for _, name := range names {
				text := read(t, whole, name)
				text = text[:min(len(text), durable[name]+cut)] + garbage
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			l := mustOpen(t, dir, checkpoint, Options{NoTensorBoard: true})
			if l.LastStep() != checkpoint {
				t.Fatalf("last step %d", l.LastStep())
			}
			for s := int64(checkpoint + 1); s < steps; s++ {
				record(t, l, s)
			}
			l.Close()
			for _, name := range names {
				if read(t, dir, name) != read(t, whole, name) {
					t.Fatalf("cut %d bytes after the checkpoint, %q: %s differs:\n%s", cut, garbage, name, read(t, dir, name))
				}
			}
		}
	}
	// Without a checkpoint all is cut.
	l = mustOpen(t, whole, -1, Options{NoTensorBoard: true})
	defer l.Close()
	for _, name := range names {
		if text := read(t, whole, name); text != "" || l.LastStep() != -1 {
			t.Errorf("%s holds %q, last step %d", name, text, l.LastStep())
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"{\"step\":1}\n{\"step\":\n{\"step\":2}\n", "line 2"},
		{"{\"step\":1}\nx\n{\"step\":3}\n{\"step\":2}\n", "line 2"},
		{"{\"step\":9}\n{\"step\":1}\n", "line 1: step 9"},
		{"{\"step\":2}\n{\"step\":1}\n", "line 2: step 1"},
		{"{\"loss\":2}\n{\"step\":1}\n", "no step"},
		{"{\"step\":-1}\n{\"step\":1}\n", "no step"},
		{"\n{\"step\":1}\n", "line 1"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "metrics.jsonl")
		if err := os.WriteFile(path, []byte(tt.text), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, 2, Options{})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want %q in it", tt.text, err, tt.want)
		}
		if got := read(t, dir, "metrics.jsonl"); got != tt.text {
			t.Errorf("%q was cut to %q", tt.text, got)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "timing.jsonl"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, 2, Options{}); err == nil {
		t.Error("a folder was taken for a file")
	}
}

func TestStepRefuses(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, -1, Options{})
	defer l.Close()
	record(t, l, 1)
	before := read(t, dir, "metrics.jsonl")
	one := map[string]float64{"x": 1}
	for _, name := range []string{"", "step", "time", "\xff"} {
		if err := l.Step(2, map[string]float64{name: 1}, nil); err == nil {
			t.Errorf("metric %q was taken", name)
		}
	}
	if err := l.Step(1, one, nil); err == nil {
		t.Error("step 1 was taken twice")
	}
	if err := l.Step(2, one, one); err == nil {
		t.Error("a metric was taken twice")
	}
	if err := l.Completions(1, make([]Completion, 1)); err == nil {
		t.Error("completions of step 1 were taken twice")
	}
	if got := read(t, dir, "metrics.jsonl"); got != before {
		t.Errorf("%q was written", got)
	}
	record(t, l, 2)
}

// fullFile is a file on a disk that is full after so many bytes.
type fullFile struct {
	file
	room int
	torn bool // and does not even cut
}

func (f *fullFile) WriteAt(p []byte, off int64) (int, error) {
	if len(p) > f.room {
		n, _ := f.file.WriteAt(p[:f.room], off)
		return n, errors.New("full")
	}
	return f.file.WriteAt(p, off)
}

func (f *fullFile) Truncate(size int64) error {
	if f.torn {
		return errors.New("broken")
	}
	return f.file.Truncate(size)
}

func TestDiskFull(t *testing.T) {
	for i := range 5 {
		for _, room := range []int{0, 1, 10} {
			dir := t.TempDir()
			l := mustOpen(t, dir, -1, Options{})
			record(t, l, 1)
			a := []*appender{l.metrics, l.timing, l.events.a, l.completions, l.warnings}[i]
			names := []string{"metrics.jsonl", "timing.jsonl", "completions.jsonl", "warnings.jsonl"}
			var before []string
			for _, name := range names {
				before = append(before, read(t, dir, name))
			}
			events := len(readEvents(t, dir))
			whole := a.f
			a.f = &fullFile{file: whole, room: room}
			err := l.Step(2, map[string]float64{"x": 1}, nil)
			if i == 3 {
				err = l.Completions(2, []Completion{{Text: "a"}})
			}
			if i == 4 {
				err = l.Warning(2, "a")
			}
			if err == nil {
				t.Fatal("a full disk was not noticed")
			}
			for j, name := range names {
				if got := read(t, dir, name); got != before[j] && (i < 3 || name == []string{"completions.jsonl", "warnings.jsonl"}[i-3]) {
					t.Errorf("file %d, %d bytes: %s ends with %q", i, room, name, got[len(before[j]):])
				}
			}
			if got := len(readEvents(t, dir)); got != events && i < 3 {
				t.Errorf("file %d, %d bytes: %d events, %d before", i, room, got, events)
			}
			a.f = whole
			record(t, l, 3) // there is room again
			if got := read(t, dir, "metrics.jsonl"); strings.Count(got, "\n") != 2 && i < 3 {
				t.Errorf("%q", got)
			}
			l.Close()
		}
	}
	dir := t.TempDir()
	l := mustOpen(t, dir, -1, Options{NoTensorBoard: true})
	defer l.Close()
	l.metrics.f = &fullFile{file: l.metrics.f, room: 3, torn: true}
	for range 2 {
		if err := l.Step(1, nil, nil); err == nil {
			t.Error("a full disk was not noticed")
		}
	}
	if got := read(t, dir, "metrics.jsonl"); got != `{"s` {
		t.Errorf("after a torn line that could not be cut: %q", got)
	}
}

// event is what the test's own reader understands of an Event.
type event struct {
	wall    float64
	step    int64
	version string
	start   bool
	values  map[string]float32
	order   []string
}

// readEvents reads all event files of a run in the order of their names.
func readEvents(t *testing.T, dir string) []event {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "tensorboard", "*tfevents*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	var events []event
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for len(data) > 0 {
			if len(data) < 16 {
				t.Fatalf("%s: %d bytes are left", name, len(data))
			}
			n := binary.LittleEndian.Uint64(data)
			if n > uint64(len(data)-16) {
				t.Fatalf("%s: a record of %d bytes, %d are left", name, n, len(data))
			}
			body := data[12 : 12+n]
			if unmasked(binary.LittleEndian.Uint32(data[8:])) != slowCRC(data[:8]) || unmasked(binary.LittleEndian.Uint32(data[12+n:])) != slowCRC(body) {
				t.Fatalf("%s: a checksum is wrong", name)
			}
			data = data[16+n:]
			e := event{values: make(map[string]float32)}
			fields(t, body, func(field int, number uint64, b []byte) {
				switch field {
				case 1:
					e.wall = math.Float64frombits(number)
				case 2:
					e.step = int64(number)
				case 3:
					e.version = string(b)
				case 5:
					fields(t, b, func(field int, _ uint64, b []byte) {
						var tag string
						var value float32
						fields(t, b, func(field int, number uint64, b []byte) {
							switch field {
							case 1:
								tag = string(b)
							case 2:
								value = math.Float32frombits(uint32(number))
							default:
								t.Errorf("field %d of a value", field)
							}
						})
						e.values[tag] = value
						e.order = append(e.order, tag)
					})
				case 7:
					fields(t, b, func(field int, number uint64, _ []byte) { e.start = field == 1 && number == 1 })
				default:
					t.Errorf("field %d of an event", field)
				}
			})
			events = append(events, e)
		}
	}
	return events
}

// fields walks through a protobuf message.
func fields(t *testing.T, b []byte, field func(int, uint64, []byte)) {
	t.Helper()
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			t.Fatalf("tag in %x", b)
		}
		b = b[n:]
		switch tag & 7 {
		case 0:
			v, n := binary.Uvarint(b)
			field(int(tag>>3), v, nil)
			b = b[n:]
		case 1:
			field(int(tag>>3), binary.LittleEndian.Uint64(b), nil)
			b = b[8:]
		case 2:
			v, n := binary.Uvarint(b)
			field(int(tag>>3), 0, b[n:n+int(v)])
			b = b[n+int(v):]
		case 5:
			field(int(tag>>3), uint64(binary.LittleEndian.Uint32(b)), nil)
			b = b[4:]
		default:
			t.Fatalf("wire type %d", tag&7)
		}
	}
}

// slowCRC is the CRC-32C bit by bit.
func slowCRC(b []byte) uint32 {
	c := ^uint32(0)
	for _, x := range b {
		c ^= uint32(x)
		for range 8 {
			c = c>>1 ^ 0x82f63b78*(c&1)
		}
	}
	return ^c
}

func unmasked(c uint32) uint32 {
	c -= 0xa282ead8
	return c>>17 | c<<15
}

func TestEvents(t *testing.T) {
	dir := t.TempDir()
	clock := time.Unix(1700000000, 250000000)
	now := func() time.Time { return clock }
	l := mustOpen(t, dir, -1, Options{Now: now})
	for s := range int64(5) {
		record(t, l, s)
	}
	l.Close()
	clock = clock.Add(-time.Hour) // and yet the next file comes after the first
	l = mustOpen(t, dir, 2, Options{Now: now})
	for s := int64(3); s < 300; s += 200 {
		record(t, l, s)
	}
	l.Close()
	got := readEvents(t, dir)
	var steps []int64
	for i, e := range got {
		steps = append(steps, e.step)
		if (e.version == "brain.Event:2") != (i == 0 || i == 6) || e.start != (i == 7) {
			t.Errorf("event %d: %+v", i, e)
		}
	}
	if want := []int64{0, 0, 1, 2, 3, 4, 0, 3, 3, 203}; !slices.Equal(steps, want) {
		t.Fatalf("steps %d, want %d", steps, want)
	}
	e := got[9]
	x := 1. / (3*203 + 7)
	if e.wall != 1699996400.25 || e.values["reward"] != float32(x) || e.values["completions/mean_length"] != 203000 || e.values["step_time"] != float32(x*10) ||
		!slices.Equal(e.order, []string{"completions/mean_length", "kl", "reward", "step_time"}) {
		t.Errorf("%+v", e)
	}
}

// A file in bytes: fields by hand from the format's description, checksums by
// another implementation.
func TestEventBytes(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, -1, Options{})
	if err := l.Step(300, map[string]float64{"kl": 0.5}, nil); err != nil {
		t.Fatal(err)
	}
	l.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "tensorboard", "events.out.tfevents.1700000000.0000.*"))
	if len(files) != 1 {
		t.Fatal(files)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	want := "1800000000000000" + "a37f4b22" + // 24 bytes
		"09" + "00002040fc54d941" + // wall_time 1700000000.5
		"1a" + "0d" + "627261696e2e4576656e743a32" + // file_version brain.Event:2
		"2b353110" +
		"1900000000000000" + "8bf10828" + // 25 bytes
		"09" + "00002040fc54d941" + "10" + "ac02" + // step 300
		"2a" + "0b" + "0a" + "09" + "0a" + "02" + "6b6c" + "15" + "0000003f" + // summary: kl, 0.5
		"612e0bb1"
	if got := hex.EncodeToString(data); got != want {
		t.Errorf("%s, want\n%s", got, want)
	}
}
