package data

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Problem is what is wrong with one record, and where it stands. It is the error of [Open] where bad records are not skipped.
type Problem struct {
	File   string
	Line   int    // from 1; 0 of a problem with the file as a whole
	ID     string // "" where the record does not say, or cannot be read so far
	Reason string // in a few words, the same for all problems of a kind
	Err    error
}

func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString("data: " + p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.ID != "" {
		fmt.Fprintf(&b, ": record %s", quote(p.ID))
	}
	return b.String() + ": " + p.Err.Error()
}

func (p *Problem) Unwrap() error { return p.Err }

// The reasons of problems.
const (
	badFile     = "unreadable file"
	badJSON     = "not JSON"
	badUTF8     = "not UTF-8"
	badKey      = "a key twice"
	badKind     = "wrong type"
	badArray    = "bad array"
	badLength   = "record too long"
	badRecord   = "no question"
	badMessages = "bad messages"
	badGold     = "no gold answer"
	badGoldKind = "gold answer of the wrong type"
	badType     = "unknown verifier_type"
	noType      = "no verifier_type"
	badResponse = "no response"
	badOptions  = "bad options"
	badImage    = "missing picture"
	badPath     = "picture outside of the roots"
	badURL      = "picture by URL"
	badRegular  = "picture that is no file"
)

// A fault is an error with its reason.
type fault struct{ reason, text string }

func (f *fault) Error() string { return f.text }

func bad(reason, format string, v ...any) error { return &fault{reason, fmt.Sprintf(format, v...)} }

// MaxProblems is how many problems a [Report] lists. All are counted.
const MaxProblems = 100

// A Report says what was found in the files of a set.
type Report struct {
	Files   []FileReport
	Records int // that were read
	Kept    int // that the set holds

	Types   map[string]int // records kept, by verifier_type
	Reasons map[string]int // records left out, by reason
	Skipped []Problem      // the first MaxProblems of them
}

// A FileReport is about one file.
type FileReport struct {
	Name    string
	Format  string // "JSON Lines" or "JSON array"
	Bytes   int64
	Records int
	Kept    int
}

func (r *Report) skip(p *Problem) {
	r.Reasons[p.Reason]++
	if len(r.Skipped) < MaxProblems {
		r.Skipped = append(r.Skipped, *p)
	}
}

// Left is the number of problems: of records left out, and of places where a file is not what it should be.
func (r *Report) Left() int {
	n := 0
	for _, c := range r.Reasons {
		n += c
	}
	return n
}

// String is the report for people, of several lines where something was left out.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s kept of %s in %s", count(r.Kept, "record"), group(r.Records), count(len(r.Files), "file"))
	if names := sorted(r.Types); len(names) > 1 || len(names) == 1 && names[0] != "" {
		for i, name := range names {
			sep := ", "
			if i == 0 {
				sep = " ("
			}
			b.WriteString(sep + typeName(name) + " " + group(r.Types[name]))
		}
		b.WriteString(")")
	}
	if r.Left() == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "; %s:", count(r.Left(), "problem"))
	for _, reason := range sorted(r.Reasons) {
		fmt.Fprintf(&b, "\n%8s  %s", group(r.Reasons[reason]), reason)
	}
	const shown = 5
	for i := range r.Skipped[:min(shown, len(r.Skipped))] {
		p := &r.Skipped[i]
		b.WriteString("\n  " + strings.TrimPrefix(p.Error(), "data: "))
	}
	if n := r.Left() - shown; n > 0 {
		fmt.Fprintf(&b, "\n  and %s more", group(n))
	}
	return b.String()
}

func typeName(s string) string {
	if s == "" {
		return "without type"
	}
	return s
}

// sorted returns the keys of counts, the most frequent first.
func sorted(counts map[string]int) []string {
	keys := make([]string, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d := counts[b] - counts[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return keys
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return group(n) + " " + what
}

// group writes a number with commas between its thousands.
func group(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// place names a record that has no id.
func place(file string, line int) string { return fmt.Sprintf("%s:%d", filepath.Base(file), line) }
