package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Format is the version of the checkpoints that this package writes and reads.
const Format = 1

const (
	manifestName = "manifest.json"
	markerName   = ".thinker-checkpoint" // who has it may be removed
	markerText   = "A checkpoint of a Thinker training run. Folders with this file may be removed by the run's retention.\n"

	maxManifest = 16 << 20 // bytes
	maxName     = 255      // bytes of one element of a file's name
	maxPath     = 1024     // bytes of a file's name
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Meta is what a trainer says of a checkpoint.
type Meta struct {
	Step   int64 // of the trainer, from 0 on
	Policy int64 // version of the weights
	// State is the trainer's own: random numbers, place in the data, sampler,
	// KL coefficient. Any JSON; white space is not kept.
	State json.RawMessage
	// Score decides which checkpoint is the best. It is nil if this one was not
	// evaluated.
	Score  *float64
	Pinned bool // stays whatever the retention is
}

// A FileInfo is a file of a checkpoint.
type FileInfo struct {
	Name   string // with slashes, inside the checkpoint
	Size   int64
	CRC32C Checksum
}

// A Checksum is a CRC-32C (Castagnoli). As text it has eight lower-case
// hexadecimal digits.
type Checksum uint32

// String returns the eight digits.
func (c Checksum) String() string { return fmt.Sprintf("%08x", uint32(c)) }

// MarshalText returns the eight digits.
func (c Checksum) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads eight digits.
func (c *Checksum) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 16, 32)
	if err != nil || Checksum(v).String() != string(text) {
		return fmt.Errorf("%.20q is no CRC-32C of eight digits", text)
	}
	*c = Checksum(v)
	return nil
}

// A manifest is the content of manifest.json.
//
// It is one JSON object on one line, whose last key is the CRC-32C of all bytes
// before that key, so that the file vouches for itself. There is one way to
// write a manifest, and another one is refused.
type manifest struct {
	Format int             `json:"format"`
	Step   int64           `json:"step"`
	Policy int64           `json:"policy"`
	Model  string          `json:"model"`
	Config string          `json:"config"`
	Binary string          `json:"binary"`
	Score  *float64        `json:"score"`
	Pinned bool            `json:"pinned"`
	State  json.RawMessage `json:"state"`
	Files  []fileEntry     `json:"files"`
}

type fileEntry struct {
	Name   string   `json:"name"`
	Size   int64    `json:"size"`
	CRC32C Checksum `json:"crc32c"`
}

// A FormatError says that a checkpoint was written by another version.
type FormatError struct {
	Path   string
	Format int
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("run: %s has format %d, this version reads and writes format %d: use the version that wrote it, or another run directory",
		e.Path, e.Format, Format)
}

const (
	trailerStart = `,"crc32c":"`
	trailerEnd   = "\"}\n"
	trailerSize  = len(trailerStart) + 8 + len(trailerEnd)
)

// encode returns the bytes of the file.
func (m *manifest) encode() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, err
	}
	buf.Truncate(buf.Len() - len("}\n"))
	sum := Checksum(crc32.Checksum(buf.Bytes(), castagnoli))
	buf.WriteString(trailerStart + sum.String() + trailerEnd)
	if buf.Len() > maxManifest {
		return nil, fmt.Errorf("the manifest takes %d bytes, at most %d are allowed: put what is large into a file", buf.Len(), maxManifest)
	}
	return buf.Bytes(), nil
}

// parseManifest reads the bytes of the file. That the manifest is of another
// format is a [FormatError] with an empty path; all other errors mean damage.
func parseManifest(data []byte) (*manifest, error) {
	if len(data) > maxManifest {
		return nil, fmt.Errorf("the manifest has %d bytes, at most %d are allowed", len(data), maxManifest)
	}
	n := len(data) - trailerSize
	if n < 1 || string(data[n:n+len(trailerStart)]) != trailerStart || string(data[len(data)-len(trailerEnd):]) != trailerEnd {
		return nil, errors.New("the manifest does not end with its checksum: it is cut short or damaged")
	}
	body, digits := data[:n], data[n+len(trailerStart):len(data)-len(trailerEnd)]
	var want Checksum
	if err := want.UnmarshalText(digits); err != nil {
		return nil, err
	}
	if got := Checksum(crc32.Checksum(body, castagnoli)); got != want {
		return nil, fmt.Errorf("the manifest has the checksum %v and says %v: it is damaged", got, want)
	}
	whole := append(slices.Clone(body), '}')
	var version struct{ Format int }
	if err := json.Unmarshal(whole, &version); err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	if version.Format != Format {
		return nil, &FormatError{Format: version.Format}
	}
	m := new(manifest)
	if err := json.Unmarshal(whole, m); err != nil {
		return nil, fmt.Errorf("the manifest: %w", err)
	}
	if m.State == nil { // Unmarshal makes nil of null
		m.State = json.RawMessage("null")
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	// Keys that are missing, unknown, doubled or in another case show here.
	if again, err := m.encode(); err != nil || !bytes.Equal(again, data) {
		return nil, errors.New("the manifest is not written as this program writes it")
	}
	return m, nil
}

func (m *manifest) check() error {
	if m.Step < 0 {
		return fmt.Errorf("step %d is negative", m.Step)
	}
	for _, f := range []struct{ key, value string }{{"model", m.Model}, {"config", m.Config}, {"binary", m.Binary}} {
		if !utf8.ValidString(f.value) {
			return fmt.Errorf("%s %q is not valid UTF-8", f.key, f.value)
		}
	}
	if m.Score != nil && (math.IsNaN(*m.Score) || math.IsInf(*m.Score, 0)) {
		return fmt.Errorf("score %v is not finite", *m.Score)
	}
	for i, f := range m.Files {
		if err := checkName(f.Name); err != nil {
			return err
		}
		if f.Size < 0 {
			return fmt.Errorf("file %q: size %d is negative", f.Name, f.Size)
		}
		if i > 0 && m.Files[i-1].Name >= f.Name {
			return fmt.Errorf("file %q: the names are not in order, or one occurs twice", f.Name)
		}
	}
	return nil
}

// checkName refuses names that lead out of a checkpoint, that mean something
// else on another system, or that are this package's own.
func checkName(name string) error {
	if !fs.ValidPath(name) || name == "." || len(name) > maxPath {
		return fmt.Errorf("file name %.300q: it must be a relative path with slashes, without . and .., of at most %d bytes", name, maxPath)
	}
	if name == manifestName || name == markerName {
		return fmt.Errorf("file name %q is reserved", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxName || strings.ContainsFunc(part, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`\:*?"<>|`, r) }) {
			return fmt.Errorf("file name %.300q: %.300q has more than %d bytes or a character that not every system takes", name, part, maxName)
		}
	}
	return nil
}
