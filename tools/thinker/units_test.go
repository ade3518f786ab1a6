package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/thinker-vl/thinker/binding"
)

func TestByteSize(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64 // -1: refused
	}{
		{"0", 0}, {"1500", 1500}, {"1500B", 1500}, {"2GiB", 2 << 30}, {"1.5GiB", 3 << 29}, {"2G", 2 << 30}, {"2GB", 2e9}, {"64 MiB", 64 << 20}, {"10K", 10 << 10}, {"5kB", 5000},
		{"1TiB", 1 << 40}, {"", -1}, {"GiB", -1}, {"-1", -1}, {"NaN", -1}, {"1e30", -1}, {"12XB", -1}, {"99999999TiB", -1}, {"1GiBB", -1},
	} {
		var b byteSize
		err := b.Set(tt.in)
		if (err != nil) != (tt.want < 0) || err == nil && int64(b) != tt.want {
			t.Errorf("%q is %d, %v; want %d", tt.in, b, err, tt.want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1 << 20: "1.00 MiB", 3 << 29: "1.50 GiB", 5 << 40: "5.00 TiB"} {
		if got := formatBytes(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestMeasurePeaks(t *testing.T) {
	d, err := binding.Open(binding.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	p, err := measurePeaks(context.Background(), d, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	// A CPU of this century does a GFLOP/s and reads a GB/s.
	if p.FMA < 1e9 || p.Dot < 1e8 || p.Read < 1e9 || p.FMA > 1e15 || p.Dot > 1e16 || p.Read > 1e14 {
		t.Errorf("%+v", p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := measurePeaks(ctx, d, 1<<20); err != context.Canceled {
		t.Errorf("cancelled: %v", err)
	}
}

// TestProgress checks what is shown: lines for --verbose, a bar on a terminal, nothing otherwise.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	if p := (&app{stderr: &b}).progress("working", 10); p != nil {
		t.Error("progress without a terminal and --verbose")
	}
	if p := (&app{stderr: &b, terminal: true, quiet: true}).progress("working", 10); p != nil {
		t.Error("progress in spite of --quiet")
	}
	var none *progress
	none.add(1)
	none.set(2)
	none.token()
	none.end()

	p := (&app{stderr: &b, verbose: true}).progress("working", 10)
	for range 10 {
		p.token()
		p.add(1)
	}
	p.end()
	if got := b.String(); !strings.HasPrefix(got, "thinker: working") || !strings.Contains(got, "100 %") || strings.Count(got, "\n") != 1 {
		t.Errorf("lines: %q", got)
	}
	b.Reset()
	p = (&app{stderr: &b, terminal: true}).progress("working", 10)
	for range 10 {
		p.add(1)
	}
	p.end()
	if got := b.String(); !strings.Contains(got, "working") || !strings.Contains(got, "%") || strings.Contains(got, "\n") {
		t.Errorf("bar: %q", got)
	}
}

// FuzzRecord gives parseRecord what may stand in a line: it returns a record or an error, and a record has what commands rely on.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{
		`{"messages": [{"role": "user", "content": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What?"}]}], "completion": "x"}`,
		`{"messages": [{"role": "system", "content": ""}, {"role": "user", "content": "<|im_end|>"}], "completion_ids": [1, 2]}`,
		`{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.png"}}]}], "images": ["a.png"]}`,
		`{"prompt_ids": [1, 2, 3], "images": ["a.png"], "completion": ""}`,
		`{"prompt_ids": [], "messages": []}`, `{"prompt_ids": [-1]}`, `{"messages": [null]}`, `{"messages": [{"role": 5}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, completion := range []bool{false, true} {
			r, err := parseRecord(line, completion)
			if err != nil {
				if len(err.Error()) > 4000 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
				continue
			}
			if len(r.messages) == 0 && r.ids == nil {
				t.Errorf("%q has no prompt", line)
			}
			if completion != (r.completion != nil || r.completionIDs != nil) {
				t.Errorf("%q: completion %v, %v", line, r.completion, r.completionIDs)
			}
			for _, id := range append(r.ids, r.completionIDs...) {
				if id < 0 {
					t.Errorf("%q has the id %d", line, id)
				}
			}
		}
	})
}
