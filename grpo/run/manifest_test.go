package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/crc32"
	"strings"
	"testing"
)

func crcOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

const golden = `{"format":1,"step":300,"policy":301,"model":"m<1>","config":"","binary":"v0.1","score":0.25,"pinned":false,` +
	`"state":{"b":[1,2.50,1e400],"a":"<ü>"},"files":[{"name":"model/config.json","size":12,"crc32c":"00c0ffee"},` +
	`{"name":"optimizer.safetensors","size":9007199254740993,"crc32c":"e3069283"}],"crc32c":"4d1fc3ea"}` + "\n"

func goldenManifest() *manifest {
	score := 0.25
	return &manifest{Format: 1, Step: 300, Policy: 301, Model: "m<1>", Binary: "v0.1", Score: &score,
		State: json.RawMessage(`{"b": [1, 2.50, 1e400], "a": "<ü>"}`),
		Files: []fileEntry{{"model/config.json", 12, 0xc0ffee}, {"optimizer.safetensors", 9007199254740993, Checksum(crcOf([]byte("123456789")))}}}
}

func TestManifest(t *testing.T) {
	got, err := goldenManifest().encode()
	if err != nil || string(got) != golden {
		t.Fatalf("%v\n%s, want\n%s", err, got, golden)
	}
	if !json.Valid(got) {
		t.Error("the manifest is not JSON")
	}
	m, err := parseManifest(got)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := m.encode(); err != nil || !bytes.Equal(again, got) {
		t.Errorf("%v\n%s", err, again)
	}
	if m, err := parseManifest(reseal([]byte(strings.Replace(golden, `"state":{"b":[1,2.50,1e400],"a":"<ü>"}`, `"state":null`, 1)))); err != nil || string(m.State) != "null" {
		t.Errorf("no state: %v", err)
	}
}

// These have the right checksum.
func TestManifestRefuses(t *testing.T) {
	for _, tt := range []struct{ old, new string }{
		{`"step":300`, `"step":-1`},
		{`"step":300`, `"step":300.0`},
		{`"step":300`, `"step":1e2`},
		{`"step":300`, `"step":9223372036854775808`},
		{`"step":300,`, ``},
		{`"step":300`, `"step":300,"step":300`},
		{`"step"`, `"Step"`},
		{`"step"`, ` "step"`},
		{`"pinned":false`, `"pinned":0`},
		{`"pinned":false`, `"pinned":false,"extra":1`},
		{`"score":0.25`, `"score":2.5e-1`},
		{`"score":0.25`, `"score":1e999`},
		{`"m<1>"`, "\"\xff\""},
		{`"m<1>"`, `7`},
		{`"00c0ffee"`, `"00C0FFEE"`},
		{`"00c0ffee"`, `"c0ffee"`},
		{`"00c0ffee"`, `12648430`},
		{`"size":12`, `"size":-1`},
		{`model/config.json`, `../config.json`},
		{`model/config.json`, `/etc/passwd`},
		{`model/config.json`, `manifest.json`},
		{`model/config.json`, `z`},
		{`model/config.json`, `optimizer.safetensors`},
		{`"a":"<ü>"`, `"a":`},
	} {
		data := strings.Replace(golden, tt.old, tt.new, 1)
		if data == golden {
			t.Fatalf("%s does not occur", tt.old)
		}
		if m, err := parseManifest(reseal([]byte(data))); err == nil {
			t.Errorf("%s for %s was taken: %+v", tt.new, tt.old, m)
		}
	}
	var format *FormatError
	if _, err := parseManifest(reseal([]byte(`{"format":2,"other":{}` + golden[len(golden)-trailerSize:]))); !errors.As(err, &format) || format.Format != 2 {
		t.Errorf("format 2: %v", err)
	}
	if _, err := parseManifest(make([]byte, maxManifest+1)); err == nil {
		t.Error("a manifest that is too large was taken")
	}
	if _, err := (&manifest{State: make(json.RawMessage, 0)}).encode(); err == nil {
		t.Error("an empty state was taken")
	}
	big := json.RawMessage(`"` + strings.Repeat("a", maxManifest) + `"`)
	if _, err := (&manifest{State: big}).encode(); err == nil || !strings.Contains(err.Error(), "into a file") {
		t.Errorf("a large state: %v", err)
	}
}

// Whatever parses is written in the same bytes, and names nothing outside.
func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(golden), false)
	f.Add([]byte(golden), true)
	f.Add([]byte(""), true)
	f.Add([]byte(`{"format":1`+golden[len(golden)-trailerSize:]), true)
	f.Add([]byte(`{"format":2`+golden[len(golden)-trailerSize:]), true)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal && len(data) >= trailerSize {
			data = reseal(data)
		}
		m, err := parseManifest(data)
		if err != nil {
			return
		}
		if again, err := m.encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q is written as %q, %v", data, again, err)
		}
		for _, f := range m.Files {
			if err := checkName(f.Name); err != nil || f.Size < 0 {
				t.Fatalf("%+v: %v", f, err)
			}
		}
		if m.Step < 0 {
			t.Fatalf("step %d", m.Step)
		}
	})
}
